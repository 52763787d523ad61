"""The dataclasses of the run record, which states what a dataset run did. The report and other programs read it.

The file `run.json` contains a `RunRecord`, each file `pairs/<pair>.json` a `PairRecord`; `run_folder` reads and writes
them. A number that could not be measured is null. Increment `FORMAT` when old readers cannot read the new fields.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Literal

from facefoundry import __version__
from facefoundry.codec import JsonObject
from facefoundry.dataset.about import About
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.gates import DEFAULT_GATES, MEASURES, FailedGate, Gate
from facefoundry.dataset.rights import UNSTATED
from facefoundry.dataset.tables import html_table
from facefoundry.storage.info import ExtractionWarning, ReasonCount
from facefoundry.storage.usage import Usage

__all__ = [
    "FORMAT",
    "Estimate",
    "Failure",
    "FakeRecord",
    "IdentityDistances",
    "LossRow",
    "PairRecord",
    "Preview",
    "Retraining",
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
"""Iteration, loss of side A, loss of side B."""


@dataclass(frozen=True)
class Estimate:
    """What a dataset costs, by an estimate.

    Attributes:
        training_hours: Hours of trainings, on the GPUs of services that have some; None if no speed is known.
        cpu_hours: Hours of one CPU core for extractions, conversions and encodings.
        stored_bytes: Bytes of clips, faces, chunks and models in the bucket.
        video_bytes: Bytes of the videos of the dataset; None if unknown.
        clip_bytes: Bytes of the clips among `stored_bytes`.
    """

    training_hours: float | None
    cpu_hours: float
    stored_bytes: float
    video_bytes: float | None
    clip_bytes: float = 0.0


@dataclass
class SequenceRecord:
    """A sequence and its extraction.

    Attributes:
        source_uri: URI of the stored clip.
        frames: Number of frames.
        fps: Frames per second as a fraction, such as `30/1`.
        width: Width of the frames, pixels.
        height: Height of the frames, pixels.
        faces: Number of frames with the subject's face.
        missing: Numbers of frames without the subject's face, by reason.
        extraction_uri: URI of the stored extraction.
        content_digest: Content digest of the extraction.
        samples: Paths of the sample pictures, relative to the run's folder.
        remarks: What is in doubt about the clip: its frame rate, streams and missing frames.
        warnings: What is in doubt about the subject and the faces.
        rights: SHA-256 of the record of the rights to the clip; or `unstated`.
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
    remarks: list[str] = field(default_factory=list)
    warnings: list[ExtractionWarning] = field(default_factory=list)
    rights: str = UNSTATED

    @property
    def doubts(self) -> list[str]:
        """All sentences on what is in doubt."""
        return [*self.remarks, *(warning.message for warning in self.warnings)]


@dataclass
class Preview:
    """A preview picture from a training: its iteration, and its path relative to the run's folder."""

    iteration: int
    file: str


@dataclass
class TrainingRecord:
    """The training of a pair.

    Attributes:
        uri: URI of the training; empty if the model was not trained in this run.
        model_uri: URI of the model.
        iterations: Number of iterations of the whole training.
        iteration: Number of finished iterations.
        seconds: Time that all attempts took together; 0 if unknown.
        iterations_per_second: Speed of the training; 0 if unknown.
        attempt: Number of the current attempt, from 1; 0 before the first.
        losses: Losses of both sides during the training.
        previews: Preview pictures.
        restart: Sentence on the restart of the training after a collapse; empty if there was none.
        warnings: Sentences on what is in doubt about the training.
        seed: Seed of the training; 0 if the model was not trained in this run.
    """

    uri: str = ""
    model_uri: str = ""
    iterations: int = 0
    iteration: int = 0
    seconds: float = 0.0
    iterations_per_second: float = 0.0
    attempt: int = 0
    losses: list[LossRow] = field(default_factory=list)
    previews: list[Preview] = field(default_factory=list)
    restart: str = ""
    warnings: list[str] = field(default_factory=list)
    seed: int = 0


@dataclass
class Sample:
    """The pictures of one frame of a fake: their paths, relative to the run's folder; empty for a missing picture."""

    frame: int
    source: str = ""
    target: str = ""
    swap: str = ""
    masks: str = ""
    masks_blend: str = ""
    masks_changed: str = ""


@dataclass
class IdentityDistances:
    """Median Euclidean distances between face embeddings, over `frames` frames. Above about 0.6 the persons differ.

    The swap is the fake. The control is the target's face converted with the target's own decoder. Network and blending
    of control and fake are the same, so they differ only in whose face they show.
    """

    frames: int = 0
    swap_to_source: float | None = None
    swap_to_target: float | None = None
    control_to_source: float | None = None
    control_to_target: float | None = None

    @property
    def nearer(self) -> float | None:
        """How much nearer the swap is to the source than to the target."""
        return _difference(self.swap_to_target, self.swap_to_source)

    @property
    def gain(self) -> float | None:
        """How much nearer the swap is to the source than the control is."""
        return _difference(self.control_to_source, self.swap_to_source)


