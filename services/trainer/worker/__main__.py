"""The worker's process: its argument, signals, idle watchdog, exit code and exit report.

A backend may start a worker before there is an attempt for it, with the argument `wait`. The worker then loads what a
training needs, and reads its attempt from its standard input.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import secrets
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from facefoundry import codec
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
from facefoundry.storage import keys, manifest
from facefoundry.storage.store import Store
from facefoundry.telemetry import configure_logging, logger
from services.trainer.settings import WorkerSettings
from services.trainer.training_store import TrainingStore
from services.trainer.worker import scratch
from services.trainer.worker.exit_reporter import ExitReporter
from services.trainer.worker_environment import worker_variables
from services.trainer.worker_protocol import WAIT, ExitCode, ExitReport, Order

if TYPE_CHECKING:
    from services.trainer.worker.attempt_runner import AttemptRunner

__all__ = ["exit_code", "main"]

_BAD_INPUT = (InvalidInput, NotFound, Unusable, DataLoss, Denied)
_CRASH = 1
_PR_SET_PDEATHSIG = 1
_MAX_IDLE_CHECK_SECONDS = 5.0
_log = logger(__name__)


def exit_code(error: FaceFoundryError) -> int:
    """Return the exit code for an error, by which the backend decides whether to restart the worker."""
    if isinstance(error, _BAD_INPUT):
        return ExitCode.BAD_INPUT
    return _CRASH if isinstance(error, Internal) else ExitCode.INTERRUPTED


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the attempt whose URI is the only argument.

    Args:
        arguments: Arguments of the command line; by default this process's.

    Returns:
        The process's exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m services.trainer.worker", description="Train one pair.")
    parser.add_argument("attempt_uri", help=f"s3://<bucket>/trainings/<digest>/attempt.json, or {WAIT} for it")
    uri: str = parser.parse_args(arguments).attempt_uri
    if uri == WAIT:
        order = _wait()
        if order is None:
            return ExitCode.DONE
        os.environ.update(order.environment)
        uri = order.attempt_uri
    try:
        settings, store_settings = read(WorkerSettings), read(StoreSettings)
    except InvalidInput as error:
        print(error.message, file=sys.stderr)
        ExitReporter(_termination_log()).write(ExitReport.of(error, 0))
        return ExitCode.BAD_SETTINGS
    if not settings.id:
        settings = settings.model_copy(update={"id": f"worker-{secrets.token_hex(8)}"})
    configure_logging("worker", settings.log_level)
    _die_with_parent(settings.parent)
    reporter = ExitReporter(settings.termination_log)
    runner: AttemptRunner | None = None

    def iteration() -> int:
        return runner.progress.iteration if runner else 0

    def report_crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        reporter.write(ExitReport("WORKER_CRASHED", f"{kind.__name__}: {error}", iteration()))
        sys.__excepthook__(kind, error, trace)

    sys.excepthook = report_crash
    stop = stop_event()
    try:
        runner = _prepare(uri, settings, Store(store_settings), stop)
        watch = (runner, settings.idle_seconds, reporter)
        threading.Thread(target=_exit_when_idle, args=watch, name="watchdog", daemon=True).start()
        if settings.scratch_bytes:
            limits = (runner, settings, reporter)
            threading.Thread(target=_exit_when_full, args=limits, name="scratch", daemon=True).start()
        runner.run()
    except FaceFoundryError as error:
        _log.warning("worker_failed", reason=error.reason, message_text=error.message)
        reporter.write(ExitReport.of(error, iteration()))
        return exit_code(error)
    reporter.write(ExitReport("DONE", "The model is committed.", iteration()))
    return ExitCode.DONE


def _wait() -> Order | None:
    """Load what a training needs, then wait for an order; None if the backend ends without one."""
    _die_with_parent(int(os.environ["FACEFOUNDRY_WORKER_PARENT"]))
    from services.trainer.worker import attempt_runner  # noqa: F401

    line = sys.stdin.buffer.readline()
    return codec.from_json(Order, line) if line else None


def _termination_log() -> Path:
    """Return the path of the exit report from the environment alone, for when the settings cannot be read."""
    default: Path = WorkerSettings.model_fields["termination_log"].default
    return Path(os.environ.get("FACEFOUNDRY_WORKER_TERMINATION_LOG") or default)


def _prepare(uri: str, settings: WorkerSettings, store: Store, stop: threading.Event) -> AttemptRunner:
    prefix = keys.prefix_of(store.bucket, uri.removesuffix("/attempt.json"), "trainings", "attempt_uri")
    attempt = TrainingStore(store).load(prefix)
    if attempt.prefix != prefix:
        raise InvalidInput(
            f"Expected {uri} to contain an attempt at {prefix}. Received an attempt at {attempt.prefix}. "
            "Start the training again.",
            reason="ATTEMPT",
        )
    for extraction in (attempt.extraction_a, attempt.extraction_b):
        manifest.load(store, extraction)
    variables = worker_variables(os.environ)
    os.environ.clear()
    os.environ.update(variables)
    # Imported here because TensorFlow takes seconds to load, and a wrong attempt should fail before that.
    from services.trainer.worker.attempt_runner import AttemptRunner

    return AttemptRunner(store, attempt, settings, stop)


def _die_with_parent(parent: int) -> None:
    """Make the kernel kill this process when the thread that started it ends; exit at once if the parent is gone.

    Args:
        parent: Process id of the parent; 0 does nothing.
    """
    if not parent:
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(ExitCode.INTERRUPTED)


def _exit_when_idle(runner: AttemptRunner, idle_seconds: float, reporter: ExitReporter) -> None:
    """Exit as interrupted if a device or the store hangs, so that the backend restarts the worker."""
    while True:
        idle = time.monotonic() - runner.last_activity
        if idle >= idle_seconds:
            iteration = runner.progress.iteration
            message = (
                f"Expected an iteration or a response of the store within {idle_seconds:g} s. There was none for "
                f"{idle:.0f} s after iteration {iteration}. Check the GPU and the store."
            )
            _log.warning("worker_idle", seconds=round(idle), iteration=iteration)
            reporter.write(ExitReport("IDLE", message, iteration))
            os._exit(ExitCode.INTERRUPTED)
        time.sleep(min(_MAX_IDLE_CHECK_SECONDS, idle_seconds - idle))


def _exit_when_full(runner: AttemptRunner, settings: WorkerSettings, reporter: ExitReporter) -> None:
    """Exit for good when the scratch folder is full, as another worker would fill it again."""
    folder = settings.scratch_dir or Path(tempfile.gettempdir())

    def end(used: int) -> None:
        message = (
            f"Expected at most {settings.scratch_bytes} bytes in the worker's scratch folder {folder}. It has {used}. "
            "Raise its size (worker.scratch of the chart) and start the training again; it resumes from its last "
            "checkpoint."
        )
        _log.warning("scratch_full", bytes=used, limit=settings.scratch_bytes)
        reporter.write(ExitReport("SCRATCH_FULL", message, runner.progress.iteration))
        os._exit(ExitCode.BAD_INPUT)

    scratch.watch(folder, settings.scratch_bytes, end)


if __name__ == "__main__":
    sys.exit(main())
