"""Runs the rows of the bench, which are measurements, each in a process of its own, and prints one table."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.row import CHECK_SHARE, Row, table
from benchmarks.rows import ROWS


def main() -> int:
    """Run the rows that the arguments name; return 0 if every row reaches its bar, else 1."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"one of: {', '.join(ROWS)}; all if none is named")
    parser.add_argument("--json", type=Path, metavar="DIR", help="write <ROW>.json with each row's figures")
    parser.add_argument(
        "--check",
        action="store_true",
        help="run only the quick rows, and require two thirds of each row's bar",
    )
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.rows) - set(ROWS))
    if unknown:
        parser.error(f"expected rows among {', '.join(ROWS)}; received {', '.join(unknown)}")
    names = arguments.rows or [name for name, spec in ROWS.items() if spec.cheap or not arguments.check]
    share = CHECK_SHARE if arguments.check else 1.0
    measured: list[Row] = []
    failed: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.json or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            print(f"==> {name}", file=sys.stderr, flush=True)
            rows = _run(name, folder / f"{name}.json")
            measured += rows
            if not rows:
                failed.append(name)
    print(table(measured, share))
    for name in failed:
        print(f"The row {name} could not be measured; its process has printed the reason above.", file=sys.stderr)
    return int(bool(failed) or not all(row.holds(share) for row in measured))


def _run(name: str, path: Path) -> list[Row]:
    """Measure a module of rows in a process of its own; return its rows, or an empty list if the process fails.

    Args:
        name: Name of the module in `benchmarks.rows`.
        path: File for the figures.
    """
    path.unlink(missing_ok=True)
    subprocess.run(
        [sys.executable, "-m", f"benchmarks.rows.{name}", "--json", str(path)], stdout=subprocess.DEVNULL, check=False
    )
    if not path.exists():
        return []
    return [Row.from_record(record) for record in json.loads(path.read_text())["rows"]]


if __name__ == "__main__":
    sys.exit(main())
