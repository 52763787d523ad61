"""Runs one attempt, from its document to the committed model.

This module decides when the worker iterates, reports its status, writes checkpoints and stops. The training itself is
in `loop`; checkpoints and models are in `checkpoint`.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from functools import partial

from facefoundry.errors import FaceFoundryError, Interrupted, Unavailable, Unusable
from facefoundry.model.network import SIDES, SideName
from facefoundry.storage import manifest
from facefoundry.storage.info import Restart
from facefoundry.storage.store import Store
from facefoundry.storage.usage import Usage
from facefoundry.telemetry import logger
from facefoundry.v1.recipe_pb2 import TrainingOptions
from services.trainer import signing
from services.trainer.settings import WorkerSettings
from services.trainer.training_store import TrainingStore
from services.trainer.worker import base, checkpoint, faces, loop
from services.trainer.worker.collapse import CollapseCheck, Collapsed, require_sound, restart_after
from services.trainer.worker.gpu import no_gpu
from services.trainer.worker.history import History
from services.trainer.worker.meter import Meter
from services.trainer.worker.preview import Previewer, schedule
from services.trainer.worker_protocol import Attempt, Preview, Status

__all__ = ["AttemptRunner", "Progress"]

_PREVIEW_FACES = 5
_log = logger(__name__)


@dataclass
class Progress:
    """The progress of an attempt; other threads read it.

    Attributes:
        iteration: Iterations done.
        updated: Monotonic time at which `iteration` was recorded, seconds.
    """

    iteration: int
    updated: float

    def update(self, iteration: int) -> None:
        """Record the number of iterations done, and the time."""
        self.iteration, self.updated = iteration, time.monotonic()


class AttemptRunner:
    """Trains the model of one attempt.

    Args:
        store: The object store.
        attempt: The attempt.
        settings: Settings of the worker.
        stop: Event that is set when the worker should write a checkpoint and end.

    Attributes:
        progress: Progress of the attempt.
    """

    def __init__(self, store: Store, attempt: Attempt, settings: WorkerSettings, stop: threading.Event) -> None:
        self._store = store
        self._documents = TrainingStore(store)
        self._attempt = attempt
        self._settings = settings
        self._stop = stop
        self.progress = Progress(0, time.monotonic())
        self._checkpoints = checkpoint.Checkpoints(store, attempt, settings.id, settings.scratch_dir)
        self._history = History()
        self._previews: tuple[Preview, ...] = ()
        self._seconds = 0.0
        self._threads: tuple[int, ...] = ()
        self._restart: Restart | None = None
        self._meter = Meter(False, None)

    @property
    def last_activity(self) -> float:
        """Monotonic time of the last iteration or the last response of the store, whichever is later."""
        return max(self.progress.updated, self._store.last_activity)

    def run(self) -> None:
        """Train until the model is committed, by this worker or another one.

        Raises:
            Interrupted: `stop` was set; a checkpoint of all iterations done is committed.
            FaceFoundryError: the attempt failed.
        """
        attempt = self._attempt
        options = attempt.training_options()
        options.iterations = attempt.iterations
        if self._committed():
            self._clean_up()
            return
        signing.load(self._store, attempt.training)  # without it the work could not be committed
        self._check_stop()
        device = loop.configure(options.precision, self._settings.threads)
        if self._settings.require_gpu and device != "GPU":
            raise no_gpu(loop.has_cuda(), platform.machine())
        found: dict[SideName, faces.Faces] = {
            "a": faces.fetch(self._store, attempt.extraction_a),
            "b": faces.fetch(self._store, attempt.extraction_b),
        }
        attempt.require_content(found["a"].content_digest, found["b"].content_digest)
        training = self._begin_or_resume(options, found, device)
        used = 0 if device == "GPU" else self._settings.threads or len(os.sched_getaffinity(0))
        self._threads = tuple(sorted({*self._threads, used}))
        self._check_stop()
        counts = {f"faces_{side}": len(found[side].crops) for side in SIDES}
        _log.event("training", device=device, first=training.iteration, iterations=attempt.iterations, **counts)
        self._report(training, 0.0)
        size = training.network.architecture.face_size
        preview_faces = {side: faces.unwarped(found[side], _PREVIEW_FACES, size) for side in SIDES}
        digests = {side: found[side].content_digest for side in SIDES}
        del found  # frees memory: the training has its own copy of the crops
        check = CollapseCheck(training.network, options.precision, preview_faces)
        if not self._train(training, Previewer(training.network, preview_faces), check) and not self._committed():
            self._commit(training, digests)
        self._clean_up()

    def _check_stop(self) -> None:
        """Raise `Interrupted` if `stop` is set; before the first iteration there is nothing to save.

        Raises:
            Interrupted: `stop` is set.
        """
        if self._stop.is_set():
            raise Interrupted("The worker was stopped before its first iteration. A restarted worker continues.")

    def _commit(self, training: loop.Training, digests: Mapping[SideName, str]) -> None:
        attempt = self._attempt
        inputs = {
            "extraction_a": self._store.uri(attempt.extraction_a),
            "extraction_b": self._store.uri(attempt.extraction_b),
            "content_a": digests["a"],
            "content_b": digests["b"],
        }
        if attempt.base is not None:
            inputs |= {"base": self._store.uri(attempt.base.prefix), "base_digest": attempt.base.content_digest}
        state = self._state(training)
        checkpoint.commit_model(self._store, attempt, state, training.network.to_bytes(), {**inputs})
        self._report(training, 0.0)

    def _clean_up(self) -> None:
        """Delete the checkpoints that the committed model makes obsolete."""
        self.progress.update(self._attempt.iterations)
        with suppress(FaceFoundryError):  # the model is committed, so a failed checkpoint does not matter any more
            self._checkpoints.finish()
        checkpoint.delete_obsolete(self._store, self._attempt)

    def _committed(self) -> bool:
        """Return whether another or an earlier worker has committed the model; false if the store does not respond."""
        try:
            found = self._documents.has_model(self._attempt)
        except Unavailable as error:
            _log.warning("model_check_failed", detail=error.message)
            return False
        if found:
            _log.event("model_found", uri=self._store.uri(self._attempt.model_prefix))
        return found

    def _begin_or_resume(
        self, options: TrainingOptions, found: Mapping[SideName, faces.Faces], device: str
    ) -> loop.Training:
        """Make the training, in the newest state that is stored.

        The base is fetched only where its weights are needed, because it may be gone by the time a worker resumes.
        """
        state, first = checkpoint.find_newest(self._store, self._attempt), self._attempt.base
        training = loop.Training(
            options,
            {side: found[side].crops for side in SIDES},
            {side: found[side].margin for side in SIDES},
            partial(base.initial_weights, self._store, first, options.start_decoder) if first is not None else None,
            resumes=state is not None,
        )
        self._meter = Meter(device == "GPU", state.usage if state is not None else Usage())
        if state is not None:
            if state.restart is not None:
                training.use_learning_rate(state.restart.learning_rate)
            training.restore(state.iteration, state.weights, state.moments)
            self._history, self._previews, self._seconds = state.history, state.previews, state.seconds
            self._threads, self._restart = state.threads, state.restart
            self._checkpoints.iteration = state.iteration
            _log.event("resumed", iteration=state.iteration)
        self.progress.update(training.iteration)
        return training

    def _train(self, training: loop.Training, previewer: Previewer, check: CollapseCheck) -> bool:
        """Run the remaining iterations, and after a collapse all of them again, once, if the recipe allows it.

        Returns:
            Whether another worker has committed the model, so that the iterations were ended early.

        Raises:
            Interrupted: `stop` was set.
            Unusable: the training has collapsed (COLLAPSED).
        """
        while True:
            try:
                return self._iterate(training, previewer, check)
            except Collapsed as collapse:
                restart = restart_after(collapse, self._attempt.training_options(), self._restart)
                if self._committed():
                    return True
                self._start_over(training, restart)
                _log.event("restarted", sign=collapse.sign, detail=restart.sentence)

    def _start_over(self, training: loop.Training, restart: Restart) -> None:
        """Go back to iteration 0 at the restart's learning rate.

        The checkpoint of iteration 0 makes the restart final: no worker resumes from an earlier state any more.
        """
        training.restart(restart.learning_rate)
        self._restart, self._history, self._previews = restart, History(), ()
        self.progress.update(0)
        self._checkpoints.begin(self._state(training))
        self._checkpoints.iteration = 0
        self._report(training, 0.0)

    def _iterate(self, training: loop.Training, previewer: Previewer, check: CollapseCheck) -> bool:
        """Run the remaining iterations, unless another worker commits the model in the meantime.

        Returns:
            Whether another worker has committed the model, so that the iterations were ended early.

        Raises:
            Interrupted: `stop` was set.
            Unusable: the training has taken too long (MAX_HOURS); a checkpoint of all iterations done is committed.
            Collapsed: the training has collapsed.
        """
        total = self._attempt.iterations
        due = [iteration for iteration in schedule(total) if iteration > training.iteration]
        steps_per_call = loop.StepsPerCall(self._settings.call_seconds)
        reported_at = checkpoint_at = time.monotonic()
        reported_iteration = training.iteration
        while training.iteration < total:
            steps = steps_per_call.next((due[0] if due else total) - training.iteration)
            began = time.monotonic()
            losses = training.run(steps)
            ended = time.monotonic()
            steps_per_call.measured(steps, ended - began)
            self._seconds += ended - began
            self._meter.add(ended - began)
            check.add_losses(self._history, training.iteration, losses)
            self.progress.update(training.iteration)
            if due and training.iteration >= due[0]:
                due.pop(0)
                self._save_preview(training.iteration, previewer)
            if training.iteration == total:
                require_sound(total, check.losses(self._history, ended=True) or check.network())
                break
            if self._stop.is_set():
                if self._committed():
                    return True
                self._save(training)
                raise Interrupted(
                    f"The worker was stopped after iteration {training.iteration}. A checkpoint of it is committed, "
                    "from which a restarted worker resumes."
                )
            if self._seconds > 3600 * self._settings.max_hours:
                if self._committed():
                    return True
                self._save(training)
                raise Unusable(
                    f"Expected {total} iterations within {self._settings.max_hours:g} hours. There were "
                    f"{training.iteration}, of which a checkpoint is committed. Train fewer iterations, use a GPU, or "
                    "raise FACEFOUNDRY_WORKER_MAX_HOURS, and start the training again; it resumes.",
                    reason="MAX_HOURS",
                    resource=self._store.uri(self._attempt.prefix),
                )
            if ended - checkpoint_at >= self._settings.checkpoint_seconds and not self._checkpoints.busy:
                if self._committed():
                    return True
                require_sound(training.iteration, check.network())
                self._checkpoints.begin(self._state(training))
                checkpoint_at = time.monotonic()
            if ended - reported_at >= self._settings.status_seconds:
                if self._committed():
                    return True
                require_sound(training.iteration, check.network())
                speed = (training.iteration - reported_iteration) / (ended - reported_at)
                self._report(training, speed)
                reported_at, reported_iteration = ended, training.iteration
        return False

    def _save(self, training: loop.Training) -> None:
        """Commit a checkpoint of all iterations done, and report it."""
        self._checkpoints.begin(self._state(training))
        self._checkpoints.finish()
        self._report(training, 0.0)

    def _state(self, training: loop.Training) -> checkpoint.State:
        return checkpoint.State(
            training.iteration,
            training.network.tensors(),
            training.moments(),
            deepcopy(self._history),
            self._previews,
            self._seconds,
            self._threads,
            self._restart,
            self._meter.usage(),
        )

    def _save_preview(self, iteration: int, previewer: Previewer) -> None:
        """Save a preview picture; if the store fails, the training continues without the picture."""
        drawing = previewer.draw()
        try:
            prefix = f"{self._attempt.prefix}/previews"
            part = manifest.put_part(self._store, prefix, f"{iteration:07d}.jpg", drawing.jpeg)
        except FaceFoundryError as error:
            _log.warning("preview_failed", iteration=iteration, detail=error.message)
            return
        self._previews = (*self._previews, Preview(iteration, part.key, drawing.similarity))

    def _report(self, training: loop.Training, speed: float) -> None:
        """Save and log the status; if the store fails, the training continues.

        Args:
            training: The training.
            speed: Iterations per second; 0 if unknown.
        """
        remaining = self._attempt.iterations - training.iteration
        status = Status(
            attempt=self._attempt.number,
            worker=self._settings.id,
            iteration=training.iteration,
            iterations=self._attempt.iterations,
            iterations_per_second=round(speed, 4),
            eta_seconds=round(remaining / speed, 1) if speed else 0.0,
            losses=tuple(self._history.points),
            checkpoint_iteration=self._checkpoints.iteration,
            previews=self._previews,
            restart=self._restart,
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
            self._documents.save_status(self._attempt, status)
        except FaceFoundryError as error:
            _log.warning("status_failed", detail=error.message)
