"""`python -m tests.fuzz [--seed N] [--cases N]`: mutated clips through a real extractor; one summary line."""

from __future__ import annotations

import argparse
import sys

from tests.fuzz.harness import in_a_folder_of_its_own


def main() -> None:
    """Run, print the summary, and end with 1 if there was a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of all mutations")
    parser.add_argument("--cases", type=int, default=1000, help="how many mutated clips")
    arguments = parser.parse_args()
    outcome = in_a_folder_of_its_own(arguments.seed, arguments.cases)
    for fault in outcome.faults:
        print(fault, file=sys.stderr)
    print(outcome.summary())
    sys.exit(bool(outcome.faults))


if __name__ == "__main__":
    main()
