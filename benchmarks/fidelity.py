"""`python -m benchmarks.fidelity CLIP...`: conversions by OpenCV 3.4.1, as FF++ made them, beside the product's.

OpenCV 3.4.1 needs Python 3.6, so its steps run in an environment of their own (`benchmarks/reference/opencv341.py`).
Both converters, OpenCV 3.4.1's and the product's, get the same frames, landmarks and matrices. Each frame is converted
with two faces: the frame's own face, blurred, and a face that a network made of it. Each converter reads the frame's
face itself. The command fails if a frame exceeds a bound.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.old_python import interpreter
from facefoundry.faces.crop import cut, face_matrix
from facefoundry.media.read import open_source
from facefoundry.model.architecture import Architecture, unpack
from facefoundry.model.swap import Swapper
from services.converter.composite import composite
from services.converter.mask import MaskOptions
from services.extractor import engines
from services.extractor.boxes import truncate_box
from services.extractor.tracking import Subject

Frames = NDArray[np.uint8]
MakeFaces = Callable[[Frames], NDArray[np.float32]]

_SCRIPT = Path(__file__).parent / "reference" / "opencv341.py"
_PACKAGES = ("opencv-python==3.4.1.15", "numpy==1.19.5")
_FFPP = MaskOptions("facehullandrect", 0, 2)
_HEAD = (
    "| clip | face | frames | box equal | changed outside `masks` | within 1 level inside | largest | crops, largest |"
)
_DETECT_EVERY = 12

MIN_WITHIN_A_LEVEL = 0.999
MAX_DIFFERENCE = 3
MAX_CROP_DIFFERENCE = 1


@dataclass(frozen=True)
class Scenes:
    """Frames of a clip that have a face.

    Attributes:
        frames: uint8 [n, h, w, 3] BGR.
        landmarks: float32 [n, 68, 2], whole numbers.
        matrices: float64 [n, 2, 3], frame to the mean face's unit square.
    """

    frames: Frames
    landmarks: NDArray[np.float32]
    matrices: NDArray[np.float64]


@dataclass(frozen=True)
class Agreement:
    """How far the product's conversions of a clip differ from OpenCV 3.4.1's conversions.

    Attributes:
        clip: Name of the clip.
        face: Which face is put on the frames: the blurred one or the network's.
        frames: Number of frames that OpenCV 3.4.1 converts.
        boxes: Number of these frames whose box is equal in both conversions.
        outside: Pixels outside the box that the product changes.
        within: Share of the values inside the boxes that differ by at most one grey level.
        largest: Largest difference inside the boxes, grey levels.
        crops: Largest difference of crops and network inputs, grey levels.
    """

    clip: str
    face: str
    frames: int
    boxes: int
    outside: int
    within: float
    largest: int
    crops: int

    @property
    def holds(self) -> bool:
        """Whether all bounds hold."""
        return (
            self.boxes == self.frames > 0
            and self.outside == 0
            and self.within >= MIN_WITHIN_A_LEVEL
            and self.largest <= MAX_DIFFERENCE
            and self.crops <= MAX_CROP_DIFFERENCE
        )

    def __str__(self) -> str:
        """Return a row of the table."""
        # Cut and not rounded: 100 % means all.
        within = f"{np.floor(self.within * 1e5) / 1e3:.3f} %"
        values = (self.clip, self.face, self.frames, f"{self.boxes} of {self.frames}", self.outside, within)
        return f"| {' | '.join(map(str, (*values, self.largest, self.crops)))} |"


def main() -> int:
    """Compare the clips that the arguments name; return 0 when all bounds hold."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as scratch:
        environment = arguments.environment or Path(scratch) / "python3.6"
        python = interpreter(arguments.python, environment, "import cv2; print(cv2.__version__)", "3.4.1", _PACKAGES)
        faces: Mapping[str, MakeFaces] = {"own, blurred": _blurred, "network's": _network(arguments)}
        print(_HEAD, "|---|---|---|---|---|---|---|---|", sep="\n", flush=True)
        rows = []
        for clip in arguments.clips:
            old = _Old(python, Path(scratch), _scenes(clip, arguments.frames))
            for name, make in faces.items():
                rows.append(_compare(clip.stem, name, make, old))
                print(rows[-1], flush=True)
    return int(not all(row.holds for row in rows))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fidelity", description=__doc__)
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP")
    parser.add_argument("--frames", type=int, default=60, help="frames of each clip that have a face")
    parser.add_argument("--python", default="python3.6", help="Python 3.6, with or without OpenCV 3.4.1")
    parser.add_argument("--environment", type=Path, help="where to keep the environment that is made for OpenCV 3.4.1")
    parser.add_argument("--model", type=Path, help="networks of a model; without it, a small random network")
    parser.add_argument("--decoder", choices=("a", "b"), default="b", help="side of the model's decoder")
    return parser.parse_args()


