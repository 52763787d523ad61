"""`python -m benchmarks.preview CLIP CLIP...`: how good a recipe's swaps are on pairs of clips, both ways.

Each two clips are a pair. It is trained, and then converted and measured as `facefoundry create-from-models` does it.
With `--base TREE` another checkout, with an environment of its own if it has one, trains the pair too. This checkout
makes and measures the fakes of both models, so only the trainings differ.

    python -m benchmarks.preview a.mp4 b.mp4 -o OUT --set training.common_iterations=500 --base ../earlier
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import psutil

from benchmarks.sheet import sheet
from facefoundry import recipes
from facefoundry.dataset.gates import MEASURES
from facefoundry.dataset.layouts import layout_of
from facefoundry.dataset.record import FakeRecord, PairRecord
from facefoundry.dataset.run_folder import RunFolder

__all__ = ["COLUMNS", "HEAD", "Measured", "command", "linked", "main", "medians", "row"]

HERE = Path(__file__).parents[1]

_MEASURES = "identity", "identity_gain", "mouth", "mouth_motion", "sharpness", "seam"
COLUMNS = "to source", "to target", *_MEASURES
"""What is printed of a fake: the distances of its embeddings, and measures of docs/quality.md. A `mouth` in parentheses
does not count, because the target's mouth hardly moves."""
_MOUTH, _MOTION = (COLUMNS.index(name) for name in ("mouth", "mouth_motion"))

HEAD = f"| training | fake | {' | '.join(COLUMNS)} | CPU s of training |\n|---|---|{'---|' * len(COLUMNS)}---|"

_WORKER = "services.trainer.worker"


@dataclass(frozen=True)
class Measured:
    """One pair as one checkout trained it.

    Attributes:
        training: Name of the checkout, for the table.
        pair: The record of the pair's fakes.
        folder: The folder that the record's paths are relative to.
        seconds: CPU time of the training's worker, seconds.
    """

    training: str
    pair: PairRecord
    folder: Path
    seconds: float


def values(fake: FakeRecord) -> list[float | None]:
    """Return what was measured of a fake, as `COLUMNS` names it; None for what was not."""
    found = fake.identity
    source, target = (found.swap_to_source, found.swap_to_target) if found else (None, None)
    return [source, target, *(fake.quality.get(name) for name in _MEASURES)]


def row(training: str, name: str, measured: Sequence[float | None], seconds: float | None) -> str:
    """Return a row of `HEAD`'s table."""
    written = ["" if value is None else f"{value:.2f}" for value in measured]
    motion = measured[_MOTION]
    if motion is not None:
        written[_MOTION] = f"{motion:.3f}"
    if written[_MOUTH] and not _counts(motion):
        written[_MOUTH] = f"({written[_MOUTH]})"
    cells = [training, name, *written]
    return f"| {' | '.join([*cells, '' if seconds is None else f'{seconds:.0f}'])} |"


def _counts(motion: float | None) -> bool:
    """Return whether a mouth's correlation counts for a target whose mouth moves so much."""
    _, least = MEASURES["mouth"].moves or ("", 0.0)
    return motion is None or motion >= least


def medians(fakes: Sequence[FakeRecord]) -> list[float | None]:
    """Return the median of each of `COLUMNS` over the fakes of which it was measured, and, of mouths, that count."""
    columns = [list(column) for column in zip(*map(values, fakes), strict=True)]
    pairs = zip(columns[_MOUTH], columns[_MOTION], strict=True)
    columns[_MOUTH] = [mouth for mouth, motion in pairs if _counts(motion)]
    known = ([value for value in column if value is not None] for column in columns)
    return [statistics.median(column) if column else None for column in known]


@contextmanager
def _worker_seconds() -> Iterator[dict[int, float]]:
    """Measure the CPU time of the workers that this process starts; looked at twice a second, by process id."""
    seconds: dict[int, float] = {}
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.5):
            for process in psutil.Process().children(recursive=True):
                try:
                    if _WORKER in process.cmdline():
                        used = process.cpu_times()
                        seconds[process.pid] = used.user + used.system
                except psutil.Error:
                    continue  # it has just ended

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seconds
    finally:
        done.set()
        thread.join()


