"""What every training backend does, whatever it runs workers on."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from services.trainer.backends.base import Job, JobState, TrainingBackend

MakeBackend = Callable[..., TrainingBackend]
URI = "s3://bucket/trainings/x/request.json"


@pytest.fixture(params=["local"])
def make_backend(request: pytest.FixtureRequest) -> MakeBackend:
    """Makes backends whose worker behaves in a given way; one entry here for each kind."""
    makers: dict[str, str] = {"local": "make_local_backend"}
    made: MakeBackend = request.getfixturevalue(makers[request.param])
    return made


def wait_for(backend: TrainingBackend, name: str, *states: JobState, seconds: float = 20.0) -> Job:
    deadline = time.monotonic() + seconds
    while True:
        job = backend.get(name)
        if job is not None and job.state in states:
            return job
        assert time.monotonic() < deadline, job
        time.sleep(0.02)


def runs(folder: Path) -> list[str]:
    path = folder / "runs"
    return path.read_text().splitlines() if path.exists() else []


def test_a_worker_that_is_done_has_succeeded(make_backend: MakeBackend, tmp_path: Path) -> None:
    backend = make_backend("done")
    assert backend.get("job") is None
    backend.start("job", URI)
    job = wait_for(backend, "job", JobState.SUCCEEDED, JobState.FAILED)
    assert job == Job("job", JobState.SUCCEEDED, 0, 0, None)
    assert len(runs(tmp_path)) == 1


def test_starting_a_known_job_again_changes_nothing(make_backend: MakeBackend, tmp_path: Path) -> None:
    backend = make_backend("done")
    for _ in range(3):
        backend.start("job", URI)
    wait_for(backend, "job", JobState.SUCCEEDED)
    backend.start("job", URI)
    time.sleep(0.3)
    assert wait_for(backend, "job", JobState.SUCCEEDED).restarts == 0
    assert len(runs(tmp_path)) == 1


def test_bad_input_is_final_and_its_words_are_kept(make_backend: MakeBackend, tmp_path: Path) -> None:
    backend = make_backend("words")
    backend.start("job", URI)
    job = wait_for(backend, "job", JobState.SUCCEEDED, JobState.FAILED)
    assert (job.state, job.restarts, job.exit_code) == (JobState.FAILED, 0, 65)
    assert job.termination is not None
    assert (job.termination.reason, job.termination.iteration) == ("NO_FACES", 3)
    assert len(runs(tmp_path)) == 1


@pytest.mark.parametrize(("mode", "restarts"), [("interrupted twice", 2), ("killed once", 1)])
def test_interrupted_and_killed_workers_are_started_again(
    make_backend: MakeBackend, tmp_path: Path, mode: str, restarts: int
) -> None:
    backend = make_backend(mode)
    backend.start("job", URI)
    job = wait_for(backend, "job", JobState.SUCCEEDED, JobState.FAILED)
    assert (job.state, job.restarts) == (JobState.SUCCEEDED, restarts)
    assert len(runs(tmp_path)) == restarts + 1


@pytest.mark.parametrize("mode", ["crash", "interrupted"])
def test_a_worker_that_never_gets_through_fails_after_its_restarts(
    make_backend: MakeBackend, tmp_path: Path, mode: str
) -> None:
    backend = make_backend(mode)
    backend.start("job", URI)
    job = wait_for(backend, "job", JobState.SUCCEEDED, JobState.FAILED)
    assert (job.state, job.restarts, job.termination) == (JobState.FAILED, 3, None)
    assert len(runs(tmp_path)) == 4


@pytest.mark.parametrize("mode", ["hang", "stubborn"])
def test_a_cancelled_job_is_forgotten_and_its_worker_ends(make_backend: MakeBackend, tmp_path: Path, mode: str) -> None:
    backend = make_backend(mode, grace_seconds=0.5)
    backend.start("job", URI)
    wait_for(backend, "job", JobState.RUNNING)
    backend.cancel("job")
    assert backend.get("job") is None
    backend.cancel("job")
    backend.cancel("another")
    backend.start("next", URI)
    wait_for(backend, "next", JobState.RUNNING)
    assert backend.get("job") is None
