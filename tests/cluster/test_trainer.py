"""The trainer service itself with its kubernetes backend: a process on this machine, Jobs on the cluster."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from facefoundry.settings import StoreSettings
from facefoundry.storage import keys, manifest
from facefoundry.storage.store import Store
from facefoundry.v1 import trainer_pb2, trainer_pb2_grpc
from tests.cluster.workers import ClusterWorkers
from tests.processes import environment_of
from tests.waiting import wait_until

Asking = tuple[trainer_pb2_grpc.TrainerServiceStub, trainer_pb2.StartTrainingRequest]


@pytest.fixture
def request_for_a_pair(store: Store) -> trainer_pb2.StartTrainingRequest:
    """Asks to train a pair of extractions that are committed but empty; no real worker reads them here."""
    uris = []
    for seed in (1, 2):
        prefix = keys.extraction(keys.digest_of({"seed": seed}))
        manifest.commit(store, prefix, manifest.Manifest("extraction", {}, {}, (), {}, f"content-{seed}"))
        uris.append(store.uri(prefix))
    request = trainer_pb2.StartTrainingRequest(extraction_a_uri=uris[0], extraction_b_uri=uris[1], pair_id="A_B")
    request.recipe.name = "preview"
    return request


@pytest.fixture
def trainer(cluster: ClusterWorkers, store_settings: StoreSettings) -> Callable[..., Any]:
    """Runs trainer processes whose workers behave as their mode says."""

    @contextmanager
    def run(mode: str, **changes: Any) -> Iterator[tuple[str, trainer_pb2_grpc.TrainerServiceStub]]:
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        jobs = {"job_template": cluster.template(mode, **changes), "jobs_namespace": cluster.namespace, "gpus": 0}
        environment = environment_of(store_settings, backend="kubernetes", listen=address, **jobs)
        environment["KUBECONFIG"] = str(cluster.kubeconfig)
        process = subprocess.Popen([sys.executable, "-m", "services.trainer"], env=environment)
        try:
            with grpc.insecure_channel(address) as channel:
                grpc.channel_ready_future(channel).result(timeout=120)
                yield address, trainer_pb2_grpc.TrainerServiceStub(channel)
        finally:
            process.terminate()
            assert process.wait(60) == 0

    return run


def in_state(stub: trainer_pb2_grpc.TrainerServiceStub, uri: str, state: int, seconds: float) -> trainer_pb2.Training:
    def training() -> trainer_pb2.Training:
        return stub.GetTraining(trainer_pb2.GetTrainingRequest(training_uri=uri)).training

    wait_until(lambda: training().state == state, seconds, every=0.2, failure=training)
    return training()


def test_the_status_command_reports_a_missing_image_within_a_minute(
    trainer: Callable[..., Any], request_for_a_pair: trainer_pb2.StartTrainingRequest
) -> None:
    def image(job: dict[str, Any]) -> None:
        job["spec"]["template"]["spec"]["containers"][0]["image"] = "localhost/not-there:1"

    with trainer("done", edit=image) as (address, stub):
        stub.StartTraining(request_for_a_pair)
        places = ["--extractor", address, "--trainer", address, "--converter", address]
        command = [sys.executable, "-m", "facefoundry", "status", "--json", *places]

        def seen() -> dict[str, Any]:
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
            (training,) = json.loads(done.stdout)["trainings"]
            return dict(training)

        wait_until(lambda: seen().get("diagnosis", {}).get("reason") == "IMAGE_MISSING", seconds=60)
        training = seen()
        assert training["state"] == "STATE_QUEUED"
        assert "localhost/not-there:1" in training["diagnosis"]["message"]


def test_bad_input_fails_at_once_with_the_workers_message_which_outlives_the_job(
    cluster: ClusterWorkers, trainer: Callable[..., Any], request_for_a_pair: trainer_pb2.StartTrainingRequest
) -> None:
    with trainer("report", restarts=6) as (_, stub):
        uri = stub.StartTraining(request_for_a_pair).training.uri
        failed = in_state(stub, uri, trainer_pb2.Training.STATE_FAILED, 120)
        assert (failed.failure.reason, failed.failure.message) == ("NO_FACES", "There is no face.")
        (job,) = cluster.batch.list_namespaced_job(cluster.namespace).items
        assert cluster.runs(job.metadata.name) == 1
        cluster.batch.delete_namespaced_job(job.metadata.name, cluster.namespace, propagation_policy="Foreground")
        wait_until(lambda: not cluster.batch.list_namespaced_job(cluster.namespace).items)
        again = stub.GetTraining(trainer_pb2.GetTrainingRequest(training_uri=uri)).training
        assert again.failure == failed.failure
        # Asked for again, it is a new attempt and a new Job.
        assert stub.StartTraining(request_for_a_pair).training.attempt == 2
        in_state(stub, uri, trainer_pb2.Training.STATE_FAILED, 120)


def test_a_job_that_completes_without_a_model_has_failed(
    trainer: Callable[..., Any], request_for_a_pair: trainer_pb2.StartTrainingRequest
) -> None:
    with trainer("done") as (_, stub):
        uri = stub.StartTraining(request_for_a_pair).training.uri
        failed = in_state(stub, uri, trainer_pb2.Training.STATE_FAILED, 120)
        assert failed.failure.reason == "MODEL_MISSING"


def test_watching_goes_on_at_a_second_trainer_when_the_first_one_is_gone(
    cluster: ClusterWorkers, trainer: Callable[..., Any], request_for_a_pair: trainer_pb2.StartTrainingRequest
) -> None:
    with trainer("hang") as (_, second):
        with trainer("hang") as (_, first):
            uri = first.StartTraining(request_for_a_pair).training.uri
            in_state(first, uri, trainer_pb2.Training.STATE_RUNNING, 120)
            assert second.StartTraining(request_for_a_pair).training.attempt == 1
        training = next(iter(second.WatchTraining(trainer_pb2.WatchTrainingRequest(training_uri=uri)))).training
        assert training.state == trainer_pb2.Training.STATE_RUNNING
        cancelled = second.CancelTraining(trainer_pb2.CancelTrainingRequest(training_uri=uri)).training
        assert cancelled.state == trainer_pb2.Training.STATE_CANCELLED
        wait_until(lambda: not cluster.batch.list_namespaced_job(cluster.namespace).items)
