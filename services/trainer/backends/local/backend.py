"""Runs workers as child processes of the trainer. They end with the trainer, but their checkpoints remain."""

from __future__ import annotations

import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from facefoundry import codec
from facefoundry.errors import Conflict, DataLoss
from facefoundry.process.scratch import Scratch
from facefoundry.telemetry import logger
from services.trainer.backends.base import Job, JobState, TrainingBackend
from services.trainer.backends.local.processes import WorkerProcesses
from services.trainer.backends.local.settings import LocalSettings
from services.trainer.worker_protocol import FINAL, ExitCode, ExitReport

__all__ = ["WORKER", "LocalBackend"]

WORKER = (sys.executable, "-m", "services.trainer.worker")

_POLL_SECONDS = 0.1
# A worker that has just started needs the cores, so the next process waits for that long before it loads anything.
_QUIET_SECONDS = 10.0
_MAX_RESTART_SECONDS = 60.0
_log = logger(__name__)


@dataclass
class _Entry:
    """One job and the process of its newest worker; only the backend's thread uses the process."""

    name: str
    attempt_uri: str
    state: JobState = JobState.QUEUED
    restarts: int = 0
    exit_code: int | None = None
    exit_report: ExitReport | None = None
    process: subprocess.Popen[bytes] | None = None
    not_before: float = 0.0
    cancelled: bool = False
    kill_at: float | None = None

    @property
    def ended(self) -> bool:
        return self.state in (JobState.SUCCEEDED, JobState.FAILED) or self.cancelled

    def as_job(self) -> Job:
        return Job(self.name, self.state, self.restarts, self.exit_code, self.exit_report)


