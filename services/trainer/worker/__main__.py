"""The worker's process: its one argument, signals, watchdog, exit code and last words."""

from __future__ import annotations

import argparse
import ctypes
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from facefoundry.errors import (
    DataLoss,
    Denied,
    FaceFoundryError,
    Internal,
    InvalidInput,
    NotFound,
    Unusable,
)
from facefoundry.process.signals import stop_event
from facefoundry.settings import StoreSettings, read
from facefoundry.storage import manifest
from facefoundry.storage.store import Store
from facefoundry.telemetry import configure_logging, logger
from services.trainer.settings import WorkerSettings
from services.trainer.worker_protocol import Attempt, ExitCode, ExitReport, attempt_key, from_json, to_json

if TYPE_CHECKING:
    from services.trainer.worker.job import Job

__all__ = ["exit_code", "main"]

_BAD_INPUT = (InvalidInput, NotFound, Unusable, DataLoss, Denied)
_CRASH = 1
_LONGEST_WORDS = 1000
_PR_SET_PDEATHSIG = 1
_log = logger(__name__)


def exit_code(error: FaceFoundryError) -> int:
    """The exit code that an error means: whether another run could end otherwise."""
    if isinstance(error, _BAD_INPUT):
        return ExitCode.BAD_INPUT
    return _CRASH if isinstance(error, Internal) else ExitCode.INTERRUPTED


def main(arguments: Sequence[str] | None = None) -> int:
    """Train what the request at the given URI asks for.

    Returns:
        The process's exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m services.trainer.worker", description="Trains one pair.")
    parser.add_argument("attempt_uri", help="s3://<bucket>/trainings/<digest>/attempt.json")
    uri: str = parser.parse_args(arguments).attempt_uri
    settings = read(WorkerSettings)
    if not settings.id:
        settings = settings.model_copy(update={"id": f"worker-{secrets.token_hex(8)}"})
    configure_logging("worker", settings.log_level)
    _die_with(settings.parent)
    words = _LastWords(settings.termination_log)
    sys.excepthook = words.on_crash
    stop = stop_event()
    try:
        job = _prepare(uri, settings, stop)
        words.job = job
        threading.Thread(target=_watch, args=(job, settings.idle_seconds, words), name="watchdog", daemon=True).start()
        job.run()
    except FaceFoundryError as error:
        _log.warning("worker_failed", reason=error.reason, message_text=error.message)
        words.say(ExitReport.of(error, words.iteration))
        return exit_code(error)
    words.say(ExitReport("DONE", "The model is committed.", words.iteration))
    return ExitCode.DONE


def _prepare(uri: str, settings: WorkerSettings, stop: threading.Event) -> Job:
    store = Store(read(StoreSettings))
    prefix = store.prefix_of(uri.removesuffix("/attempt.json"), "trainings", "attempt_uri")
    request = store.get_parsed(attempt_key(prefix), lambda data: from_json(Attempt, data))
    if request.prefix != prefix:
        raise InvalidInput(f"{uri} holds the request of {request.prefix}.", reason="REQUEST")
    for extraction in (request.extraction_a, request.extraction_b):
        manifest.load(store, extraction)
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    # Imported late: it takes seconds, and a bad request shall be seen before.
    from services.trainer.worker.job import Job

    return Job(store, request, settings, stop)


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent's thread ends, and end if that has happened already."""
    if not parent:
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(ExitCode.INTERRUPTED)


class _LastWords:
    """Writes the termination message, once, if there is a place for it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.job: Job | None = None

    @property
    def iteration(self) -> int:
        return self.job.progress.iteration if self.job else 0

    def say(self, exit_report: ExitReport) -> None:
        try:
            # Kubernetes cuts a message at 4,096 bytes, and one that is cut is no JSON.
            short = replace(exit_report, message=exit_report.message[:_LONGEST_WORDS])
            self._path.write_bytes(to_json(short) + b"\n")
        except OSError as error:
            _log.warning("last_words_lost", detail=str(error))

    def on_crash(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        self.say(ExitReport("WORKER_CRASHED", f"{kind.__name__}: {error}", self.iteration))
        sys.__excepthook__(kind, error, trace)


def _watch(job: Job, idle_seconds: float, words: _LastWords) -> None:
    """End the process when nothing moves: a hung device or store is left to another run."""
    while True:
        idle = time.monotonic() - job.moved
        if idle >= idle_seconds:
            message = f"Nothing moved for {idle:.0f} s after iteration {job.progress.iteration}."
            _log.warning("worker_idle", seconds=round(idle), iteration=job.progress.iteration)
            words.say(ExitReport("IDLE", message, job.progress.iteration))
            os._exit(ExitCode.INTERRUPTED)
        time.sleep(min(5.0, idle_seconds - idle))


if __name__ == "__main__":
    sys.exit(main())
