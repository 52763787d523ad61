"""The streams of WatchTrainings: what each has sent, and where it continues."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime

from facefoundry.errors import FieldViolation, InvalidInput
from facefoundry.v1 import trainer_pb2
from services.trainer.messages import ENDED
from services.trainer.watching import MARGIN, Change, LabelWatch
from services.trainer.worker_protocol import LOST

__all__ = ["LabelWatches", "TrainingStream"]

_POSITION_BYTES = 1000
_FRAME_BYTES = 8  # tag and length of a training


class LabelWatches:
    """The labels that are watched now. Streams of one label share its watch.

    Args:
        make: Makes the watch of a label.
    """

    def __init__(self, make: Callable[[str], LabelWatch]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._watches: dict[str, tuple[LabelWatch, int]] = {}

    @contextmanager
    def of(self, label: str) -> Iterator[LabelWatch]:
        """Use the watch of a label during the block. It is forgotten when nobody uses it."""
        with self._lock:
            watch, users = self._watches.get(label) or (self._make(label), 0)
            self._watches[label] = watch, users + 1
        try:
            yield watch
        finally:
            with self._lock:
                _, users = self._watches.pop(label)
                if users > 1:
                    self._watches[label] = watch, users - 1


class TrainingStream:
    """One stream of a label's trainings.

    Attributes:
        position: What the caller gives to continue after the messages so far.

    Args:
        watch: The trainings of the label.
        position: Position of an earlier stream; empty for none.
        max_bytes: Size of the largest message.

    Raises:
        InvalidInput: the position is that of no stream (POSITION).
    """

    def __init__(self, watch: LabelWatch, position: str, max_bytes: int) -> None:
        self._watch, self._room = watch, max_bytes - _POSITION_BYTES
        self._since = _moment(position)
        self._revision = 0
        self.position = position

    def messages(self, is_wanted: Callable[[], bool]) -> Iterator[trainer_pb2.WatchTrainingsResponse]:
        """Look for changes, and yield the messages that tell them, if there are any.

        The trainings of many pages are sent page by page, and have their position in the last message.

        Args:
            is_wanted: Whether the caller still waits.

        Raises:
            FaceFoundryError: as `LabelWatch.look`.
        """
        has_all = False
        while not has_all and is_wanted():
            has_all = self._watch.look()
            changes, self._revision, moment = self._watch.changes(self._revision)
            batches = list(self._batches(change for change in changes if not self._is_known(change)))
            last = batches.pop() if has_all and batches else None
            for batch in batches:
                yield trainer_pb2.WatchTrainingsResponse(trainings=batch, position=self.position)
            if has_all:  # only who has all of them continues from here
                self._since, self.position = None, moment.isoformat()
            if last is not None:
                yield trainer_pb2.WatchTrainingsResponse(trainings=last, position=self.position)

    def _is_known(self, change: Change) -> bool:
        """Whether the caller knows the change from an earlier stream, because it had ended long enough before."""
        training = change.found.training
        if self._since is None or training.state not in ENDED or training.failure.reason == LOST:
            return False
        return max(training.update_time.seconds, change.entry.written) < self._since - MARGIN.total_seconds()

    def _batches(self, changes: Iterable[Change]) -> Iterator[list[trainer_pb2.Training]]:
        """Yield the trainings in lists that are small enough to send."""
        batch, room = list[trainer_pb2.Training](), self._room
        for change in changes:
            size = change.found.training.ByteSize() + _FRAME_BYTES
            if batch and size > room:
                yield batch
                batch, room = [], self._room
            batch.append(change.found.training)
            room -= size
        if batch:
            yield batch


def _moment(position: str) -> float | None:
    """Return the time of a position, seconds since 1970; None for no position."""
    if not position:
        return None
    try:
        moment = datetime.fromisoformat(position)
        if moment.tzinfo is not None:
            return moment.timestamp()
    except (ValueError, OverflowError):
        pass
    raise InvalidInput(
        f"Expected position to be that of a response of WatchTrainings. Received position={position!r}. Leave it empty "
        "to watch from the beginning.",
        reason="POSITION",
        violations=[FieldViolation("position", "must be the position of a response of WatchTrainings")],
    )
