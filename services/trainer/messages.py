"""Fills the message `v1.Training` from the documents of a training."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from google.protobuf.timestamp_pb2 import Timestamp

from facefoundry.v1 import trainer_pb2
from services.trainer.stagnation import stagnation
from services.trainer.worker_protocol import Attempt, Status

__all__ = ["ENDED", "describe", "is_final", "timestamp"]

ENDED = frozenset(
    {
        trainer_pb2.Training.STATE_SUCCEEDED,
        trainer_pb2.Training.STATE_FAILED,
        trainer_pb2.Training.STATE_CANCELLED,
    }
)
"""States in which a training has ended."""

_SETTLED = timedelta(minutes=5)
_COMMON = (
    "The training ends with one common decoder, so its fakes show the target's own face: its {} iterations are no more "
    "than the {} of training.common_iterations. Use more iterations, or fewer common ones."
)


def describe(uri: str, attempt: Attempt, status: Status | None) -> trainer_pb2.Training:
    """Return what an attempt and its worker's newest report say of a training, without its state.

    Args:
        uri: URI of the training.
        attempt: The newest attempt.
        status: The worker's report; None before the first.
    """
    training = trainer_pb2.Training(
        uri=uri,
        pair_id=attempt.pair_id,
        attempt=attempt.number,
        iterations=attempt.iterations,
        create_time=timestamp(attempt.created),
    )
    common = attempt.options.get("common_iterations", 0)
    if isinstance(common, int) and 0 < attempt.iterations <= common:
        training.warnings.add(reason="COMMON_DECODER_ONLY", message=_COMMON.format(attempt.iterations, common))
    if status is not None:
        training.iteration = status.iteration
        training.checkpoint_iteration = status.checkpoint_iteration
        training.update_time.CopyFrom(timestamp(status.updated))
        if status.losses:
            training.loss_a, training.loss_b = status.losses[-1][1:]
        if status.restart is not None:
            training.restart.collapsed_at = status.restart.collapsed_at
            training.restart.learning_rate = status.restart.learning_rate
            training.restart.message = status.restart.sentence
        if sentence := stagnation(status.previews, attempt.iterations):
            training.warnings.add(reason="STAGNATES", message=sentence)
    return training


def is_final(training: trainer_pb2.Training, now: datetime) -> bool:
    """Whether the state of an attempt cannot change any more.

    A worker that was stopped may still commit its model within its grace period, so an attempt that ended without one
    changes for some minutes.
    """
    if training.state == trainer_pb2.Training.STATE_SUCCEEDED:
        return True
    return training.state in ENDED and now - training.update_time.ToDatetime(timezone.utc) > _SETTLED


def timestamp(moment: str) -> Timestamp:
    """Return an ISO 8601 time as a message."""
    stamp = Timestamp()
    stamp.FromDatetime(datetime.fromisoformat(moment).astimezone(timezone.utc).replace(tzinfo=None))
    return stamp
