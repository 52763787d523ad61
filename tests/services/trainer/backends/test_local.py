"""What only the local backend does: slots, processes, and that nothing outlives the trainer."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

from services.trainer.backends.base import JobState
from services.trainer.backends.local import LocalBackend
from tests.waiting import wait_until

MakeBackend = Callable[..., LocalBackend]


def states(backend: LocalBackend, *names: str) -> list[JobState]:
    return [job.state for name in names if (job := backend.get(name))]


def pids(folder: Path) -> list[int]:
    path = folder / "runs"
    return [int(line.split()[-1]) for line in path.read_text().splitlines()] if path.exists() else []


def started(folder: Path) -> set[str]:
    path = folder / "runs"
    return {line.split()[0] for line in path.read_text().splitlines()} if path.exists() else set()


def test_jobs_beyond_the_slots_wait_in_their_order(make_local_backend: MakeBackend, tmp_path: Path) -> None:
    backend = make_local_backend("hang", local_workers=2)
    for name in ("first", "second", "third", "fourth"):
        backend.start(name, name)
    wait_until(lambda: started(tmp_path) == {"first", "second"})
    assert states(backend, "first", "second") == [JobState.RUNNING] * 2
    assert states(backend, "third", "fourth") == [JobState.QUEUED] * 2
    backend.cancel("first")
    wait_until(lambda: started(tmp_path) == {"first", "second", "third"})
    assert states(backend, "third", "fourth") == [JobState.RUNNING, JobState.QUEUED]


def test_a_slot_is_free_only_when_the_cancelled_worker_has_ended(
    make_local_backend: MakeBackend, tmp_path: Path
) -> None:
    backend = make_local_backend("stubborn", local_workers=1, grace_seconds=1.0)
    backend.start("first", "first")
    wait_until(lambda: len(pids(tmp_path)) == 1)
    backend.cancel("first")
    backend.start("second", "second")
    wait_until(lambda: states(backend, "second") == [JobState.RUNNING])
    assert not psutil.pid_exists(pids(tmp_path)[0])


def test_closing_ends_every_worker(make_local_backend: MakeBackend, tmp_path: Path) -> None:
    backend = make_local_backend("hang", local_workers=3)
    for name in ("first", "second", "third"):
        backend.start(name, name)
    wait_until(lambda: len(pids(tmp_path)) == 3)
    backend.close()
    assert not any(psutil.pid_exists(pid) for pid in pids(tmp_path))


def waiting(folder: Path) -> int:
    """Process id of the newest process that waits; 0 if there is none."""
    path = folder / "waiting"
    return int(path.read_text() or 0) if path.exists() else 0


def test_a_job_gets_the_process_that_waits_and_its_exit_report_too(
    make_local_backend: MakeBackend, tmp_path: Path
) -> None:
    backend = make_local_backend("report", local_waiting_worker=True)
    wait_until(lambda: waiting(tmp_path) > 0)
    backend.start("first", "first")
    wait_until(lambda: states(backend, "first") == [JobState.FAILED])
    assert pids(tmp_path) == [waiting(tmp_path)]
    job = backend.get("first")
    assert job is not None and job.exit_report is not None and job.exit_report.reason == "NO_FACES"


def test_a_job_starts_without_the_process_that_waits_if_that_has_ended(
    make_local_backend: MakeBackend, tmp_path: Path
) -> None:
    backend = make_local_backend("hang", local_waiting_worker=True)
    wait_until(lambda: waiting(tmp_path) > 0)
    process = psutil.Process(waiting(tmp_path))
    process.kill()
    wait_until(lambda: process.status() == psutil.STATUS_ZOMBIE)
    backend.start("first", "first")
    wait_until(lambda: started(tmp_path) == {"first"})
    assert states(backend, "first") == [JobState.RUNNING]


def test_closing_ends_the_process_that_waits(make_local_backend: MakeBackend, tmp_path: Path) -> None:
    backend = make_local_backend("hang", local_waiting_worker=True)
    wait_until(lambda: waiting(tmp_path) > 0)
    backend.close()
    assert not psutil.pid_exists(waiting(tmp_path))


def test_no_worker_survives_a_trainer_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import time\n"
        "from services.trainer.backends.local import LocalBackend, LocalSettings\n"
        "backend = LocalBackend(LocalSettings(local_waiting_worker=False))\n"
        "backend.start('job', 's3://facefoundry/trainings/' + '0' * 40 + '/attempt.json')\n"
        "time.sleep(600)\n"
    )
    # A store that accepts connections and stays silent keeps the real worker in its first request.
    silent = socket.create_server(("127.0.0.1", 0))
    silent.settimeout(20)
    endpoint = f"127.0.0.1:{silent.getsockname()[1]}"
    environment = {**os.environ, "FACEFOUNDRY_STORE_ENDPOINT": endpoint, "TMPDIR": str(tmp_path)}
    trainer = subprocess.Popen([sys.executable, "-c", program], env=environment)
    try:
        connection, _ = silent.accept()
        (worker,) = psutil.Process(trainer.pid).children()
        assert "services.trainer.worker" in worker.cmdline()
        trainer.send_signal(signal.SIGKILL)
        trainer.wait()
        wait_until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
    finally:
        trainer.kill()
        trainer.wait()
        connection.close()
        silent.close()
