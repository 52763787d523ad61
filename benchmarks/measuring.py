"""`python -m benchmarks.measuring OUT...`: what measuring its fakes adds to the CPU time of a pair.

OUT is the folder of a finished dataset. Its record has the CPU time of each stage, comparisons of fakes among them. Two
figures are in no record, and are timed here: the pixel measures, which are part of a conversion, on some frames of each
fake; and the face embeddings of the clips, on some frames of each, by which `preview` also follows the subject.

    python -m benchmarks.preview a.mp4 b.mp4 -o OUT
    python -m benchmarks.measuring OUT/ours-a-b/trained OUT/ours-a-b/fakes
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from facefoundry import codec
from facefoundry.checks.measured import LabelFile
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.layouts import layout_of
from facefoundry.dataset.record import FakeRecord, StageTime
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.faces.mean_face import FIRST_LANDMARK, MEAN_FACE
from facefoundry.planning.estimate import EMBEDDED_OF_CLIP
from services.converter.composite import Patch
from services.converter.mask import Box
from services.converter.quality import Quality
from services.extractor.identity import FaceEmbedder

__all__ = ["HEAD", "Cost", "cost_of", "main", "row"]

Frame = NDArray[np.uint8]

HEAD = """| pair | CPU s | comparisons | pixels | without them | they add | embeddings of clips | all add |
|---|---|---|---|---|---|---|---|"""
_FRAMES = 24
_COMPARISONS = "compare "


@dataclass(frozen=True)
class Cost:
    """CPU time of a pair, seconds.

    Attributes:
        whole: All stages of the pair and of its clips, the training among them.
        comparisons: What of that is the conversion and extraction of sampled frames and controls.
        pixels: What of that are the pixel measures of conversions.
        embeddings: What of that are the face embeddings of the clips.
    """

    whole: float
    comparisons: float
    pixels: float = 0.0
    embeddings: float = 0.0

    @property
    def without(self) -> float:
        """CPU time of the pair if its fakes were not measured."""
        return self.whole - self.comparisons - self.pixels

    @property
    def added(self) -> float:
        """What measures add to a pair without them, as a share of that."""
        return (self.comparisons + self.pixels) / self.without

    @property
    def added_with_embeddings(self) -> float:
        """The same, if the face embeddings of the clips count as measures."""
        return self.whole / (self.without - self.embeddings) - 1


def cost_of(stages: Iterable[StageTime], pixels: float, embeddings: float) -> Cost:
    """Sum the stages of a pair, each once: a later record of a stage replaces an earlier one."""
    seconds = {stage.stage: stage.usage.cpu_seconds for stage in stages if stage.usage}
    compared = sum(value for name, value in seconds.items() if name.startswith(_COMPARISONS))
    return Cost(sum(seconds.values()), compared, pixels, embeddings)


def row(name: str, cost: Cost) -> str:
    """Return a row of `HEAD`'s table."""
    seconds = (cost.whole, cost.comparisons, cost.pixels, cost.without)
    cells = [name, *(f"{value:.1f}" for value in seconds), f"{cost.added:.1%}"]
    return f"| {' | '.join([*cells, f'{cost.embeddings:.1f}', f'{cost.added_with_embeddings:.1%}'])} |"


def _frames(path: Path) -> list[Frame]:
    """Decode the first frames of a video."""
    with av.open(str(path)) as container:
        frames = itertools.islice(container.decode(video=0), _FRAMES)
        return [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in frames]


def _seconds(work: Callable[[], object]) -> float:
    """Return the CPU time of the second of two calls; the first one loads what it needs."""
    work()
    before = time.process_time()
    work()
    return time.process_time() - before


def _boxes(layout: Layout, fake: FakeRecord) -> list[Box | None]:
    labels = codec.from_json(LabelFile, layout.labels(fake.id).read_bytes())
    return [Box(*label.box) if label.box else None for label in labels.frames]


def _pixels(layout: Layout, fake: FakeRecord) -> float:
    """Return the CPU time of the pixel measures of a fake, seconds: that of some frames, for all swapped ones."""
    made, real = (_frames(path) for path in (layout.fake_video("raw", fake.id), layout.real_video("raw", fake.target)))
    boxes = _boxes(layout, fake)
    shown = [(frame, target, box) for frame, target, box in zip(made, real, boxes, strict=False) if box]
    patches = [
        Patch(box.region, frame[box.region.slices], np.full((box.height, box.width), 255, np.uint8), box)
        for frame, _, box in shown
    ]
    changed = [cv2.absdiff(frame, target).max(axis=2) for frame, target, _ in shown]

    def measure() -> None:
        quality = Quality()
        for (frame, target, _), difference, patch in zip(shown, changed, patches, strict=True):
            quality.add(target, frame, difference, patch)

    return _seconds(measure) / max(1, len(shown)) * fake.swapped


def _embeddings(layout: Layout, fake: FakeRecord, faces: int) -> float:
    """Return the CPU time of the face embeddings of a fake's target, seconds: that of some, for one of five faces."""
    jaw = np.stack([np.linspace(0, 1, FIRST_LANDMARK), np.full(FIRST_LANDMARK, 1.0)], axis=1)
    points = np.vstack([jaw, MEAN_FACE])
    frames = _frames(layout.real_video("raw", fake.target))
    shown = [(frame, box) for frame, box in zip(frames, _boxes(layout, fake), strict=False) if box][:4]
    embedder = FaceEmbedder()

    def embed() -> None:
        for frame, box in shown:
            landmarks = np.array(box[:2], np.float32) + points * np.array(box[2:], np.float32)
            embedder.embed(frame, landmarks.astype(np.float32))

    return _seconds(embed) / max(1, len(shown)) * faces / EMBEDDED_OF_CLIP


def main(argv: Sequence[str] | None = None) -> None:
    """Print a row for each pair that is done."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.measuring", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("datasets", nargs="+", type=Path, metavar="OUT", help="folders whose runs made the same pairs")
    stages, timed = dict[str, list[StageTime]](), dict[str, tuple[float, float]]()
    for out in parser.parse_args(argv).datasets:
        layout = layout_of(out)
        folder = RunFolder(layout.run_folder())
        run = folder.load_run()
        for pair in folder.load_pairs():
            stages.setdefault(pair.id, []).extend(pair.stages)
            made = [fake for fake in pair.fakes if fake.swapped and pair.state == "done"]
            if made:
                embeddings = [_embeddings(layout, fake, run.sequences[fake.target].faces) for fake in made]
                timed[pair.id] = (sum(_pixels(layout, fake) for fake in made), sum(embeddings))
    print(HEAD)
    for name, (pixels, embedded) in timed.items():
        print(row(name, cost_of(stages[name], pixels, embedded)))


if __name__ == "__main__":
    main()
