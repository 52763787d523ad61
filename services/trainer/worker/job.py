"""One worker's run, from the request to the model: what to do when. Arithmetic is in `loop`, bytes in `checkpoint`."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from facefoundry.errors import FaceFoundryError, Internal, Interrupted, Unavailable, Unusable
from facefoundry.model.network import SIDES, SideName
from facefoundry.storage import manifest
from facefoundry.storage.store import Store
from facefoundry.telemetry import logger
from services.trainer.settings import WorkerSettings
from services.trainer.worker import checkpoint, faces, loop
from services.trainer.worker.history import History
from services.trainer.worker.preview import Previewer, schedule
from services.trainer.worker_protocol import Attempt, Preview, Status, status_key, to_json

__all__ = ["Job", "Progress"]

_PREVIEW_FACES = 5
_log = logger(__name__)


@dataclass
class Progress:
    """How far the job is, for those who watch it from other threads.

    Attributes:
        iteration: Iterations done.
        moved: Monotonic time at which something last got done.
    """

    iteration: int
    moved: float

    def move(self, iteration: int) -> None:
        """Note that something got done."""
        self.iteration, self.moved = iteration, time.monotonic()


class Job:
    """Trains what a request asks for.

    Args:
        store: The object store.
        request: What to train.
        settings: Times and limits.
        stop: Set when the worker shall checkpoint and end.

    Attributes:
        progress: How far it is.
    """

    def __init__(self, store: Store, request: Attempt, settings: WorkerSettings, stop: threading.Event) -> None:
        self._store = store
        self._request = request
        self._settings = settings
        self._stop = stop
        self.progress = Progress(0, time.monotonic())
        self._checkpoints = checkpoint.Checkpoints(store, request, settings.id, settings.scratch_dir)
        self._history = History()
        self._previews: tuple[Preview, ...] = ()
        self._seconds = 0.0
        self._resumed = 0

    @property
    def moved(self) -> float:
        """Monotonic time at which an iteration was done, or at which the store last took or gave bytes."""
        return max(self.progress.moved, self._store.last_activity)

    def run(self) -> None:
        """Train until the model is committed.

        Raises:
            Interrupted: `stop` was set; a checkpoint of everything done is committed.
            FaceFoundryError: anything else that a worker's exit code tells apart.
        """
        request = self._request
        options = request.training_options()
        options.iterations = request.iterations
        if self._done_elsewhere():
            self._end()
            return
        self._leave_if_stopped()
        device = loop.configure(options.precision, self._settings.threads)
        if self._settings.require_gpu and device != "GPU":
            raise Internal(
                "This worker shall train on a GPU, and TensorFlow sees none: its image has no CUDA, or the node's "
                "driver is too old. To train on the CPU, ask for no GPU or set FACEFOUNDRY_WORKER_REQUIRE_GPU=false.",
                reason="NO_GPU",
            )
        found: dict[SideName, faces.Faces] = {
            "a": faces.fetch(self._store, request.extraction_a),
            "b": faces.fetch(self._store, request.extraction_b),
        }
        training = loop.Training(
            options,
            {side: found[side].crops for side in SIDES},
            {side: found[side].margin for side in SIDES},
        )
        self._resume(training)
        self._leave_if_stopped()
        counts = {f"faces_{side}": len(found[side].crops) for side in SIDES}
        _log.event("training", device=device, first=training.iteration, iterations=request.iterations, **counts)
        self._report(training, 0.0)
        size = training.network.architecture.face_size
        unwarped = {side: faces.unwarped(found[side], _PREVIEW_FACES, size) for side in SIDES}
        digests = {side: found[side].content_digest for side in SIDES}
        del found  # the training has the crops in a form of its own
        if not self._iterate(training, Previewer(training.network, unwarped)) and not self._done_elsewhere():
            self._commit(training, digests)
        self._end()

    def _leave_if_stopped(self) -> None:
        """Before the first iteration, which is compiled for seconds; whoever comes next finds all as it was."""
        if self._stop.is_set():
            raise Interrupted("Stopped before its first iteration.")

    def _commit(self, training: loop.Training, digests: Mapping[SideName, str]) -> None:
        request = self._request
        inputs = {f"extraction_{side}": self._store.uri(getattr(request, f"extraction_{side}")) for side in SIDES}
        inputs |= {f"content_{side}": digests[side] for side in SIDES}
        state = self._state(training)
        checkpoint.commit_model(self._store, request, state, training.network.to_bytes(), inputs)
        self._report(training, 0.0)

    def _end(self) -> None:
        """Clean up behind a committed model, whoever made it."""
        self.progress.move(self._request.iterations)
        with suppress(FaceFoundryError):  # the model is there: a checkpoint that failed no longer matters
            self._checkpoints.finish()
        checkpoint.delete_all(self._store, self._request)

    def _done_elsewhere(self) -> bool:
        """Whether another worker, or this one in an earlier life, has committed the model; no while nobody knows."""
        try:
            found = manifest.load_if_committed(self._store, self._request.model_prefix) is not None
        except Unavailable as error:
            _log.warning("model_unknown", detail=error.message)
            return False
        if found:
            _log.event("model_found", uri=self._store.uri(self._request.model_prefix))
        return found

    def _resume(self, training: loop.Training) -> None:
        state = checkpoint.find_newest(self._store, self._request)
        if state is not None:
            training.restore(state.iteration, state.weights, state.moments)
            self._history, self._previews, self._seconds = state.history, state.previews, state.seconds
            self._resumed = self._checkpoints.iteration = state.iteration
            _log.event("resumed", iteration=state.iteration)
        self.progress.move(training.iteration)

    def _iterate(self, training: loop.Training, previewer: Previewer) -> bool:
        """Do all iterations that are left; true when another worker has meanwhile committed the model."""
        total = self._request.iterations
        due = [iteration for iteration in schedule(total) if iteration > training.iteration]
        pace = loop.StepsPerCall(self._settings.call_seconds)
        reported = checkpointed = time.monotonic()
        reported_iteration = training.iteration
        while training.iteration < total:
            steps = pace.next((due[0] if due else total) - training.iteration)
            begun = time.monotonic()
            losses = training.run(steps)
            ended = time.monotonic()
            pace.done(steps, ended - begun)
            self._seconds += ended - begun
            self._history.add(training.iteration, losses)
            if self._history.collapsed():
                raise Unusable(
                    f"The training collapsed before iteration {training.iteration}: its losses are far above those it "
                    f"had reached. Use a learning_rate below {self._request.training_options().learning_rate:g}.",
                    reason="COLLAPSED",
                )
            self.progress.move(training.iteration)
            if due and training.iteration >= due[0]:
                due.pop(0)
                self._preview(training.iteration, previewer)
            if training.iteration == total:
                break
            if self._stop.is_set():
                if self._done_elsewhere():
                    return True
                self._interrupt(training)
            if ended - checkpointed >= self._settings.checkpoint_seconds and not self._checkpoints.busy:
                if self._done_elsewhere():
                    return True
                self._checkpoints.begin(self._state(training))
                checkpointed = time.monotonic()
            if ended - reported >= self._settings.status_seconds:
                if self._done_elsewhere():
                    return True
                speed = (training.iteration - reported_iteration) / (ended - reported)
                self._report(training, speed)
                reported, reported_iteration = ended, training.iteration
        return False

    def _interrupt(self, training: loop.Training) -> None:
        self._checkpoints.begin(self._state(training))
        self._checkpoints.finish()
        self._report(training, 0.0)
        raise Interrupted(f"Stopped after iteration {training.iteration}; a checkpoint of it is committed.")

    def _state(self, training: loop.Training) -> checkpoint.State:
        return checkpoint.State(
            training.iteration,
            training.network.tensors(),
            training.moments(),
            History.from_json(self._history.to_json()),
            self._previews,
            self._seconds,
        )

    def _preview(self, iteration: int, previewer: Previewer) -> None:
        """Make a preview; one that the store does not take is no reason to stop."""
        try:
            prefix = f"{self._request.prefix}/previews"
            part = manifest.put_part(self._store, prefix, f"{iteration:07d}.jpg", previewer.draw())
        except FaceFoundryError as error:
            _log.warning("preview_failed", iteration=iteration, detail=error.message)
            return
        self._previews = (*self._previews, Preview(iteration, part.key))

    def _report(self, training: loop.Training, speed: float) -> None:
        """Write the status and log it; a store that does not take it is no reason to stop."""
        left = self._request.iterations - training.iteration
        status = Status(
            attempt=self._request.attempt,
            worker=self._settings.id,
            iteration=training.iteration,
            iterations=self._request.iterations,
            iterations_per_second=round(speed, 4),
            eta_seconds=round(left / speed, 1) if speed else 0.0,
            losses=tuple(self._history.points),
            checkpoint_iteration=self._checkpoints.iteration,
            previews=self._previews,
        )
        newest = status.losses[-1][1:] if status.losses else (None, None)
        _log.event(
            "progress",
            iteration=status.iteration,
            iterations=status.iterations,
            iterations_per_second=status.iterations_per_second,
            eta_seconds=status.eta_seconds,
            loss_a=newest[0],
            loss_b=newest[1],
            checkpoint=status.checkpoint_iteration,
        )
        try:
            self._store.put_bytes(status_key(self._request.prefix), to_json(status), "application/json")
        except FaceFoundryError as error:
            _log.warning("status_failed", detail=error.message)
