"""`python -m benchmarks.gates CLIP CLIP CLIP...`: whether gates find the pairs that were made bad on purpose.

Pairs are made of the clips, 12 by default. The last but one is bad because it was trained for two iterations: as after
a collapse, its decoders make one picture whatever they get. (A training that the trainer finds collapsed fails, and has
no fakes.) The last one is bad because its model is that of another pair with the same A, so it shows another person
than its source. All are converted and measured as `facefoundry create-from-models` does it, and held to the default
gates and to those by which docs/quality.md drops fakes. Rows `real` take a real video for a fake of another
(`benchmarks/real_faces.py`).

    python -m benchmarks.gates a.mp4 b.mp4 c.mp4 d.mp4 e.mp4 f.mp4 -o OUT -it 600
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.preview import command, linked
from benchmarks.real_faces import real_fake, watch
from facefoundry import recipes
from facefoundry.dataset import verdict
from facefoundry.dataset.gates import DEFAULT_GATES, MEASURES, Gate
from facefoundry.dataset.layouts import layout_of
from facefoundry.dataset.plan import Pair
from facefoundry.dataset.record import FakeRecord
from facefoundry.dataset.run_folder import RunFolder

__all__ = ["DROPPING", "main", "pairs_of", "row"]

HERE = Path(__file__).parents[1]

DROPPING = (Gate(measure="face_share", min=0.5, action="drop"), Gate(measure="identity_gain", min=0.05, action="drop"))
"""The gates of docs/quality.md by which bad fakes are dropped."""

_COLLAPSED = ("training.iterations=2",)


def pairs_of(ids: Sequence[str], count: int) -> list[Pair]:
    """Return `count` pairs of sequences, in which each is about as often as the others.

    There are at most as many sequences as pairs, so that the last one has the A of another good one.
    """
    ids = ids[:count]
    size = len(ids)
    apart = ((step, start) for step in range(1, size // 2 + 1) for start in range(size))
    found = dict.fromkeys(tuple(sorted((ids[start], ids[(start + step) % size]))) for step, start in apart)
    *pairs, last = (Pair(a, b) for a, b in itertools.islice(found, count))
    return [*pairs, last if any(last.a == pair.a for pair in pairs[:-1]) else Pair(last.b, last.a)]


def row(fake: FakeRecord, made: str) -> str:
    """Return a row of the table: what was measured of a fake, and how it was made."""
    cells = ["" if (value := fake.quality.get(name)) is None else f"{value:.3g}" for name in MEASURES]
    return f"| {fake.id} | {made} | {' | '.join(cells)} | {', '.join(failed.measure for failed in fake.failed)} |"


def _train(pairs: Sequence[Pair], clips: Path, out: Path, arguments: argparse.Namespace, *changed: str) -> Path:
    """Train pairs, and return the folder of their models."""
    filelist = out.with_suffix(".json")
    filelist.write_text(json.dumps(pairs))
    options = ["--local", "--json", f"--local-dir={arguments.output / 'store'}", f"--recipe={arguments.recipe}"]
    options += [f"--set=training.iterations={arguments.iterations}", *(f"--set={assignment}" for assignment in changed)]
    command(
        HERE, ["generate-models", f"--data_path={clips}", f"--output_path={out}", f"--filelist={filelist}", *options]
    )
    return layout_of(out).models()


def _models(pairs: Sequence[Pair], clips: Path, arguments: argparse.Namespace) -> Path:
    """Train the good pairs and the one that collapses, and return the folder of all models."""
    *good, collapsed, wrong = pairs
    folders = [
        _train(good, clips, arguments.output / "good", arguments),
        _train([collapsed], clips, arguments.output / "collapsed", arguments, *_COLLAPSED),
    ]
    models: Path = arguments.output / "models"
    for folder in folders:
        shutil.copytree(folder, models, dirs_exist_ok=True)
    same = next(pair for pair in good if pair.a == wrong.a)
    shutil.copytree(models / same.id, models / wrong.id, dirs_exist_ok=True)
    return models


def _fakes(models: Path, clips: Path, arguments: argparse.Namespace) -> Iterator[FakeRecord]:
    """Make and measure the fakes of all models."""
    raw = [recipes.options(level) for level in recipes.load(arguments.recipe).compression.levels if level.name == "raw"]
    options = ["--local", "--json", f"--local-dir={arguments.output / 'store'}", f"--recipe={arguments.recipe}"]
    options += [f"--set=compression.levels={json.dumps(raw)}", f"--output_path={arguments.output / 'fakes'}"]
    command(HERE, ["create-from-models", f"--data_path={models}", f"--data_path2={clips}", *options])
    for pair in RunFolder(layout_of(arguments.output / "fakes").run_folder()).load_pairs():
        yield from pair.fakes


def main(argv: Sequence[str] | None = None) -> int:
    """Print what was measured of every fake and which default gates it fails; return 1 if `DROPPING` finds others."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gates", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP", help="clips of different people")
    parser.add_argument("-o", "--output", type=Path, default=Path("gates"), help="folder of results (%(default)s)")
    parser.add_argument("--recipe", default="preview", help="name of the recipe (%(default)s)")
    parser.add_argument("--pairs", type=int, default=12, metavar="N", help="number of pairs (%(default)s)")
    parser.add_argument("-it", "--iterations", type=int, default=600, metavar="N", help="iterations (%(default)s)")
    arguments = parser.parse_args(argv)
    arguments.output = arguments.output.resolve()
    clips = arguments.output / "clips"
    ids = linked(arguments.clips, clips)
    pairs = pairs_of(ids, arguments.pairs)
    if len(ids) < 3 or len(pairs) < arguments.pairs:
        parser.error(f"{len(ids)} clips make {len(pairs)} pairs; give at least 3 clips, and more for more pairs")
    made = {pairs[-2].id: "collapsed", pairs[-1].id: "wrong subject"}
    print(f"| fake | made | {' | '.join(MEASURES)} | fails |\n|---|---|{'---|' * len(MEASURES)}---|")
    faces = [watch(clip) for clip in arguments.clips]
    for target, source in itertools.permutations(faces, 2):
        print(row(real_fake(target, source), "real"), flush=True)
    fakes = list(_fakes(_models(pairs, clips, arguments), clips, arguments))
    found, good = set[str](), list[FakeRecord]()
    for fake in fakes:
        pair = next(pair.id for pair in pairs if fake.id in (pair.id, pair.mirrored))
        verdict.judge(fake, DROPPING)
        found |= {pair} if fake.failed else set()
        verdict.judge(fake, DEFAULT_GATES)
        good += [fake] if pair not in made else []
        print(row(fake, made.get(pair, "good")))
    columns = ([fake.quality.get(name) for fake in good] for name in MEASURES)
    middle = [[value for value in column if value is not None] for column in columns]
    print(f"| median | good | {' | '.join(f'{statistics.median(known):.3g}' if known else '' for known in middle)} | |")
    print(f"Gates that drop find {', '.join(sorted(found)) or 'none'}; bad on purpose are {', '.join(sorted(made))}.")
    return int(found != made.keys())


if __name__ == "__main__":
    raise SystemExit(main())
