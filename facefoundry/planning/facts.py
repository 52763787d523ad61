"""What a check finds out about a clip, and what a person should know of it. Pure functions."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log

from facefoundry.v1 import extractor_pb2

__all__ = ["ClipFacts", "FaceFacts", "facts_of", "features", "oddness"]

_FEW_FACES = 0.5
_TOO_FEW_FACES = 0.1  # the extractor refuses such a clip (FEW_FACES)
# Differences that are worth a look, of one person in one clip: in the logarithm of the size, yaw, pitch, skin.
_SCALES = (0.4, 0.4, 0.2, 12.0)


@dataclass(frozen=True)
class FaceFacts:
    """The faces in one frame: their number, and the look of the largest one, as in `v1.SampledFace`.

    `yaw` and `pitch` are 0 if the engine has no landmarks. Everything is 0 without a face.
    """

    frame: int
    faces: int
    width: float = 0.0
    height: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.0
    skin: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class ClipFacts:
    """What was found out about a clip.

    Attributes:
        id: Id of the clip.
        signature: What the facts hold for: the clip's place, its size and time or ETag, and how it was read.
        reason: Reason of the error, if the clip cannot be used; empty otherwise.
        message: Message of the error.
        source_uri: URI of the stored clip.
        size_bytes: Size of the clip.
        frames: Number of frames.
        fps: Frames per second.
        width: Width of the frames, pixels.
        height: Height of the frames, pixels.
        cuts: The first frames after cuts.
        samples: The faces in the frames that were searched.
        remarks: Sentences on what is doubtful.
        engine: Name of the engine that searched for faces.
        sample_frames: Number of frames to search that was asked for; a short clip has fewer.
    """

    id: str
    signature: str
    reason: str = ""
    message: str = ""
    source_uri: str = ""
    size_bytes: int = 0
    frames: int = 0
    fps: float = 0.0
    width: int = 0
    height: int = 0
    cuts: list[int] = field(default_factory=list)
    samples: list[FaceFacts] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    engine: str = ""
    sample_frames: int = 0

    @property
    def share(self) -> float:
        """Share of the searched frames with a face; 0 if none was searched."""
        return sum(sample.faces > 0 for sample in self.samples) / max(1, len(self.samples))

    @property
    def has_faces(self) -> bool:
        """Whether enough frames have a face for the extractor to accept the clip."""
        return not self.reason and self.share >= _TOO_FEW_FACES

    @property
    def has_few_faces(self) -> bool:
        """Whether a face is in less than half of the frames, though the clip is accepted."""
        return self.has_faces and self.share < _FEW_FACES

    @property
    def crowded(self) -> int:
        """Number of searched frames with several faces."""
        return sum(sample.faces > 1 for sample in self.samples)

    def findings(self) -> list[str]:
        """Return sentences on what a person should look at."""
        if self.reason:
            return [f"{self.message} [{self.reason}]"]
        made = list(self.remarks)
        if not self.has_faces or self.has_few_faces:
            found = sum(sample.faces > 0 for sample in self.samples)
            made.insert(0, f"A face is in {found} of {len(self.samples)} frames that were searched.")
        if self.crowded:
            made.append(f"Several faces are in {self.crowded} of {len(self.samples)} frames that were searched.")
        if self.cuts:
            made.append(f"There are {len(self.cuts)} cuts, the first at frame {self.cuts[0]}.")
        return made


def facts_of(
    clip_id: str, signature: str, source: extractor_pb2.Source, found: extractor_pb2.InspectResponse
) -> ClipFacts:
    """Return what an import and an inspection say about a clip."""
    rate = found.frame_rate
    remarks = [*found.remarks, *(f"{warning.message} [{warning.reason}]" for warning in found.warnings)]
    return ClipFacts(
        id=clip_id,
        signature=signature,
        source_uri=source.uri,
        size_bytes=source.size_bytes,
        frames=found.frame_count,
        fps=rate.numerator / max(1, rate.denominator),
        width=found.width,
        height=found.height,
        cuts=list(found.cuts),
        samples=[_face(sample) for sample in found.samples],
        remarks=[remark for remark in remarks if "[SEVERAL_FACES]" not in remark],
    )


def features(facts: ClipFacts) -> tuple[float, ...] | None:
    """Return the numbers by which `nearest` compares clips: medians of pose, size and skin; None without a face.

    Size is the logarithm of the face's height in heights of the frame.
    """
    faces = [sample for sample in facts.samples if sample.faces]
    if not faces or facts.reason:
        return None
    rows = [(face.yaw, face.pitch, log(max(1.0, face.height) / max(1, facts.height)), *face.skin) for face in faces]
    return tuple(statistics.median(column) for column in zip(*rows, strict=True))


def oddness(samples: Sequence[FaceFacts]) -> list[float]:
    """Return how much the face in each frame differs from the median face of the clip: 0 is not at all, 1 is a lot.

    A frame with several faces has 1 more, and one without a face 0.
    """
    rows = [_look(sample) for sample in samples if sample.faces]
    if not rows:
        return [0.0] * len(samples)
    median = [statistics.median(column) for column in zip(*rows, strict=True)]
    scales = (*_SCALES[:3], *[_SCALES[3]] * 3)
    found: list[float] = []
    for sample in samples:
        differences = zip(_look(sample), median, scales, strict=True)
        largest = max(abs(value - middle) / scale for value, middle, scale in differences) if sample.faces else 0.0
        found.append(largest + (sample.faces > 1))
    return found


def _look(sample: FaceFacts) -> tuple[float, ...]:
    return log(max(1.0, sample.height)), sample.yaw, sample.pitch, *sample.skin


def _face(sample: extractor_pb2.FaceSample) -> FaceFacts:
    face = sample.largest
    if not sample.HasField("largest"):
        return FaceFacts(sample.frame, sample.faces)
    lightness, a, b = face.skin
    return FaceFacts(sample.frame, sample.faces, face.width, face.height, face.yaw, face.pitch, (lightness, a, b))
