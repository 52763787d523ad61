"""How trainer and worker communicate: JSON documents in the bucket, the exit code and the exit report.

The documents are below `trainings/<digest>/`. The trainer writes `attempt.json`, which tells the worker what to train.
The worker writes `status.json`, its progress. The trainer writes `outcomes/<n>.json`, which says how attempt n ended.

The backend, which runs the worker, reads its exit code and its exit report. The exit report is one line of JSON in
which the worker says why it ended; on Kubernetes it is the pod's termination message.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import IntEnum
from typing import Annotated, Literal

from google.protobuf import json_format
from pydantic import AfterValidator, Field

from facefoundry import __version__
from facefoundry.codec import Count, JsonObject
from facefoundry.errors import FaceFoundryError, InvalidInput
from facefoundry.recipes.digests import complete, digest_values
from facefoundry.storage import keys
from facefoundry.storage.info import Restart
from facefoundry.v1.recipe_pb2 import TrainingOptions

__all__ = [
    "ALGORITHM_VERSION",
    "FINAL",
    "LOST",
    "WAIT",
    "Attempt",
    "Base",
    "ExitCode",
    "ExitReport",
    "Order",
    "Outcome",
    "Preview",
    "Status",
    "attempt_key",
    "checkpoints_prefix",
    "now",
    "outcome_key",
    "outcomes_prefix",
    "status_key",
    "training_digest",
]


def _with_zone(text: str) -> str:
    moment = datetime.fromisoformat(text)
    return text if moment.tzinfo else moment.replace(tzinfo=timezone.utc).isoformat()


Moment = Annotated[str, AfterValidator(_with_zone)]
"""A UTC time, ISO 8601. A time without a zone is read as UTC."""

ALGORITHM_VERSION = 3
"""Version of what trainings compute.

Increment it when equal inputs give other weights: no checkpoint or model of another version is resumed or found. 1 was
in no digest. 2: augmentation reads at the points of OpenCV 3.4.1. 3: random choices come from NumPy's Philox.
"""


class ExitCode(IntEnum):
    """Exit codes of a worker; every other code is a crash."""

    # The model is committed.
    DONE = 0
    # A setting of the worker is wrong: another run would fail in the same way.
    BAD_SETTINGS = 2
    # The input or the recipe is wrong: another run would fail in the same way.
    BAD_INPUT = 65
    # Interrupted; the next run resumes from the newest checkpoint.
    INTERRUPTED = 75


WAIT = "wait"
"""Argument of a worker that waits for its `Order`, in place of the attempt's URI."""

LOST = "JOB_LOST"
"""Reason of a training that has neither a job nor a model. It is derived and never saved."""

FINAL = frozenset({ExitCode.DONE, ExitCode.BAD_SETTINGS, ExitCode.BAD_INPUT})
"""Exit codes after which a worker is not restarted."""


@dataclass(frozen=True)
class Base:
    """The model from which a training starts.

    Attributes:
        prefix: Bucket prefix of the model.
        content_digest: Its content digest when the training was started.
    """

    prefix: str
    content_digest: str


@dataclass(frozen=True)
class Attempt:
    """One attempt at a training.

    Attributes:
        training: Digest of the training.
        number: Number of the attempt, from 1.
        pair_id: Id of the pair, `<A>_<B>`.
        extraction_a: Bucket prefix of A's extraction.
        extraction_b: Bucket prefix of B's extraction.
        options: Training options of the recipe as JSON values, iterations included.
        iterations: Number of iterations after which the training is done, counted over all attempts.
        created: UTC time at which the attempt was made, ISO 8601.
        base: The model from which the training starts; None if it starts from random weights.
        version: Version of the recipe. Attempts of before there was this field are of version 2.
    """

    training: Annotated[str, Field(pattern="^[0-9a-f]{40}$")]
    number: Count
    pair_id: str
    extraction_a: str
    extraction_b: str
    options: JsonObject
    iterations: Annotated[int, Field(ge=1, lt=2**31)]
    created: Moment
    base: Base | None = None
    version: str = "2"

    @property
    def prefix(self) -> str:
        """Prefix of the training."""
        return keys.training(self.training)

    @property
    def model_prefix(self) -> str:
        """Prefix of the model that this training produces."""
        return keys.model(self.training, self.iterations)

    def training_options(self) -> TrainingOptions:
        """Return the options as the message `TrainingOptions` of a recipe.

        A field that did not exist when the attempt was stored gets its implied value.

        Raises:
            InvalidInput: an option is unknown or has a wrong type (ATTEMPT).
        """
        try:
            options = json_format.ParseDict(self.options, TrainingOptions())
        except json_format.ParseError as error:
            message = (
                f"Expected the options of attempt {self.number} at {self.prefix} to be training options of version "
                f"{__version__}, which runs here. Received others: {error}. Update the worker to the trainer's "
                "version, and start the training again."
            )
            raise InvalidInput(message, reason="ATTEMPT") from error
        complete(options)
        return options

    def require_content(self, content_a: str, content_b: str) -> None:
        """Check that what was read, with these options and this base, is what the digest of the training says.

        Args:
            content_a: Content digest of A's extraction.
            content_b: Content digest of B's extraction.

        Raises:
            InvalidInput: it is not (ATTEMPT).
        """
        found = training_digest(content_a, content_b, self.training_options(), self.version, self.base)
        if found != self.training:
            message = (
                f"Expected attempt {self.number} at {self.prefix} to train what this digest says. Received extractions "
                f"and options that lead to {keys.training(found)}: they have changed since the training was started, "
                "or another program or version wrote the attempt. Start the training again."
            )
            raise InvalidInput(message, reason="ATTEMPT", resource=attempt_key(self.prefix))


