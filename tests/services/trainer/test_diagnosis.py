"""A backend's diagnosis reaches people: by GetTraining, by the saved outcome, and on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner

from facefoundry.cli.main import cli
from facefoundry.storage.store import Store
from facefoundry.v1 import recipe_pb2, trainer_pb2
from services.trainer.backends.base import Diagnosis, Job, JobState, TrainingBackend
from services.trainer.settings import TrainerSettings
from services.trainer.trainings import Trainings
from services.trainer.worker_protocol import ExitReport
from tests.services.trainer.serving import serving

NO_IMAGE = Diagnosis("IMAGE_MISSING", "The node cannot get the worker's image.")


class FakeBackend(TrainingBackend):
    """A backend whose jobs are as the test sets them."""

    name = "fake"

    def __init__(self) -> None:
        self.state = JobState.QUEUED
        self.restarts = 0
        self.diagnosis: Diagnosis | None = None
        self.exit_report: ExitReport | None = None
        self.known: set[str] = set()

    def start(self, name: str, attempt_uri: str) -> None:
        self.known.add(name)

    def get(self, name: str) -> Job | None:
        if name not in self.known:
            return None
        return Job(name, self.state, self.restarts, None, self.exit_report, self.diagnosis)

    def cancel(self, name: str) -> None:
        self.known.discard(name)

    def close(self) -> None:
        pass


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend()


@pytest.fixture
def started(
    store: Store, backend: FakeBackend, put_extraction: Callable[..., str], tiny_recipe: recipe_pb2.Recipe
) -> tuple[Trainings, str]:
    """A trainer, and the name of a training it has started."""
    trainings = Trainings(store, backend, TrainerSettings())
    uris = [store.uri(put_extraction(seed)) for seed in (1, 2)]
    request = trainer_pb2.StartTrainingRequest(
        extraction_a_uri=uris[0], extraction_b_uri=uris[1], pair_id="A_B", dataset="set", recipe=tiny_recipe
    )
    return trainings, trainings.start(request).uri


def test_a_pending_training_has_a_diagnosis_while_there_is_a_reason(
    backend: FakeBackend, started: tuple[Trainings, str]
) -> None:
    trainings, uri = started
    assert not trainings.get(uri).HasField("diagnosis")
    backend.diagnosis = NO_IMAGE
    training = trainings.get(uri)
    assert training.state == trainer_pb2.Training.STATE_QUEUED
    assert (training.diagnosis.reason, training.diagnosis.message) == (NO_IMAGE.reason, NO_IMAGE.message)
    assert not training.HasField("failure")
    backend.diagnosis = None
    assert not trainings.get(uri).HasField("diagnosis")


def test_the_end_of_the_last_worker_is_shown_while_the_next_one_runs(
    backend: FakeBackend, started: tuple[Trainings, str]
) -> None:
    trainings, uri = started
    backend.state, backend.restarts = JobState.RUNNING, 1
    backend.diagnosis = Diagnosis("OUT_OF_MEMORY", "The worker was killed.")
    training = trainings.get(uri)
    assert training.state == trainer_pb2.Training.STATE_RUNNING
    assert training.diagnosis.reason == "OUT_OF_MEMORY"


def test_without_an_exit_report_the_diagnosis_is_the_failure_and_outlives_the_job(
    backend: FakeBackend, started: tuple[Trainings, str]
) -> None:
    trainings, uri = started
    backend.state, backend.diagnosis = JobState.FAILED, Diagnosis("OUT_OF_MEMORY", "It was killed.")
    assert trainings.get(uri).state == trainer_pb2.Training.STATE_FAILED
    backend.known.clear()
    training = trainings.get(uri)
    assert (training.failure.reason, training.failure.message) == ("OUT_OF_MEMORY", "It was killed.")
    assert not training.HasField("diagnosis")


def test_an_exit_report_is_preferred_to_a_diagnosis(backend: FakeBackend, started: tuple[Trainings, str]) -> None:
    trainings, uri = started
    backend.state, backend.diagnosis = JobState.FAILED, Diagnosis("WORKER_CRASHED", "It ended with exit code 1.")
    backend.exit_report = ExitReport("NO_FACES", "There is no face in A.", 3)
    assert trainings.get(uri).failure.reason == "NO_FACES"


def test_the_status_command_says_why_a_training_waits(
    store: Store, backend: FakeBackend, started: tuple[Trainings, str]
) -> None:
    backend.diagnosis = NO_IMAGE
    with serving(store, started[0]) as served:
        # One trainer stands for all three addresses; the other services' rows do not matter here.
        places = ["--extractor", served.address, "--trainer", served.address, "--converter", served.address]
        shown = CliRunner().invoke(cli, ["status", *places], env={"COLUMNS": "300"})
        listed = CliRunner().invoke(cli, ["status", "--json", *places])
    assert NO_IMAGE.message in shown.output, shown.output
    assert json.loads(listed.stdout)["trainings"][0]["diagnosis"]["reason"] == "IMAGE_MISSING"
