"""Compares the CPU time of two versions for clips that go up, are extracted and come back as faces.

    python -m benchmarks.transfers --base FOLDER    # a checkout of the other version

Each round gives `extract-faces` two small clips that no round had before, on a local stack of each version in turn.
Command, services, sandboxes and object store run on one core, and all of their CPU time counts.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path

import psutil

from benchmarks.material import write_clip
from demo import clip

_NAMES = ("astronaut", "hopper")
_ROUNDS = 5
_FRAMES = 40
_START_SECONDS = 180.0


def main() -> None:
    """Measure, and print the median of each version and their ratio."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfers", description=__doc__)
    parser.add_argument("--base", type=Path, required=True, help="checkout of the version to compare with")
    parser.add_argument("--rounds", type=int, default=_ROUNDS)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    trees = {"base": arguments.base.resolve(), "this": Path(__file__).resolve().parents[1]}
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as running:
        folder = Path(scratch)
        originals = [write_clip(folder / f"{name}.mp4", list(islice(clip.frames(name), _FRAMES))) for name in _NAMES]
        stacks = {name: running.enter_context(_stack(tree, folder / name)) for name, tree in trees.items()}
        seconds: dict[str, list[float]] = {name: [] for name in trees}
        for number in range(-1, arguments.rounds):  # the first round loads the libraries of the sandboxes
            clips = _variants(originals, folder / f"clips{number}", number)
            for name, tree in trees.items():
                spent = _extract(tree, stacks[name], folder / name, clips, folder / f"{name}{number}")
                if number >= 0:
                    seconds[name].append(spent)
            load = os.getloadavg()[0]
            print(f"round {number}: { ({name: spent[-1:] for name, spent in seconds.items()}) }, load {load:.1f}")
    medians = {name: statistics.median(spent) for name, spent in seconds.items()}
    print(f"median of {arguments.rounds}: base {medians['base']:.2f}, this {medians['this']:.2f} CPU-seconds")
    print(f"ratio {medians['this'] / medians['base']:.3f}")


def _variants(originals: list[Path], folder: Path, number: int) -> Path:
    """Write the clips with a free box at their ends, so that they are other files with the same frames."""
    folder.mkdir()
    for path in originals:
        box = f"round {number}".encode()
        (folder / path.name).write_bytes(path.read_bytes() + (8 + len(box)).to_bytes(4, "big") + b"free" + box)
    return folder


@contextmanager
def _stack(tree: Path, folder: Path) -> Iterator[psutil.Process]:
    """Run the local stack of a version for the time of the block."""
    words = [sys.executable, "-m", "facefoundry", "local", "--local-dir", str(folder)]
    with subprocess.Popen(words, cwd=tree, env=_environment(tree), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            deadline = time.monotonic() + _START_SECONDS
            for line in process.stdout:
                if "Ctrl-C stops them" in line:
                    break
                assert time.monotonic() < deadline
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


def _extract(tree: Path, stack: psutil.Process, local: Path, clips: Path, out: Path) -> float:
    """Extract the faces of the clips; return the CPU seconds of the command and of the stack."""
    words = ["extract-faces", "--local", "--local-dir", str(local), "-i", str(clips), "-o", str(out), "--json"]
    before, before_children = _cpu_seconds(stack), os.times()
    subprocess.run(
        [sys.executable, "-m", "facefoundry", *words],
        cwd=tree,
        env=_environment(tree),
        stdout=subprocess.DEVNULL,
        check=True,
    )
    after = os.times()
    command = after.children_user + after.children_system
    command -= before_children.children_user + before_children.children_system
    return command + _cpu_seconds(stack) - before


def _cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU time of a process and of all below it, including those that have ended."""
    return sum(sum(each.cpu_times()[:4]) for each in [process, *process.children(recursive=True)])


def _environment(tree: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(tree), "PYTHONUNBUFFERED": "1"}


if __name__ == "__main__":
    main()
