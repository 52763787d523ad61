"""What only the local backend does: places, processes, and that nothing outlives the trainer."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from services.trainer.backends.base import JobState
from services.trainer.backends.local import LocalBackend

MakeBackend = Callable[..., LocalBackend]


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def states(backend: LocalBackend, *names: str) -> list[JobState]:
    return [job.state for name in names if (job := backend.get(name))]


def pids(folder: Path) -> list[int]:
    path = folder / "runs"
    return [int(line.split()[-1]) for line in path.read_text().splitlines()] if path.exists() else []


def test_jobs_beyond_the_places_wait_in_their_order(make_local_backend: MakeBackend) -> None:
    backend = make_local_backend("hang", local_workers=2)
    for name in ("first", "second", "third", "fourth"):
        backend.start(name, name)
    until(lambda: states(backend, "first", "second") == [JobState.RUNNING] * 2)
    time.sleep(0.3)
    assert states(backend, "third", "fourth") == [JobState.QUEUED] * 2
    backend.cancel("first")
    until(lambda: states(backend, "third") == [JobState.RUNNING])
    assert states(backend, "fourth") == [JobState.QUEUED]


def test_a_place_is_free_only_when_the_cancelled_worker_has_ended(
    make_local_backend: MakeBackend, tmp_path: Path
) -> None:
    backend = make_local_backend("stubborn", local_workers=1, grace_seconds=1.0)
    backend.start("first", "first")
    until(lambda: len(pids(tmp_path)) == 1)
    time.sleep(0.2)
    backend.cancel("first")
    backend.start("second", "second")
    until(lambda: states(backend, "second") == [JobState.RUNNING])
    assert not psutil.pid_exists(pids(tmp_path)[0])


def test_closing_ends_every_worker(make_local_backend: MakeBackend, tmp_path: Path) -> None:
    backend = make_local_backend("hang", local_workers=3)
    for name in ("first", "second", "third"):
        backend.start(name, name)
    until(lambda: len(pids(tmp_path)) == 3)
    backend.close()
    assert not any(psutil.pid_exists(pid) for pid in pids(tmp_path))


def test_no_worker_survives_a_trainer_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import time\n"
        "from services.trainer.backends.local import LocalBackend\n"
        "from services.trainer.settings import TrainerSettings\n"
        "backend = LocalBackend(TrainerSettings())\n"
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
        until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
    finally:
        trainer.kill()
        trainer.wait()
        connection.close()
        silent.close()