def _difference(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else round(first - second, 4)


@dataclass
class FakeRecord:
    """A fake: the target's frames with the source's face.

    Attributes:
        id: `<target>_<source>`.
        target: Id of the sequence whose frames the fake keeps.
        source: Id of the sequence that gives the face.
        reused: Whether the store already had this conversion.
        uri: URI of the stored conversion.
        content_digest: Content digest of the conversion.
        frames: Number of frames.
        swapped: Number of frames in which the face was replaced.
        labels: 1 for each swapped frame, 0 for the others, in order.
        reasons: Numbers of the frames that were not swapped, by reason.
        samples: Pictures of some frames.
        quality: Measurements, by name; docs/quality.md has a table of them.
        identity: Whose face the fake shows; None if it was not measured.
        sampled: Number of sampled frames: runs of three consecutive swapped frames, evenly spread.
        failed: The gates that the fake does not pass.
        faults: What keeps the fake from being good enough to judge by, in words.
        dropped: Whether a gate left the fake out of the dataset.
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
    sampled: int = 0
    failed: list[FailedGate] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    dropped: bool = False


@dataclass
class Failure:
    """Why a pair failed: the stage, and the reason and message of the error."""

    stage: str
    reason: str
    message: str


@dataclass
class StageTime:
    """How long one stage of a pair took, and what its result took when it was made, in this run or an earlier one.

    Attributes:
        stage: Name of the stage, with the id of the sequence or fake that it worked on.
        seconds: Duration in this run, to the millisecond.
        usage: CPU time, time on a GPU and energy; None if unknown.
        stored_bytes: Bytes of the result in the bucket, without its videos.
        video_bytes: Bytes of its videos and masks.
        retries: Failed calls and transfers that were repeated in this run; of a training also its further attempts.
    """

    stage: str
    seconds: float
    usage: Usage | None = None
    stored_bytes: int = 0
    video_bytes: int = 0
    retries: int = 0


@dataclass
class Retraining:
    """The second training of a pair, with another seed, because a gate asked for it.

    Attributes:
        replaced: Whether the second training and its fakes are those of the dataset; otherwise the first are.
        training: The training that is not.
        fakes: Its fakes, with their figures; they are no part of the dataset.
        failure: Why there is no second training; None if there is one.
    """

    replaced: bool = False
    training: TrainingRecord = field(default_factory=TrainingRecord)
    fakes: list[FakeRecord] = field(default_factory=list)
    failure: Failure | None = None


@dataclass
class PairRecord:
    """A pair of sequences: its training and its two fakes.

    Attributes:
        id: `<A>_<B>`.
        a: Id of sequence A.
        b: Id of sequence B.
        state: How far the pair is.
        failure: Why it failed; None if it did not.
        training: Its training.
        fakes: Its fakes, those that were dropped too.
        stages: How long each stage took.
        retraining: Its second training; None if there was none.
        rights: SHA-256 of the record of the rights to each clip, or `unstated`, by id of the clip.
    """

    id: str
    a: str
    b: str
    state: State = "pending"
    failure: Failure | None = None
    training: TrainingRecord = field(default_factory=TrainingRecord)
    fakes: list[FakeRecord] = field(default_factory=list)
    stages: list[StageTime] = field(default_factory=list)
    retraining: Retraining | None = None
    rights: dict[str, str] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether the pair is done or failed. Its record then no longer changes."""
        return self.state in ("done", "failed")

    @property
    def reused(self) -> bool:
        """Whether the store already had both fakes, so that none was made."""
        return self.state == "done" and bool(self.fakes) and all(fake.reused for fake in self.fakes)

    @property
    def seconds(self) -> float:
        """The sum of the durations of all stages."""
        return sum(stage.seconds for stage in self.stages)

    def __repr__(self) -> str:
        return f"PairRecord({self.id!r}, {self.state!r}, {[fake.id for fake in self.fakes]})"

    def _repr_html_(self) -> str:
        names = list(dict.fromkeys(name for fake in self.fakes for name in MEASURES if name in fake.quality))
        values = ((fake, (fake.quality.get(name) for name in names)) for fake in self.fakes)
        rows = (
            (fake.id, *("" if value is None else f"{value:.3g}" for value in row), ", ".join(fake.faults))
            for fake, row in values
        )
        failure = f": {self.failure.message}" if self.failure else ""
        return html_table(("fake", *names, "faults"), rows, f"{self.id} {self.state}{failure}")


@dataclass
class RunRecord:
    """A dataset run, without the records of its pairs.

    Attributes:
        name: Name of the run, also its prefix in the bucket.
        command: The command line that started the run.
        recipe: All fields of the recipe.
        seed: Seed of the random pairing; None if the pairs were given.
        pairs: Ids of the pairs, in order.
        done: Number of pairs that are done.
        failures: Why pairs failed, by the id of the pair.
        sequences: The extracted sequences, by id.
        seconds: Duration of the run until now, to the millisecond.
        rights: What is known about the rights to the clips, such as `consent for 12 clips`; or `unstated`. The records
            are in `misc/rights.json`.
        rights_end: Last day of those rights that end first, ISO 8601; empty if none of them ends.
        about: What people should know of the dataset, as the dataset file says.
        versions: Versions of the software, by name.
        created: When the run began, ISO 8601.
        format: `FORMAT`.
        layout: Name of the dataset's layout.
        retention: Days that results stay in the bucket after the run has ended, by their kind, such as `extractions`; a
            kind that is not named stays.
        estimate: What the plan expected the dataset to cost; None if its clips were not checked.
        gates: The bars that its fakes were held to.
        dataset_version: The version of the dataset, a digest of its content; empty until all pairs have ended.
    """

    name: str
    command: str
    recipe: JsonObject
    seed: int | None = None
    format: str = FORMAT
    created: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds"))
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=lambda: {"facefoundry": __version__})
    rights: str = UNSTATED
    rights_end: str = ""
    about: About = field(default_factory=About)
    done: int = 0
    failures: dict[str, Failure] = field(default_factory=dict)
    sequences: dict[str, SequenceRecord] = field(default_factory=dict)
    pairs: list[str] = field(default_factory=list)
    layout: str = FfppLayout.name
    retention: dict[str, int] = field(default_factory=dict)
    estimate: Estimate | None = None
    gates: list[Gate] = field(default_factory=lambda: list(DEFAULT_GATES))
    dataset_version: str = ""
