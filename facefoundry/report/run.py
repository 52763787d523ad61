"""The run record as the report reads it: every field may be missing, nothing is believed that is not checked."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from facefoundry.errors import InvalidInput, NotFound

__all__ = [
    "Failure",
    "Fake",
    "Identity",
    "Pair",
    "Preview",
    "ReasonFrames",
    "Run",
    "Sample",
    "Sequence",
    "Stage",
    "State",
    "Training",
    "load",
]

_FORMAT: Literal["facefoundry.run/1"] = "facefoundry.run/1"

State = Literal["pending", "running", "done", "failed"]


def _number_or_none(value: Any) -> Any:
    """NaN and infinity are no figures to print."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


Figure = Annotated[float | None, BeforeValidator(_number_or_none)]


class _Part(BaseModel):
    """Unknown fields are left out, so that newer records can be read."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ReasonFrames(_Part):
    """Frames that are missing or untouched for one reason."""

    reason: str = ""
    frames: int = 0


class Sequence(_Part):
    """One clip and what the extractor found in it; `fps` is a fraction such as `30/1`, sizes are pixels."""

    frames: int = 0
    fps: str = ""
    width: int = 0
    height: int = 0
    faces: int = 0
    missing: list[ReasonFrames] = []
    extraction_uri: str = ""
    content_digest: str = ""


class Failure(_Part):
    """Why a pair could not be finished."""

    stage: str = ""
    reason: str = ""
    message: str = ""


class Preview(_Part):
    """A picture the worker made while training; `file` is relative to the record."""

    iteration: int = 0
    file: str = ""


class Training(_Part):
    """The pair's training. `losses` has rows (iteration, loss on A, loss on B)."""

    uri: str = ""
    model_uri: str = ""
    iterations: int = 0
    iteration: int = 0
    seconds: float = 0
    iterations_per_second: float = 0
    attempt: int = 0
    losses: list[tuple[float, Figure, Figure]] = []
    previews: list[Preview] = []


class Sample(_Part):
    """Pictures of one frame; paths relative to the record, empty where there is none."""

    frame: int = 0
    source: str | None = ""
    target: str | None = ""
    swap: str | None = ""
    masks: str | None = ""
    masks_blend: str | None = ""
    masks_changed: str | None = ""


class Identity(_Part):
    """Median distances in a face embedding; smaller is more alike."""

    swap_to_source: Figure = None
    swap_to_target: Figure = None
    control_to_source: Figure = None
    control_to_target: Figure = None
    frames: int = 0


class Fake(_Part):
    """One manipulated sequence: the target's frames with the source's face. `labels` has 1 for every swapped frame."""

    id: str = ""
    target: str = ""
    source: str = ""
    frames: int = 0
    swapped: int = 0
    labels: list[int] = []
    reasons: list[ReasonFrames] = []
    uri: str = ""
    content_digest: str = ""
    samples: list[Sample] = []
    quality: dict[str, Any] = {}
    identity: Identity | None = None
    mouth_correlation: Figure = None


class Stage(_Part):
    """One step of a pair and how long it took."""

    stage: str = ""
    seconds: float = 0


class Pair(_Part):
    """Two sequences, their model and the two fakes made with it."""

    id: str = ""
    a: str = ""
    b: str = ""
    state: State = "pending"
    failure: Failure | None = None
    training: Training | None = None
    fakes: list[Fake] = []
    stages: list[Stage] = []

    @property
    def seconds(self) -> float:
        """Time of all stages together."""
        return sum(stage.seconds for stage in self.stages)


class Run(_Part):
    """A whole run."""

    format: Literal["facefoundry.run/1"] = Field(default=_FORMAT)
    name: str = ""
    command: str = ""
    recipe: dict[str, Any] = {}
    created: str = ""
    seconds: float = 0
    seed: int | None = None
    rights: str = "unstated"
    versions: dict[str, Any] = {}
    sequences: dict[str, Sequence] = {}
    pairs: list[Pair] = []

    @property
    def unfinished(self) -> bool:
        """Whether a pair still waits or works."""
        return any(pair.state in ("pending", "running") for pair in self.pairs)


def load(path: Path) -> Run:
    """Read and check a `run.json`.

    Raises:
        NotFound: There is no such file.
        InvalidInput: It is not a run record of a known format.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError as exc:
        raise NotFound(
            f"No run record at {path}; give the output folder of a dataset run.", resource=str(path)
        ) from exc
    try:
        return Run.model_validate(json.loads(text))
    except (UnicodeDecodeError, json.JSONDecodeError, ValidationError) as exc:
        raise InvalidInput(
            f"{path} is not a run record of the format {_FORMAT}: {exc}", reason="NOT_A_RUN_RECORD"
        ) from exc
