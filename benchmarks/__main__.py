"""`python -m benchmarks [ROW ...]`: run rows, each in a process of its own, and print one table."""

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
    """Run the rows that the arguments name; return 0 when every row reaches its bar."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"one of: {', '.join(ROWS)}; all if none is named")
    parser.add_argument("--json", type=Path, metavar="DIR", help="write <ROW>.json with each row's figures")
    parser.add_argument(
        "--check", action="store_true", help="only the cheap rows, which must reach two thirds of their bars"
    )
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.rows) - set(ROWS))
    if unknown:
        parser.error(f"unknown row {', '.join(unknown)}; expected one of {', '.join(ROWS)}")
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
        print(f"Row {name} could not be measured.", file=sys.stderr)
    return int(bool(failed) or not all(row.holds(share) for row in measured))


def _run(name: str, path: Path) -> list[Row]:
    """Measure in a process of its own, which pins itself; return no rows when it fails."""
    path.unlink(missing_ok=True)
    subprocess.run(
        [sys.executable, "-m", f"benchmarks.rows.{name}", "--json", str(path)], stdout=subprocess.DEVNULL, check=False
    )
    if not path.exists():
        return []
    return [Row.from_record(record) for record in json.loads(path.read_text())["rows"]]


if __name__ == "__main__":
    sys.exit(main())
