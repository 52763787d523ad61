"""What real faces measure if one real video is taken for a fake of another: the best that a fake can reach.

Motion and look are those of the target encoded once more at c23, in place of the fake. Identity is that of the second
half of the source, compared with the first halves of source and target; the second half of the target is the control.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.material import write_clip
from facefoundry.dataset import comparison
from facefoundry.dataset.record import FakeRecord, IdentityDistances
from facefoundry.faces import measures
from facefoundry.media.read import open_source
from facefoundry.v1 import recipe_pb2
from services.converter.composite import Patch
from services.converter.mask import Box
from services.converter.quality import Quality
from services.converter.warp import Region
from services.extractor import engines
from services.extractor.boxes import largest, truncate_box
from services.extractor.identity import FaceEmbedder

__all__ = ["RealFace", "real_fake", "watch"]

_CRF = 23
Frames = list[NDArray[np.uint8]]


@dataclass(frozen=True)
class RealFace:
    """The face of a clip in sampled frames, and in the same frames encoded once more.

    Attributes:
        name: Name of the clip.
        frames: Numbers of the sampled frames.
        landmarks: float32 [n, 68, 2].
        encoded: The same of the encoded frames.
        embeddings: float32 [m, 128], of one of three frames.
        look: Figures of the encoded face as those of a fake, as `Quality.figures` returns them.
    """

    name: str
    frames: list[int]
    landmarks: NDArray[np.float32]
    encoded: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    look: dict[str, float]


def watch(clip: Path) -> RealFace:
    """Find and measure the face of a clip, and of the clip encoded once more at c23.

    Raises:
        ValueError: a sampled frame has no face.
    """
    engine, embedder = engines.load("dlib", None), FaceEmbedder()
    real = _decoded(clip)
    with tempfile.TemporaryDirectory() as scratch:
        made = _decoded(write_clip(Path(scratch) / "c23.mp4", real, crf=_CRF))
    conversion = recipe_pb2.ConversionOptions()
    frames = comparison.sampled_frames(np.ones(len(real), np.bool_), conversion, len(real))

    def landmarks(pictures: Frames) -> NDArray[np.float32]:
        found = []
        for frame in frames:
            boxes = engine.detect(pictures[frame])
            if not len(boxes):
                raise ValueError(f"Expected a face in frame {frame} of {clip}. Found none. Use another clip.")
            found.append(engine.landmarks(pictures[frame], truncate_box(largest(boxes))))
        return np.stack(found)

    own, encoded = landmarks(real), landmarks(made)
    embeddings = np.stack([embedder.embed(real[frames[place]], own[place]) for place in range(0, len(frames), 3)])
    quality = Quality()
    for place, frame in enumerate(frames):
        patch = _patch(own[place], real[frame], made[frame])
        output = patch.apply(real[frame])
        if place and frame != frames[place - 1] + 1:
            quality.cut()
        quality.add(real[frame], output, patch.changed_mask(real[frame]), patch)
    return RealFace(clip.stem, frames, own, encoded, embeddings, quality.figures())


def real_fake(target: RealFace, source: RealFace) -> FakeRecord:
    """Return the record of a fake that is as good as real."""
    runs = measures.runs_of_three(target.frames, np.ones(len(target.frames), np.bool_))
    figures: dict[str, float | None] = {**target.look, "face_share": 1.0}
    for name, measure in {"mouth": measures.mouth_opening, "head": measures.head_turn}.items():
        figures[name] = measures.correlation(measure(target.encoded), measure(target.landmarks))
        figures[f"{name}_motion"] = measures.deviation(measure(target.landmarks))
    figures["jitter"] = measures.jitter(target.encoded[runs]) / measures.jitter(target.landmarks[runs])
    half = len(source.embeddings) // 2

    def distance(faces: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
        return float(np.median(np.linalg.norm(faces - reference.mean(axis=0), axis=1)))

    (from_target, control), (from_source, swap) = (
        (each.embeddings[:half], each.embeddings[half:]) for each in (target, source)
    )
    identity = IdentityDistances(
        len(swap),
        distance(swap, from_source),
        distance(swap, from_target),
        distance(control, from_source),
        distance(control, from_target),
    )
    figures |= {"identity": identity.nearer, "identity_gain": identity.gain}
    return FakeRecord(f"{target.name}_{source.name}", target.name, source.name, quality=figures, identity=identity)


def _decoded(clip: Path) -> Frames:
    with open_source(clip) as source:
        return [frame.copy() for frame in source]


def _patch(landmarks: NDArray[np.float32], real: NDArray[np.uint8], made: NDArray[np.uint8]) -> Patch:
    """Return a patch that puts the pixels of one frame into another, inside the convex hull of the landmarks."""
    height, width = real.shape[:2]
    mask = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(landmarks).astype(np.int32)), 255)
    x, y, w, h = cv2.boundingRect(mask)
    region = Region(x, y, x + w, y + h)
    blend = np.ascontiguousarray(mask[region.slices])
    pixels = np.where(blend[..., None] > 0, made[region.slices], real[region.slices])
    return Patch(region, pixels, blend, Box(x, y, w, h))
