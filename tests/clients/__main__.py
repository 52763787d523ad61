"""`python -m tests.clients [NAME ...]`: every client of examples/clients makes a pair; a table shows how they did."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.clients.examples import MAX_LINES, Example, copy, examples
from tests.clients.journey import Outcome, run
from tests.house import files

BUILD = files.ROOT / "build" / "clients"


def main() -> None:
    """Run the clients, print a line each, and end with 1 if one is too long or made other content."""
    parser = argparse.ArgumentParser(prog="python -m tests.clients", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="folders of examples/clients; default: all")
    names = parser.parse_args().names
    chosen = [example for example in examples() if not names or example.name in names]
    folder = copy(BUILD)
    outcomes: dict[str, Outcome] = {}
    print(f"{'client':<12} lines  build   pair  content")
    for example in chosen:
        print(f"{example.name:<12} {example.lines:>5}", end="  ", flush=True)
        if example.missing:
            print(f"skipped: {', '.join(example.missing)} not found")
            continue
        outcomes[example.name] = outcome = _run(example, folder / example.name)
        content = "as the first" if outcome.digests == next(iter(outcomes.values())).digests else "differs"
        print(f"{outcome.build_seconds:>3.0f} s  {outcome.pair_seconds:>3.0f} s  {content}", flush=True)
    different = {outcome.digests for outcome in outcomes.values()}
    for digests in different:
        print(*digests, sep="\n")
    sys.exit(len(different) > 1 or any(example.lines > MAX_LINES for example in chosen))


def _run(example: Example, folder: Path) -> Outcome:
    with TemporaryDirectory() as local_dir:
        return run(example, folder, Path(local_dir))


if __name__ == "__main__":
    main()
