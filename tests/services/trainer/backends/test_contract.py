"""What every training backend does, whatever it runs workers on.

The kubernetes backend runs against a real cluster: the one that KUBECONFIG names.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from facefoundry.errors import Conflict
from services.trainer import backends
from services.trainer.backends.base import Job, JobState, TrainingBackend
from services.trainer.settings import TrainerSettings
from tests.cluster import workers
from tests.services.trainer.backends.slurm import FakeSlurm


def uri_of(name: str) -> str:
    return f"s3://bucket/trainings/{name}/attempt.json"


@dataclass(frozen=True)
class Place:
    """A kind of backend: makes one whose worker behaves in a given way, and counts the workers started for a job."""

    make: Callable[..., TrainingBackend]
    runs: Callable[[str], int]
    seconds: float

    def wait_for(self, backend: TrainingBackend, name: str, *states: JobState) -> Job:
        return workers.wait_for(backend, name, *states, seconds=self.seconds)


@pytest.fixture
def local(make_local_backend: Callable[..., TrainingBackend], tmp_path: Path) -> Place:
    def runs(name: str) -> int:
        path = tmp_path / "runs"
        lines = path.read_text().splitlines() if path.exists() else []
        return sum(line.startswith(f"{uri_of(name)} ") for line in lines)

    return Place(partial(make_local_backend, restarts=2), runs, 120.0)


OTHER_PACKAGE = """
import json, os

from facefoundry.settings import read
from services.trainer.backends.local import LocalBackend, LocalSettings


class OtherBackend(LocalBackend):
    name = "other"


def load(settings):
    return OtherBackend(read(LocalSettings), settings.scratch_dir, json.loads(os.environ["OTHER_WORKER"]))
"""


@pytest.fixture
def other_package(
    install_backends: Callable[..., None],
    worker_command: Callable[[str], tuple[str, ...]],
    local: Place,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Place]:
    """A backend of another package, chosen by its name."""
    install_backends(OTHER_PACKAGE, other="load")
    made: list[TrainingBackend] = []

    def make(mode: str, **settings: float) -> TrainingBackend:
        monkeypatch.setenv("OTHER_WORKER", json.dumps(worker_command(mode)))
        for name, value in {"restarts": 2, "restart_seconds": 0.05, **settings}.items():
            monkeypatch.setenv(f"FACEFOUNDRY_{name.upper()}", str(value))
        made.append(backends.load(TrainerSettings(backend="other")))
        return made[-1]

    yield Place(make, local.runs, local.seconds)
    for backend in made:
        backend.close()


@pytest.fixture
def kubernetes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    workers.need_cluster()
    cluster = workers.ClusterWorkers(tmp_path)
    yield Place(partial(cluster.backend, monkeypatch=monkeypatch), cluster.runs, 240.0)
    cluster.close()


@pytest.fixture
def slurm(fake_slurm: FakeSlurm, local: Place) -> Place:
    """The example of a backend, with a stand-in for Slurm."""
    return Place(fake_slurm.backend, local.runs, local.seconds)


# Those that need no cluster run in make test.
KINDS = ["kubernetes"] if os.environ.get("FACEFOUNDRY_TEST_CLUSTER") else ["local", "other_package", "slurm"]


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest) -> Place:
    """One entry for each kind."""
    found: Place = request.getfixturevalue(request.param)
    return found


def test_a_worker_that_is_done_has_succeeded(place: Place) -> None:
    backend = place.make("done")
    assert backend.get("job") is None
    backend.start("job", uri_of("job"))
    job = place.wait_for(backend, "job", JobState.SUCCEEDED, JobState.FAILED)
    assert job == Job("job", JobState.SUCCEEDED, 0, 0, None)
    assert place.runs("job") == 1


def test_starting_a_known_job_again_changes_nothing(place: Place) -> None:
    backend = place.make("done")
    for _ in range(3):
        backend.start("job", uri_of("job"))
    place.wait_for(backend, "job", JobState.SUCCEEDED)
    backend.start("job", uri_of("job"))
    backend.start("next", uri_of("next"))
    place.wait_for(backend, "next", JobState.SUCCEEDED)
    assert place.wait_for(backend, "job", JobState.SUCCEEDED).restarts == 0
    assert place.runs("job") == 1


def test_a_name_is_not_used_for_another_attempt(place: Place) -> None:
    backend = place.make("hang")
    backend.start("job", uri_of("job"))
    with pytest.raises(Conflict) as caught:
        backend.start("job", uri_of("another"))
    assert caught.value.reason == "JOB_EXISTS"


def test_bad_input_is_final_and_its_exit_report_is_kept(place: Place) -> None:
    backend = place.make("report")
    backend.start("job", uri_of("job"))
    job = place.wait_for(backend, "job", JobState.SUCCEEDED, JobState.FAILED)
    assert (job.state, job.restarts, job.exit_code) == (JobState.FAILED, 0, 65)
    assert job.exit_report is not None
    assert (job.exit_report.reason, job.exit_report.iteration) == ("NO_FACES", 3)
    assert place.runs("job") == 1


def test_interrupted_and_killed_workers_are_started_again_until_no_restart_is_left(place: Place) -> None:
    """All at once, because a cluster waits for up to half a minute before it starts one again."""
    ends = {
        "interrupted-twice": (JobState.SUCCEEDED, 2, 0),
        "killed-once": (JobState.SUCCEEDED, 1, 0),
        "crash": (JobState.FAILED, 2, 1),
        "interrupted": (JobState.FAILED, 2, 75),
    }
    running = {mode: place.make(mode.replace("-", " ")) for mode in ends}
    for mode, backend in running.items():
        backend.start(mode, uri_of(mode))
    for mode, (state, restarts, exit_code) in ends.items():
        job = place.wait_for(running[mode], mode, JobState.SUCCEEDED, JobState.FAILED)
        assert (job.state, job.restarts, job.exit_code, job.exit_report) == (state, restarts, exit_code, None)
        assert place.runs(mode) == restarts + 1


@pytest.mark.parametrize("mode", ["hang", "stubborn"])
def test_a_cancelled_job_is_forgotten_and_its_worker_ends(place: Place, mode: str) -> None:
    backend = place.make(mode, grace_seconds=0.5)
    backend.start("job", uri_of("job"))
    place.wait_for(backend, "job", JobState.RUNNING)
    backend.cancel("job")
    assert backend.get("job") is None
    backend.cancel("job")
    backend.cancel("another")
    backend.start("next", uri_of("next"))
    place.wait_for(backend, "next", JobState.RUNNING)
    assert backend.get("job") is None
