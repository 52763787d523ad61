"""The kubernetes backend with the official client against a small API server of the test's own.

What a real cluster does with Jobs is in `tests/cluster/test_backend.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from facefoundry.errors import Busy, Conflict, Denied, Internal, Unavailable
from facefoundry.storage.store import Store
from facefoundry.v1 import trainer_pb2
from services.trainer.backends.base import Job, JobState
from services.trainer.backends.kubernetes.backend import KubernetesBackend
from services.trainer.backends.kubernetes.settings import KubernetesSettings
from services.trainer.settings import TrainerSettings
from services.trainer.trainings import STARTS, Trainings
from services.trainer.worker_protocol import ExitReport
from tests.services.trainer.backends.kubernetes_api import ApiServer, Object, connect
from tests.waiting import wait_until

URI = "s3://bucket/trainings/x/attempt.json"


@pytest.fixture
def backend(api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesBackend]:
    made = connect(api, tmp_path, monkeypatch)
    yield made
    made.close()


def pod(api: ApiServer, job: str, phase: str, **state: Object) -> Object:
    """The pod of a Job, with its worker in a state."""
    return {
        "metadata": {
            "name": f"{job}-1",
            "labels": {"batch.kubernetes.io/job-name": job},
            "ownerReferences": [{"uid": api.objects["jobs"][job]["metadata"]["uid"]}],
        },
        "status": {"phase": phase, "containerStatuses": [{"name": "worker", "state": state}]},
    }


def test_a_job_is_created_followed_and_deleted(api: ApiServer, backend: KubernetesBackend) -> None:
    assert backend.get("job") is None
    backend.start("job", URI)
    backend.start("job", URI)
    assert backend.get("job") == Job("job", JobState.QUEUED)
    assert list(api.objects["jobs"]) == ["job"]
    api.put("pods", pod(api, "job", "Running", running={}), "ADDED")
    wait_until(lambda: backend.get("job") == Job("job", JobState.RUNNING))

    report = '{"reason":"NO_FACES","message":"There is no face.","iteration":3}'
    ended = {"exitCode": 65, "reason": "Error", "message": report}
    api.put("pods", pod(api, "job", "Failed", terminated=ended))
    failed = {"failed": 1, "conditions": [{"type": "Failed", "status": "True", "message": "a pod failed"}]}
    api.put("jobs", api.objects["jobs"]["job"] | {"status": failed})
    job = wait_until(lambda: (job := backend.get("job")) and job.state is JobState.FAILED and job)
    assert isinstance(job, Job) and job.exit_code == 65
    assert job.exit_report == ExitReport("NO_FACES", "There is no face.", 3)

    backend.cancel("job")
    backend.cancel("job")
    assert backend.get("job") is None and not api.objects["jobs"]


def test_a_cancel_is_one_request_for_a_job_that_is_known_and_also_stops_one_that_is_not(
    api: ApiServer, backend: KubernetesBackend
) -> None:
    backend.start("job", URI)
    assert backend.get("job") is not None
    api.jobs_read.clear()
    backend.cancel("job")
    assert not api.objects["jobs"] and not api.jobs_read
    api.objects["jobs"]["unseen"] = {"metadata": {"name": "unseen", "uid": "x"}, "spec": {}}  # no watch tells of it
    backend.cancel("unseen")
    assert not api.objects["jobs"] and api.jobs_read == ["unseen"]


def test_the_job_of_another_attempt_is_a_conflict(api: ApiServer, backend: KubernetesBackend) -> None:
    backend.start("job", URI)
    with pytest.raises(Conflict, match="trainings/x") as caught:
        backend.start("job", "s3://bucket/trainings/y/attempt.json")
    assert caught.value.reason == "JOB_EXISTS"


def test_a_job_that_is_being_deleted_is_unknown_and_cannot_be_started_yet(
    api: ApiServer, backend: KubernetesBackend
) -> None:
    backend.start("job", URI)
    item = api.objects["jobs"]["job"]
    api.put("jobs", item | {"metadata": item["metadata"] | {"deletionTimestamp": "2026-01-01T00:00:00Z"}})
    wait_until(lambda: backend.get("job") is None)
    with pytest.raises(Unavailable, match="being deleted"):
        backend.start("job", URI)


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        (403, "exceeded quota: gpus", Busy),
        (403, "admission policy", Denied),
        (404, 'namespaces "jobs" not found', Internal),
        (422, "spec.template: invalid", Internal),
        (500, "broken", Unavailable),
    ],
)
def test_refusals_keep_the_message_of_the_api_server(
    api: ApiServer, backend: KubernetesBackend, status: int, message: str, error: type[Exception]
) -> None:
    api.refusal = status, message
    with pytest.raises(error, match="namespace" if status == 404 else message):
        backend.start("job", URI)


def test_a_backend_without_a_template_names_the_setting() -> None:
    with pytest.raises(Internal, match="FACEFOUNDRY_JOB_TEMPLATE"):
        KubernetesBackend(KubernetesSettings())


def test_a_cancel_overtakes_the_starts_that_wait(
    api: ApiServer, backend: KubernetesBackend, store: Store, ask: Callable[..., trainer_pb2.StartTrainingRequest]
) -> None:
    trainings = Trainings(store, backend, TrainerSettings())
    first = trainings.start(ask(seed=100))
    starts = 5 * STARTS
    with ThreadPoolExecutor(starts) as pool:
        started = [pool.submit(trainings.start, ask(seed=seed)) for seed in range(starts)]
        wait_until(lambda: len(api.objects["jobs"]) > 1)
        before = len(api.objects["jobs"])
        trainings.cancel(first.uri)
        created = len(api.objects["jobs"]) + 1 - before
        assert created <= 3 * STARTS, "a cancel sends a request, and waits for those of few starts before"
        assert {call.result().state for call in started} == {trainer_pb2.Training.STATE_QUEUED}
    assert len(api.objects["jobs"]) == starts
