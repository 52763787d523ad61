"""The run record: what a dataset run did. The run writes it; the report and other programs read it.

`run.json` is a `RunRecord`, and `pairs/<pair>.json` a `PairRecord`; `facefoundry.dataset.run_folder` reads and writes
both. Every number that a run could not measure is null. Increment `FORMAT` when a reader of the old fields would fail.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Literal

from facefoundry import __version__
from facefoundry.codec import JsonObject
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.storage.info import ReasonCount

__all__ = [
    "FORMAT",
    "Failure",
    "FakeRecord",
    "IdentityDistances",
    "LossRow",
    "PairRecord",
    "Preview",
    "RunRecord",
    "Sample",
    "SequenceRecord",
    "StageTime",
    "State",
    "TrainingRecord",
]

FORMAT = "facefoundry.run/2"

State = Literal["pending", "running", "done", "failed"]
LossRow = tuple[float, float | None, float | None]
"""Iteration, loss on side A, loss on side B."""


@dataclass
class SequenceRecord:
    """A sequence and its extraction.

    Attributes:
        source_uri: The stored clip.
        frames: Number of frames.
        fps: Frames per second as a fraction, such as `30/1`.
        width: Of the frames, pixels.
        height: Of the frames, pixels.
        faces: Number of frames with a face.
        missing: The frames without a face, by reason.
        extraction_uri: The stored extraction.
        content_digest: Digest of the extraction's decoded content.
        samples: Sample pictures, relative to the run's folder.
    """

    source_uri: str = ""
    frames: int = 0
    fps: str = ""
    width: int = 0
    height: int = 0
    faces: int = 0
    missing: list[ReasonCount] = field(default_factory=list)
    extraction_uri: str = ""
    content_digest: str = ""
    samples: list[str] = field(default_factory=list)


@dataclass
class Preview:
    """A picture that the worker made during the training; `file` is relative to the run's folder."""

    iteration: int
    file: str


@dataclass
class TrainingRecord:
    """The training of a pair. `attempt` counts the tries at it from 1; `seconds` is the time of all of them."""

    uri: str = ""
    model_uri: str = ""
    iterations: int = 0
    iteration: int = 0
    seconds: float = 0.0
    iterations_per_second: float = 0.0
    attempt: int = 0
    losses: list[LossRow] = field(default_factory=list)
    previews: list[Preview] = field(default_factory=list)


@dataclass
class Sample:
    """Pictures of one frame of a fake, relative to the run's folder; empty where there is none."""

    frame: int
    source: str = ""
    target: str = ""
    swap: str = ""
    masks: str = ""
    masks_blend: str = ""
    masks_changed: str = ""


@dataclass
class IdentityDistances:
    """Median Euclidean distances of face embeddings over `frames` frames. About 0.6 separates two persons.

    The control is the target's face converted with the target's own decoder. It went through the same network and
    blending as the swap, so the two differ in identity alone.
    """

    frames: int = 0
    swap_to_source: float | None = None
    swap_to_target: float | None = None
    control_to_source: float | None = None
    control_to_target: float | None = None


@dataclass
class FakeRecord:
    """A manipulated sequence: the target's frames with the source's face.

    Attributes:
        id: `<target>_<source>`.
        target: Id of the sequence that gets a face.
        source: Id of the sequence that gives it.
        reused: The store already held this conversion.
        uri: The stored conversion.
        content_digest: Digest of its decoded content.
        frames: Number of frames.
        swapped: Number of frames that carry the source's face.
        labels: 1 for each swapped frame, 0 for the others, in order.
        reasons: The frames that were not swapped, by reason.
        samples: Sample pictures.
        quality: Measurements of the converter, by name.
        identity: Whose face the fake shows; None where that was not measured.
        mouth_correlation: Correlation of the mouth opening with the target's, -1 to 1.
    """

    id: str
    target: str
    source: str
    reused: bool = False
    uri: str = ""
    content_digest: str = ""
    frames: int = 0
    swapped: int = 0
    labels: list[int] = field(default_factory=list)
    reasons: list[ReasonCount] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    quality: dict[str, float | None] = field(default_factory=dict)
    identity: IdentityDistances | None = None
    mouth_correlation: float | None = None


@dataclass
class Failure:
    """Why a pair failed, and at which stage."""

    stage: str
    reason: str
    message: str


@dataclass
class StageTime:
    """How long one stage of a pair took."""

    stage: str
    seconds: float


@dataclass
class PairRecord:
    """Two sequences, the training on them and the two fakes made with its model."""

    id: str
    a: str
    b: str
    state: State = "pending"
    failure: Failure | None = None
    training: TrainingRecord = field(default_factory=TrainingRecord)
    fakes: list[FakeRecord] = field(default_factory=list)
    stages: list[StageTime] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        """Whether the pair is done or failed, so that its record no longer changes."""
        return self.state in ("done", "failed")

    @property
    def reused(self) -> bool:
        """Whether the store already held both fakes, so that nothing was made."""
        return self.state == "done" and bool(self.fakes) and all(fake.reused for fake in self.fakes)

    @property
    def seconds(self) -> float:
        """Time of all stages together."""
        return sum(stage.seconds for stage in self.stages)


@dataclass
class RunRecord:
    """A dataset run, without what its pairs did.

    Attributes:
        name: Name of the run, also its prefix in the bucket.
        command: The command line.
        recipe: All fields of the recipe.
        seed: Seed of the random pairing; None where the pairs were given.
        pairs: Ids of the pairs, in order.
        sequences: By id.
        seconds: Time since the run began.
        rights: What is known about the rights to the clips.
        versions: Versions of the software, by name.
        created: When the run began, ISO 8601.
        format: `FORMAT`.
        layout: Name of the dataset's layout.
    """

    name: str
    command: str
    recipe: JsonObject
    seed: int | None = None
    format: str = FORMAT
    created: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds"))
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=lambda: {"facefoundry": __version__})
    rights: str = "unstated"
    sequences: dict[str, SequenceRecord] = field(default_factory=dict)
    pairs: list[str] = field(default_factory=list)
    layout: str = FfppLayout.name
