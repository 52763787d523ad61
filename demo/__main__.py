"""Writes the two clips of the demo: `python -m demo FOLDER`."""

from __future__ import annotations

import argparse
from pathlib import Path

from demo.clip import write_clips


def main() -> None:
    """Write the clips into the folder that the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m demo", description="Animate two public-domain portraits and write them as clips."
    )
    parser.add_argument("folder", type=Path, help="folder of the clips; created if it does not exist")
    parser.add_argument("--frames", type=int, metavar="N", help="write only the first N frames of each clip")
    arguments = parser.parse_args()
    for path in write_clips(arguments.folder, arguments.frames):
        print(path)


if __name__ == "__main__":
    main()