@dataclass(frozen=True)
class Preview:
    """A preview picture of a training.

    Attributes:
        iteration: Iteration after which the picture was made.
        key: Key of the JPEG in the bucket.
        similarity: Structural similarity of the faces of A and of B to their reconstructions, -1 to 1; empty if it was
            not measured.
    """

    iteration: Count
    key: str
    similarity: tuple[float, ...] = ()


@dataclass(frozen=True)
class Status:
    """A worker's progress report.

    Attributes:
        attempt: Number of the attempt.
        worker: Unique id of the worker process or pod.
        iteration: Iterations done.
        iterations: Number of iterations after which the training is done.
        iterations_per_second: Mean speed since the previous report; 0 while unknown.
        eta_seconds: Time left at that speed; 0 while unknown.
        losses: Points (iteration, loss of A, loss of B), at most 500. Each loss is the mean since the previous point.
        checkpoint_iteration: Iteration of the newest committed checkpoint; 0 if there is none.
        previews: Preview pictures so far.
        restart: The restart after a collapse, since which iterations and losses count; None if there was none.
        updated: UTC time of this report, ISO 8601.
    """

    attempt: Count
    worker: str
    iteration: Count
    iterations: Count
    iterations_per_second: float = 0.0
    eta_seconds: float = 0.0
    losses: tuple[tuple[Count, float, float], ...] = ()
    checkpoint_iteration: Count = 0
    previews: tuple[Preview, ...] = ()
    restart: Restart | None = None
    updated: Moment = field(default_factory=lambda: now())


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended. It is stored in the bucket, so it is known after the backend has removed the job.

    Attributes:
        attempt: Number of the attempt.
        state: Final state of the attempt.
        reason: Reason of a failure in UPPER_SNAKE; empty without a failure.
        message: Sentences that explain a failure; empty without a failure.
        iteration: Iterations done.
        ended: UTC time at which the end was recorded, ISO 8601.
    """

    attempt: Count
    state: Literal["SUCCEEDED", "FAILED", "CANCELLED"]
    reason: str = ""
    message: str = ""
    iteration: Count = 0
    ended: Moment = field(default_factory=lambda: now())


@dataclass(frozen=True)
class Order:
    """What a waiting worker reads from its standard input, one line of JSON.

    Attributes:
        attempt_uri: URI of the attempt that it runs.
        environment: Variables of its environment, beside those with which it was started.
    """

    attempt_uri: str
    environment: dict[str, str]


@dataclass(frozen=True)
class ExitReport:
    """Why a worker ended; one line of JSON.

    Attributes:
        reason: Reason in UPPER_SNAKE; `DONE` if the model is committed.
        message: Sentences that explain the reason.
        iteration: Iterations done.
    """

    reason: str
    message: str
    iteration: int = 0

    @classmethod
    def of(cls, error: FaceFoundryError, iteration: int) -> ExitReport:
        """Make the report of a worker that ends with an error after a number of iterations."""
        return cls(error.reason, error.message, iteration)


def training_digest(
    content_a: str, content_b: str, options: TrainingOptions, version: str, base: Base | None = None
) -> str:
    """Compute the digest of a training.

    The number of iterations is left out, so that a training for more iterations resumes one for fewer.

    Args:
        content_a: Content digest of A's extraction.
        content_b: Content digest of B's extraction.
        options: All training options.
        version: Version of the recipe.
        base: The model from which the training starts. Its content digest counts, and not its name.
    """
    values = digest_values(options)
    values.pop("iterations", None)
    if base is None:
        values.pop("start_decoder", None)
    else:
        values["start_from"] = base.content_digest
    return keys.digest_of(
        {"a": content_a, "b": content_b, "options": values, "version": version, "method": ALGORITHM_VERSION}
    )


def attempt_key(prefix: str) -> str:
    """Return the key of the document with a training's newest attempt."""
    return f"{prefix}/attempt.json"


def status_key(prefix: str) -> str:
    """Return the key of a training's status."""
    return f"{prefix}/status.json"


def outcome_key(prefix: str, number: int) -> str:
    """Return the key of an attempt's outcome. Each attempt has its own, so no process overwrites a newer outcome."""
    return f"{outcomes_prefix(prefix)}/{number}.json"


def outcomes_prefix(prefix: str) -> str:
    """Return the prefix of the outcomes of all attempts at a training."""
    return f"{prefix}/outcomes"


def checkpoints_prefix(prefix: str) -> str:
    """Return the prefix of all checkpoints of a training."""
    return f"{prefix}/checkpoints"


def now() -> str:
    """Return the UTC time, ISO 8601 with microseconds."""
    return datetime.now(timezone.utc).isoformat()