def command(tree: Path, arguments: Sequence[str]) -> None:
    """Run the command `facefoundry` of a checkout, with services of its own and one thread."""
    python = tree / ".venv/bin/python"
    environment = {
        **os.environ,
        "PYTHONPATH": str(tree),
        "FACEFOUNDRY_WORKER_THREADS": "1",
        "FACEFOUNDRY_LOCAL_WAITING_WORKER": "false",
    }
    command = [str(python) if python.exists() else sys.executable, "-m", "facefoundry", *arguments]
    done = subprocess.run(command, cwd=tree, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-2000:]}")


def _measure(tree: Path, label: str, ids: tuple[str, str], clips: Path, arguments: argparse.Namespace) -> Measured:
    """Train a pair in a checkout; convert and measure it in this one."""
    out = arguments.output / f"{label}-{ids[0]}-{ids[1]}"
    filelist = out.with_suffix(".json")
    filelist.write_text(json.dumps([ids]))
    changed = [f"--set={assignment}" for assignment in arguments.set]
    options = ["--local", "--json", f"--recipe={arguments.recipe}", f"--filelist={filelist}"]
    training = [*options, *(changed if tree == HERE else []), f"--local-dir={arguments.output / f'store-{label}'}"]
    iterations = arguments.iterations if tree == HERE else arguments.base_iterations or arguments.iterations
    if iterations:
        training.append(f"--iterations={iterations}")
    with _worker_seconds() as seconds:
        command(tree, ["generate-models", f"--data_path={clips}", f"--output_path={out / 'trained'}", *training])
    models = layout_of(out / "trained").models()
    raw = [recipes.options(level) for level in recipes.load(arguments.recipe).compression.levels if level.name == "raw"]
    lossless = f"--set=compression.levels={json.dumps(raw)}"
    converting = [*options, lossless, f"--local-dir={arguments.output / 'store'}", f"--output_path={out / 'fakes'}"]
    command(HERE, ["create-from-models", f"--data_path={models}", f"--data_path2={clips}", *converting])
    folder = layout_of(out / "fakes").run_folder()
    (pair,) = RunFolder(folder).load_pairs()
    return Measured(label, pair, folder, sum(seconds.values()))


def linked(clips: Sequence[Path], folder: Path) -> list[str]:
    """Link clips below names that are ids of sequences, and return the ids."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = [re.sub(r"[^A-Za-z0-9-]+", "-", clip.stem) for clip in clips]
    for clip, name in zip(clips, ids, strict=True):
        link = folder / f"{name}{clip.suffix}"
        link.unlink(missing_ok=True)
        link.symlink_to(clip.resolve(strict=True))
    return ids


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table, and write a contact sheet for each pair."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.preview", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP", help="clips; each two are a pair")
    parser.add_argument("-o", "--output", type=Path, default=Path("preview"), help="folder of results (%(default)s)")
    parser.add_argument("--recipe", default="preview", help="name of the recipe (%(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="override a training's field")
    parser.add_argument("-it", "--iterations", type=int, metavar="N", help="iterations, in both checkouts")
    parser.add_argument("--base", type=Path, metavar="TREE", help="another checkout, which trains with its own recipe")
    parser.add_argument(
        "--base-iterations",
        type=int,
        metavar="N",
        help="iterations in that checkout, where equal CPU time takes others",
    )
    arguments = parser.parse_args(argv)
    if len(arguments.clips) % 2:
        parser.error("give an even number of clips: each two are a pair")
    arguments.output = arguments.output.resolve()
    clips = arguments.output / "clips"
    ids = linked(arguments.clips, clips)
    trees = {"ours": HERE, **({"base": arguments.base.resolve()} if arguments.base else {})}
    fakes: dict[str, list[FakeRecord]] = {label: [] for label in trees}
    print(HEAD, flush=True)
    for pair in zip(ids[::2], ids[1::2], strict=True):
        measured = [_measure(tree, label, pair, clips, arguments) for label, tree in trees.items()]
        for each in measured:
            fakes[each.training] += each.pair.fakes
            for fake in each.pair.fakes:
                print(row(each.training, fake.id, values(fake), each.seconds), flush=True)
        drawn = sheet({each.training: (each.pair, each.folder) for each in measured})
        cv2.imwrite(str(arguments.output / f"{'_'.join(pair)}.png"), drawn)
    for label, made in fakes.items():
        print(row(label, "median", medians(made), None))


if __name__ == "__main__":
    main()
