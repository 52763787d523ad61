"""The trainer service itself with its kubernetes backend: a process on this machine, Jobs on the cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from facefoundry.v1 import trainer_pb2, trainer_pb2_grpc
from tests.cluster.processes import in_state
from tests.cluster.workers import ClusterWorkers
from tests.waiting import wait_until

Asking = tuple[trainer_pb2_grpc.TrainerServiceStub, trainer_pb2.StartTrainingRequest]


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