def _scenes(clip: Path, count: int) -> Scenes:
    """Return the first frames of a clip that have a face, with landmarks as the recipe ffpp finds them."""
    engine = engines.load("dlib")
    subject = Subject(engine, _DETECT_EVERY)

    def found() -> Iterator[tuple[Frames, NDArray[np.float32]]]:
        with open_source(clip) as source:
            for frame in source:
                box = subject.follow(frame).box
                if box is not None:
                    yield frame, np.trunc(engine.landmarks(frame, truncate_box(box)))

    chosen = list(islice(found(), count))
    if not chosen:
        sys.exit(f"Expected a clip with a face. {clip} has none.")
    frames, landmarks = (np.stack(values) for values in zip(*chosen, strict=True))
    return Scenes(np.asarray(frames, np.uint8), np.asarray(landmarks, np.float32), face_matrix(landmarks))


class _Old:
    """OpenCV 3.4.1 in its process, for the frames of one clip."""

    def __init__(self, python: str, scratch: Path, scenes: Scenes) -> None:
        self.scenes = scenes
        self._python = python
        self._scratch = scratch
        np.save(scratch / "frames.npy", scenes.frames)

    def run(self, command: str, **inputs: NDArray[np.generic]) -> dict[str, NDArray[np.generic]]:
        """Run a command of the script; return its outputs by name."""
        paths = [self._scratch / name for name in ("frames.npy", "inputs.npz", "outputs.npz")]
        # numpy's stub takes the names of arrays for options.
        save: Callable[..., None] = np.savez
        save(paths[1], matrices=self.scenes.matrices, landmarks=self.scenes.landmarks, **inputs)
        done = subprocess.run(
            [self._python, str(_SCRIPT), command, *map(str, paths)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(f"OpenCV 3.4.1 ended with {done.returncode}: {done.stderr.strip()[-1000:]}")
        with np.load(paths[2]) as outputs:
            return {name: outputs[name] for name in outputs.files}


def _compare(clip: str, face: str, make: MakeFaces, old: _Old) -> Agreement:
    scenes = old.scenes
    read = old.run("read")
    pairs = list(zip(scenes.frames, scenes.matrices, strict=True))
    faces, crops = (np.stack([cut(*pair, *shape) for pair in pairs]) for shape in ((64, 0), (256, 48)))
    converted = old.run("convert", made=make(np.asarray(read["faces"], np.uint8)))
    counts = {"frames": 0, "boxes": 0, "outside": 0}
    inside: list[NDArray[np.int64]] = []
    rows = zip(*_of(scenes), make(faces), *(converted[name] for name in ("boxes", "outputs")), strict=True)
    for frame, matrix, landmarks, pixels, box, expected in rows:
        if not box.any():
            continue
        patch = composite(frame, pixels, matrix, landmarks, _FFPP, "opencv-3.4.1")
        counts["frames"] += 1
        if patch is None:
            continue
        output, region = patch.apply(frame), patch.box.region.slices
        counts["boxes"] += tuple(box) == (patch.box.x, patch.box.y, patch.box.width, patch.box.height)
        counts["outside"] += int(((output != frame).any(axis=2) & (patch.box_mask(frame.shape) == 0)).sum())
        inside.append(np.abs(output[region].astype(np.int64) - expected[region]).ravel())
    differences = np.concatenate(inside) if inside else np.zeros(0, np.int64)
    return Agreement(
        clip,
        face,
        **counts,
        within=float((differences <= 1).mean()) if differences.size else 0.0,
        largest=int(differences.max(initial=0)),
        crops=max(_largest(faces, read["faces"]), _largest(crops, read["crops"])),
    )


def _of(scenes: Scenes) -> Sequence[NDArray[np.generic]]:
    return scenes.frames, scenes.matrices, scenes.landmarks


def _largest(ours: Frames, theirs: NDArray[np.generic]) -> int:
    return int(np.abs(ours.astype(np.int64) - theirs.astype(np.int64)).max())


def _blurred(faces: Frames) -> NDArray[np.float32]:
    return np.stack([cv2.GaussianBlur(face, (0, 0), 2) for face in faces]).astype(np.float32) / np.float32(255)


def _network(arguments: argparse.Namespace) -> MakeFaces:
    if arguments.model is not None:
        return Swapper(*unpack(arguments.model), arguments.decoder)
    # Of no use but to paint: random weights that fill the range of levels, other ones in every pixel.
    architecture = Architecture((16, 32, 64, 128), 64, 64, (64, 32, 16))
    random = np.random.default_rng(0)
    tensors = {
        f"{network}/{name}": (
            random.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape) if len(shape) > 1 else np.zeros(shape)
        ).astype(np.float32)
        for network, layers in architecture.shapes().items()
        for name, shape in layers.items()
    }
    tensors["decoder_b/output/kernel"] *= 4
    return Swapper(architecture, tensors, "b")


if __name__ == "__main__":
    sys.exit(main())