class LocalBackend(TrainingBackend):
    """Runs a limited number of workers at once, in the order in which they were started.

    Args:
        settings: Settings of this backend.
        scratch_dir: Folder for temporary files; None for the system's.
        command: Command that starts a worker; the attempt's URI is appended.
        clock: Returns a monotonic time, seconds.
    """

    name = "local"

    def __init__(
        self,
        settings: LocalSettings,
        scratch_dir: Path | None = None,
        command: Sequence[str] = WORKER,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._clock = clock
        defaults = {
            "FACEFOUNDRY_WORKER_STATUS_SECONDS": str(settings.local_status_seconds),
            "FACEFOUNDRY_WORKER_CHECKPOINT_SECONDS": str(settings.local_checkpoint_seconds),
        }
        self._processes = WorkerProcesses(command, defaults, settings.local_waiting_worker)
        self._entries: dict[str, _Entry] = {}
        self._stopping: list[_Entry] = []
        self._changed = threading.Condition()
        self._closing = False
        self._prepare_at = clock()
        self._resources = ExitStack()
        self._folder = self._resources.enter_context(Scratch("trainer", scratch_dir).folder())
        # The kernel kills a worker when the thread that started it ends, so this thread lives as long as the process.
        self._supervisor = threading.Thread(target=self._supervise, name="local-backend", daemon=True)
        self._supervisor.start()

    def start(self, name: str, attempt_uri: str) -> None:
        """Queue a job, or do nothing if it exists."""
        with self._changed:
            entry = self._entries.setdefault(name, _Entry(name, attempt_uri))
            if entry.attempt_uri != attempt_uri:
                raise Conflict(
                    f"The job {name} was already started for {entry.attempt_uri}, so it cannot run {attempt_uri}. "
                    "Equal trainings of two buckets have equal job names: run one trainer for each bucket.",
                    reason="JOB_EXISTS",
                )
            self._changed.notify()

    def get(self, name: str) -> Job | None:
        """Return a job, or None if it was never started or was cancelled."""
        with self._changed:
            entry = self._entries.get(name)
            return entry.as_job() if entry else None

    def cancel(self, name: str) -> None:
        """Stop a job's worker and remove the job; the next queued job starts when the worker has ended."""
        with self._changed:
            entry = self._entries.pop(name, None)
            if entry is not None:
                entry.cancelled = True
                self._stopping.append(entry)
                self._changed.notify()

    def close(self) -> None:
        """Stop all workers; each has `grace_seconds` for a last checkpoint."""
        with self._changed:
            self._closing = True
            self._stopping.extend(self._entries.values())
            for entry in self._stopping:
                entry.cancelled = True
            self._entries.clear()
            self._changed.notify()
        self._supervisor.join()
        self._resources.close()

    def _supervise(self) -> None:
        while True:
            with self._changed:
                for entry in [*self._entries.values(), *self._stopping]:
                    self._check(entry)
                self._stopping = [entry for entry in self._stopping if entry.process is not None]
                self._fill_slots()
                if self._closing and not self._stopping:
                    self._processes.close()
                    return
                quiet = self._clock() < self._prepare_at
                if not quiet:
                    self._processes.prepare()
                busy = any(not entry.ended for entry in self._entries.values()) or self._stopping
                self._changed.wait(_POLL_SECONDS if busy or quiet else None)

    def _check(self, entry: _Entry) -> None:
        """Record the end of a job's worker if it has ended, or stop the worker if the job is cancelled."""
        if entry.process is None:
            return
        code = entry.process.poll()
        if code is not None:
            entry.process = None
            self._worker_ended(entry, code)
        elif entry.cancelled:
            if entry.kill_at is None:
                entry.kill_at = self._clock() + self._settings.grace_seconds
                entry.process.terminate()
            elif self._clock() >= entry.kill_at:
                entry.process.kill()

    def _worker_ended(self, entry: _Entry, code: int) -> None:
        entry.exit_code = code
        entry.exit_report = self._read_report(entry)
        restart = code not in FINAL and entry.restarts < self._settings.restarts
        if code == ExitCode.DONE:
            entry.state = JobState.SUCCEEDED
        elif restart and not entry.cancelled:
            delay = min(self._settings.restart_seconds * 2**entry.restarts, _MAX_RESTART_SECONDS)
            entry.not_before = self._clock() + delay
            entry.restarts += 1
            entry.state = JobState.QUEUED
        else:
            entry.state = JobState.FAILED
        reason = entry.exit_report.reason if entry.exit_report else ""
        _log.event("worker_ended", job=entry.name, exit_code=code, reason=reason, state=entry.state.value)

    def _fill_slots(self) -> None:
        running = sum(entry.process is not None for entry in [*self._entries.values(), *self._stopping])
        for entry in self._entries.values():
            if running >= self._settings.local_workers:
                return
            if entry.state is JobState.QUEUED and self._clock() >= entry.not_before:
                self._spawn(entry)
                running += 1

    def _spawn(self, entry: _Entry) -> None:
        with suppress(OSError):
            self._report_file(entry).unlink()
        variables = {
            "FACEFOUNDRY_WORKER_ID": f"{entry.name}-{secrets.token_hex(4)}",
            "FACEFOUNDRY_WORKER_TERMINATION_LOG": str(self._report_file(entry)),
        }
        try:
            entry.process = self._processes.start(entry.attempt_uri, variables)
        except OSError as error:
            _log.warning("worker_not_started", job=entry.name, detail=str(error))
            self._worker_ended(entry, ExitCode.INTERRUPTED)
            return
        entry.state, entry.exit_code = JobState.RUNNING, None
        _log.event("worker_started", job=entry.name, pid=entry.process.pid, restarts=entry.restarts)
        self._prepare_at = self._clock() + _QUIET_SECONDS

    def _report_file(self, entry: _Entry) -> Path:
        return self._folder / f"{entry.name}.json"

    def _read_report(self, entry: _Entry) -> ExitReport | None:
        try:
            return codec.from_json(ExitReport, self._report_file(entry).read_bytes())
        except (OSError, DataLoss):
            return None
