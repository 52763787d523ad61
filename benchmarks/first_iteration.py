"""`python -m benchmarks.first_iteration`: the CPU time of a worker until the end of a training's first iteration.

A waiting worker of the backend `local` has loaded TensorFlow before the request. So the imports count only without it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["main"]

T = TypeVar("T")


def main() -> None:
    """Print a row for each part."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.first_iteration", description=__doc__)
    parser.add_argument("--recipe", default="preview", help="name of the recipe (%(default)s)")
    parser.add_argument("--faces", type=int, default=150, metavar="N", help="faces of each side (%(default)s)")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="threads of TensorFlow; 0: all cores")
    arguments = parser.parse_args()
    print("| part | CPU s | wall s |", "|---|---|---|", sep="\n")
    _measured("imports", _imports)
    from benchmarks.crops import face_crops
    from facefoundry import recipes
    from facefoundry.model.network import SIDES
    from services.trainer.worker import loop

    faces = face_crops(arguments.faces)
    options = recipes.load(arguments.recipe).training
    loop.configure(options.precision, arguments.threads)
    training = _measured("networks and faces", lambda: loop.Training(options, dict.fromkeys(SIDES, faces)))
    _measured("first iteration", lambda: training.run(1))
    _measured("second iteration", lambda: training.run(1))


def _imports() -> None:
    """Load what a waiting worker loads."""
    from services.trainer.worker import attempt_runner  # noqa: F401


def _measured(part: str, work: Callable[[], T]) -> T:
    """Do the work of one part, and print its row."""
    cpu, wall = time.process_time(), time.monotonic()
    done = work()
    print(f"| {part} | {time.process_time() - cpu:.2f} | {time.monotonic() - wall:.2f} |", flush=True)
    return done


if __name__ == "__main__":
    main()
