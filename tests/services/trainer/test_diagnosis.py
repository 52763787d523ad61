"""What a backend sees of its jobs from outside reaches people: GetTraining, the record, the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from click.testing import CliRunner

from facefoundry.cli.main import cli
from facefoundry.rpc.server import Server
from facefoundry.storage.store import Store
from facefoundry.v1 import recipe_pb2, trainer_pb2, trainer_pb2_grpc
from services.trainer.backends.base import Diagnosis, Job, JobState, TrainingBackend
from services.trainer.servicer import TrainerServicer
from services.trainer.settings import TrainerSettings
from services.trainer.trainings import Trainings
from services.trainer.worker_protocol import ExitReport

NO_IMAGE = Diagnosis("IMAGE_MISSING", "The node cannot get the worker's image.")


class Window(TrainingBackend):
    """A place of running that shows every job as it is set."""

    name = "window"

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
def window() -> Window:
    return Window()


@pytest.fixture
def started(
    store: Store, window: Window, put_extraction: Callable[..., str], tiny_recipe: recipe_pb2.Recipe
) -> tuple[Trainings, str]:
    """A trainer, and the name of a training it has started."""
    trainings = Trainings(store, window, TrainerSettings())
    uris = [store.uri(put_extraction(seed)) for seed in (1, 2)]
    request = trainer_pb2.StartTrainingRequest(
        extraction_a_uri=uris[0], extraction_b_uri=uris[1], pair_id="A_B", dataset="set", recipe=tiny_recipe
    )
    return trainings, trainings.start(request).uri


def test_what_keeps_a_training_waiting_is_told_and_forgotten_when_it_is_over(
    window: Window, started: tuple[Trainings, str]
) -> None:
    trainings, uri = started
    assert not trainings.get(uri).HasField("diagnosis")
    window.diagnosis = NO_IMAGE
    training = trainings.get(uri)
    assert training.state == trainer_pb2.TRAINING_STATE_QUEUED
    assert (training.diagnosis.reason, training.diagnosis.message) == (NO_IMAGE.reason, NO_IMAGE.message)
    assert not training.HasField("failure")
    window.diagnosis = None
    assert not trainings.get(uri).HasField("diagnosis")


def test_what_ended_the_last_worker_is_told_while_the_next_one_runs(
    window: Window, started: tuple[Trainings, str]
) -> None:
    trainings, uri = started
    window.state, window.restarts = JobState.RUNNING, 1
    window.diagnosis = Diagnosis("OUT_OF_MEMORY", "The worker was killed for using more memory than its limit of 16Gi.")
    training = trainings.get(uri)
    assert training.state == trainer_pb2.TRAINING_STATE_RUNNING
    assert training.diagnosis.reason == "OUT_OF_MEMORY"


def test_a_worker_that_ended_without_a_word_fails_for_what_was_seen_and_that_outlives_its_job(
    window: Window, started: tuple[Trainings, str]
) -> None:
    trainings, uri = started
    window.state, window.diagnosis = JobState.FAILED, Diagnosis("OUT_OF_MEMORY", "It was killed.")
    assert trainings.get(uri).state == trainer_pb2.TRAINING_STATE_FAILED
    window.known.clear()
    training = trainings.get(uri)
    assert (training.failure.reason, training.failure.message) == ("OUT_OF_MEMORY", "It was killed.")
    assert not training.HasField("diagnosis")


def test_a_workers_own_words_count_more_than_what_was_seen(window: Window, started: tuple[Trainings, str]) -> None:
    trainings, uri = started
    window.state, window.diagnosis = JobState.FAILED, Diagnosis("WORKER_CRASHED", "It ended with exit code 1.")
    window.exit_report = ExitReport("NO_FACES", "There is no face in A.", 3)
    assert trainings.get(uri).failure.reason == "NO_FACES"


@contextmanager
def serving(store: Store, trainings: Trainings) -> Iterator[str]:
    settings = TrainerSettings(listen="127.0.0.1:0", drain_seconds=1)
    server = Server("trainer", settings, store, "facefoundry.v1.TrainerService")
    servicer = TrainerServicer(trainings, settings, server.draining)
    server.add(lambda made: trainer_pb2_grpc.add_TrainerServiceServicer_to_server(servicer, made))
    yield f"127.0.0.1:{server.start()}"
    server.stop()


def test_the_status_command_says_why_a_training_waits(
    store: Store, window: Window, started: tuple[Trainings, str]
) -> None:
    window.diagnosis = NO_IMAGE
    with serving(store, started[0]) as address:
        # One trainer stands for all three addresses; the other services' rows do not matter here.
        places = ["--extractor", address, "--trainer", address, "--converter", address]
        shown = CliRunner().invoke(cli, ["status", *places], env={"COLUMNS": "300"})
        told = CliRunner().invoke(cli, ["status", "--json", *places])
    assert NO_IMAGE.message in shown.output, shown.output
    assert json.loads(told.stdout)["trainings"][0]["diagnosis"]["reason"] == "IMAGE_MISSING"
