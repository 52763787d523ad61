"""`python -m benchmarks.faces CLIP...`: the faces that the engines find in clips, beside dlib on every frame.

Each clip is extracted with the recipe `ffpp` and each engine. *Lost* are frames in which plain dlib finds a face (its
detector on every frame, with one upsampling) and the engine does not. *Jitter* is the second difference of the
landmarks from frame to frame, *apart* their distance from those of plain dlib, both in distances between the eyes. The
command fails if a frame is lost, if frames without a face are not told by a warning, or if the landmarks jitter by a
quarter more than those of plain dlib.

`--hard DIR SUBJECT OTHER` makes hard cases of two clips of two people in DIR, and prints whom each engine takes, with
FF++'s choice of the subject and with a choice that face embeddings decide. It fails if a chosen subject is mixed up
with the other person, if FF++'s choice is and no warning says so, or if a face that plain dlib finds is lost.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks import hard_cases
from benchmarks.extraction import Extracted, Plain, extract, plain, untold
from benchmarks.hard_bars import HEAD, judge
from benchmarks.heads import pictures
from benchmarks.landmarks import distances, is_found, jitter
from benchmarks.row import restart_pinned
from services.extractor import engines
from services.extractor.doubts import spans

__all__ = ["clip_row", "failures"]

_MAX_JITTER = 1.25

_HEAD = """\
| clip | engine | found | lost | no face | tracked | warned | jitter | apart: median, 95 % | CPU ms/frame |
|---|---|---|---|---|---|---|---|---|---|"""


def main() -> int:
    """Measure the clips that the arguments name; return 0 if every bar is reached, else 1."""
    arguments = _arguments()
    restart_pinned()
    names = arguments.engines or engines.installed(arguments.weights)
    measure = _heads if arguments.heads else _hard if arguments.hard else _clips
    failed = list(measure(arguments, names))
    print(*(f"FAILED: {sentence}" for sentence in failed), sep="\n", end="\n" if failed else "")
    return int(bool(failed))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faces", description=__doc__)
    parser.add_argument("clips", nargs="*", type=Path, metavar="CLIP")
    parser.add_argument("--hard", type=Path, metavar="DIR", help="make hard cases in DIR of two clips; measure them")
    parser.add_argument("--heads", type=Path, metavar="DIR", help="measure on the heads in DIR")
    parser.add_argument("--engines", type=lambda names: names.split(","), help="names; all that are installed if unset")
    parser.add_argument("--weights", type=Path, metavar="DIR", help="weights of engines whose packages contain none")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where to keep what plain dlib finds, to run again")
    arguments = parser.parse_args()
    counts = {0} if arguments.heads else {0, 2} if arguments.hard else set(range(1, len(arguments.clips) + 1))
    if len(arguments.clips) not in counts:
        parser.error(
            "expected clips; with --hard those of the subject and of the other person, or none to use the cases in "
            "DIR; with --heads none"
        )
    return arguments


def _clips(arguments: argparse.Namespace, names: Sequence[str]) -> Iterator[str]:
    """Print a row for each clip and engine; yield a sentence for each bar that is not reached."""
    print(_HEAD, flush=True)
    for clip in arguments.clips:
        expected = plain(clip, arguments.keep)
        print(_plain_row(clip.name, expected), flush=True)
        for name in names:
            found = extract(clip, name, weights=arguments.weights)
            print(clip_row(clip.name, name, found, expected), flush=True)
            yield from (f"{clip.name}, {name}: {sentence}" for sentence in failures(found, expected))


def _hard(arguments: argparse.Namespace, names: Sequence[str]) -> Iterator[str]:
    """Print two rows for each hard case and engine; yield a sentence for each bar that is not reached."""
    if arguments.clips:
        hard_cases.write(arguments.hard, hard_cases.make(*map(hard_cases.footage, arguments.clips)))
    print(HEAD, flush=True)
    for clip, case in hard_cases.read(arguments.hard).items():
        expected = plain(clip, arguments.keep)
        for name in names:
            for subject in (None, case.chosen):
                found = extract(clip, name, subject, arguments.weights)
                judged = judge(found, expected, case, by_identity=subject is not None)
                print(judged.row(clip.stem, name), flush=True)
                choice = "chosen" if subject else "as FF++"
                yield from (f"{clip.stem}, {name}, subject {choice}: {sentence}" for sentence in judged.failures())


def _heads(arguments: argparse.Namespace, names: Sequence[str]) -> Iterator[str]:
    """Print the errors on the rendered heads; yield a sentence for each bar that is not reached."""
    finders = pictures.finders(names, arguments.weights)
    measured = {
        pose: {name: pictures.errors(of_pose, find) for name, find in finders.items()}
        for pose, of_pose in pictures.read(arguments.heads).items()
    }
    print(pictures.table(measured))
    yield from pictures.failures(measured)


def clip_row(clip: str, engine: str, found: Extracted, expected: Plain) -> str:
    """Return the table's row of a clip and engine."""
    has_face = is_found(found.points)
    apart = distances(found.points, expected.points)
    apart = apart[np.isfinite(apart)]
    counts = Counter(label for label in found.labels if label != "FOUND")
    return _row(
        clip,
        engine,
        f"{has_face.sum()} of {len(has_face)}",
        int((is_found(expected.points) & ~has_face).sum()),
        ", ".join(f"{label} {count}" for label, count in counts.items()),
        found.tracked,
        ", ".join(found.warned),
        f"{jitter(found.points):.4f}",
        "{:.3f}, {:.3f}".format(*np.percentile(apart, (50, 95))) if len(apart) else "",
        f"{found.milliseconds:.1f}",
    )


def failures(found: Extracted, expected: Plain) -> Iterator[str]:
    """Yield a sentence for each bar that an engine does not reach on a clip."""
    lost = is_found(expected.points) & ~is_found(found.points)
    if lost.any():
        yield f"plain dlib finds a face in {spans(lost)} in which it finds none."
    for label in untold(found.labels, found.warned):
        yield f"no warning tells of the frames with the label {label}."
    ours, plains = jitter(found.points), jitter(expected.points)
    if ours > _MAX_JITTER * plains:
        yield f"the landmarks jitter by {ours:.4f} eye distances, those of plain dlib by {plains:.4f}."


def _plain_row(clip: str, expected: Plain) -> str:
    has_face = is_found(expected.points)
    found, ms = f"{has_face.sum()} of {len(has_face)}", f"{expected.milliseconds:.1f}"
    return _row(clip, "*plain dlib*", found, "", "", "", "", f"{jitter(expected.points):.4f}", "", ms)


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    sys.exit(main())
