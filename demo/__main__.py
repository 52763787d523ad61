"""`python -m demo FOLDER`: write the two clips."""

from __future__ import annotations

import argparse
from pathlib import Path

from demo.clip import write_clips


def main() -> None:
    """Parse the one argument and write the clips into it."""
    parser = argparse.ArgumentParser(
        prog="python -m demo", description="Animate two public-domain portraits into clips."
    )
    parser.add_argument("folder", type=Path, help="where the clips go; made if missing")
    for path in write_clips(parser.parse_args().folder):
        print(path)


if __name__ == "__main__":
    main()
