"""Trainings in a queue of the real Kueue: admitted by quota, stopped for others, and resumed.

Part of make test-cluster-full. What a trainer says of each state is in
`tests/services/trainer/backends/test_kubernetes_admission.py`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import pytest

from facefoundry.storage.store import Store
from facefoundry.v1 import trainer_pb2
from services.trainer.backends.base import JobState
from services.trainer.backends.kubernetes.backend import KubernetesBackend
from tests import tiny
from tests.cluster.installation import installation
from tests.cluster.processes import in_state
from tests.cluster.queues import QUEUE, Queues, need_kueue, queued
from tests.cluster.trainings import RUNNING
from tests.cluster.workers import ClusterWorkers, Make, diagnosis, wait_for
from tests.helm.chart import find_helm
from tests.waiting import wait_until

pytestmark = [pytest.mark.usefixtures("full"), pytest.mark.timeout(3600)]

Asking: TypeAlias = Callable[[int], trainer_pb2.StartTrainingRequest]
JOBS = 1000
FEW, MANY = 8, 32
PLACE = re.compile(r"number (?P<number>\d+) of (?P<of>\d+)")


@pytest.fixture
def queues(cluster: ClusterWorkers) -> Iterator[Queues]:
    """A queue on the nodes that only seem to run pods."""
    need_kueue()
    made = Queues(cluster.namespace, FEW, {"type": "kwok"})
    yield made
    cluster.delete_jobs()
    made.remove()


def finish(cluster: ClusterWorkers, name: str) -> None:
    """End the pod of a lasting Job, as its node would."""
    (pod,) = (pod for pod in cluster.pods(name) if pod.status.phase == "Running")
    ended = {"name": "worker", "image": pod.spec.containers[0].image, "imageID": "", "ready": False, "restartCount": 0}
    ended["state"] = {"terminated": {"exitCode": 0, "reason": "Completed"}}
    status = {"status": {"phase": "Succeeded", "containerStatuses": [ended]}}
    cluster.core.patch_namespaced_pod_status(pod.metadata.name, cluster.namespace, status)


def states(backend: KubernetesBackend, names: list[str]) -> Counter[str]:
    return Counter(job.state.value for name in names if (job := backend.get(name)))


def places(backend: KubernetesBackend, names: list[str]) -> list[tuple[int, int]]:
    """Each job's place in the queue and the queue's length, as its message says."""
    jobs = [backend.get(name) for name in names]
    found = [PLACE.search(job.diagnosis.message) if job and job.diagnosis else None for job in jobs]
    return [(int(match["number"]), int(match["of"])) if match else (0, 0) for match in found]


def test_a_thousand_jobs_are_admitted_by_quota_and_the_one_that_makes_room_resumes_and_ends(
    queues: Queues, cluster: ClusterWorkers, make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    large = make(gpus=FEW, edit=queued(queues.low, lasting=True))
    large.start("large", "s3://bucket/trainings/large/attempt.json")
    wait_for(large, "large", JobState.RUNNING, seconds=120)
    backend = make(gpus=1, edit=queued(queues.low))
    names = [f"training-{number:040x}-1" for number in range(JOBS - 2)]
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: backend.start(name, f"s3://bucket/trainings/{name}/attempt.json"), names))
    created = time.monotonic() - began
    in_order = [(number + 1, len(names)) for number in range(len(names))]
    wait_until(lambda: sorted(places(backend, names)) == in_order, seconds=120, every=5)
    seen = places(backend, names)
    assert seen[0] < seen[-1]
    assert "insufficient unused quota for nvidia.com/gpu" in diagnosis(backend, "IN_QUEUE", names[0]).message
    assert queues.used() == FEW

    make(gpus=1, edit=queued(queues.high)).start("urgent", "s3://bucket/trainings/urgent/attempt.json")
    stopped = diagnosis(large, "PREEMPTED", "large")
    assert "make room for the Job urgent (s3://bucket/trainings/urgent/attempt.json)" in stopped.message
    wait_for(backend, "urgent", JobState.SUCCEEDED, seconds=120)

    queues.allow(MANY)
    used = [queues.used()]

    def all_ended() -> bool:
        used.append(queues.used())
        return states(backend, names)["SUCCEEDED"] == len(names)

    wait_until(all_ended, seconds=2400, every=2, failure=lambda: states(backend, names))
    ended = time.monotonic() - began
    wait_for(large, "large", JobState.RUNNING, seconds=120)
    finish(cluster, "large")
    assert wait_for(large, "large", JobState.SUCCEEDED, seconds=120).restarts == 0
    figures = {"created_seconds": created, "ended_seconds": ended, "most_gpus": max(used), "message": stopped.message}
    with capsys.disabled():
        print(f"\n{JOBS} Jobs in a queue: {json.dumps(figures)}")
    assert FEW < max(used) <= MANY


@pytest.fixture
def ask(store: Store, request_for_a_pair: trainer_pb2.StartTrainingRequest) -> Asking:
    """Makes requests for trainings; each seed is a training of its own."""

    def request(seed: int) -> trainer_pb2.StartTrainingRequest:
        made = trainer_pb2.StartTrainingRequest()
        made.CopyFrom(request_for_a_pair)
        made.recipe.CopyFrom(tiny.recipe(training__seed=seed))
        return made

    return request


def test_the_status_says_what_a_training_waits_for_and_which_one_took_its_place(
    queues: Queues, trainer: Callable[..., Any], ask: Asking
) -> None:
    def reason(stub: Any, uri: str, *words: str) -> bool:
        training = stub.GetTraining(trainer_pb2.GetTrainingRequest(training_uri=uri)).training
        return all(word in f"{training.diagnosis.reason}: {training.diagnosis.message}" for word in words)

    with trainer("hang", edit=queued(queues.low, lasting=True), gpus=FEW) as (address, stub):
        first = stub.StartTraining(ask(1)).training
        in_state(stub, first.uri, RUNNING, 120)
        second = stub.StartTraining(ask(2)).training
        wait_until(lambda: reason(stub, second.uri, "IN_QUEUE", "number 1 of 1", "insufficient unused quota"), 120)
        with trainer("hang", edit=queued(queues.high, lasting=True), gpus=FEW) as (_, other):
            third = other.StartTraining(ask(3)).training
            in_state(other, third.uri, RUNNING, 120)
            by = third.uri.rpartition("/")[2]
            wait_until(lambda: reason(stub, first.uri, "PREEMPTED", f"trainings/{by}/", "of 2"), 60)
            places = ["--extractor", address, "--trainer", address, "--converter", address]
            command = [sys.executable, "-m", "facefoundry", "status", "--json", *places]
            shown = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
            reasons = Counter(row.get("diagnosis", {}).get("reason") for row in shown["trainings"])
            assert reasons == {None: 1, "PREEMPTED": 1, "IN_QUEUE": 1}
            # Kueue may take either of two that were created in the same second.
            stub.CancelTraining(trainer_pb2.CancelTrainingRequest(training_uri=second.uri))
            other.CancelTraining(trainer_pb2.CancelTrainingRequest(training_uri=third.uri))
            assert in_state(stub, first.uri, RUNNING, 120).attempt == 1


def test_the_chart_s_trainer_creates_jobs_in_the_queue_and_reads_workloads() -> None:
    need_kueue()
    with installation(find_helm(), f"worker.queueName={QUEUE}") as installed:
        assert installed.create(installed.job()) == ""
        assert installed.may("watch", "workloads", installed.jobs, "kueue.x-k8s.io")
        assert not installed.may("update", "workloads", installed.jobs, "kueue.x-k8s.io")
