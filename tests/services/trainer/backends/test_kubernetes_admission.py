"""What a trainer says of Jobs in queues of Kueue; the Workloads are in the form that Kueue 0.17 gives them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from kubernetes import client

from services.trainer.backends.base import Diagnosis, JobState
from services.trainer.backends.kubernetes.admission import Admission, Place, diagnose_queued, preempting_job
from services.trainer.backends.kubernetes.backend import KubernetesBackend
from services.trainer.backends.kubernetes.kueue import Kueue
from services.trainer.backends.kubernetes.objects import JobObject, Workload
from tests.services.trainer.backends.kubernetes_api import TEMPLATE, ApiServer, Object, connect
from tests.waiting import wait_until

URI = "s3://bucket/trainings/x/attempt.json"
NO_QUOTA = "couldn't assign flavors to pod set main: insufficient unused quota for nvidia.com/gpu in flavor gpu"
Conditions = dict[str, tuple[str, str, str]]
"""Status, reason and message of each condition."""

PREEMPTION = (
    "Preempted to accommodate a workload (UID: 11, JobUID: 22) due to prioritization in the ClusterQueue; "
    "preemptor path: /trainings; preemptee path: /trainings"
)


def workload(conditions: Conditions | None = None, active: bool = True) -> Object:
    """The Workload of the Job `job`."""
    return {
        "metadata": {"name": "job-job-1a2b", "ownerReferences": [{"kind": "Job", "name": "job", "uid": "1"}]},
        "spec": {"active": active, "podSets": [{"name": "main"}]},
        "status": {
            "conditions": [
                {"type": kind, "status": status, "reason": reason, "message": message}
                for kind, (status, reason, message) in (conditions or {}).items()
            ]
        },
    }


WAITING: Conditions = {"QuotaReserved": ("False", "Pending", NO_QUOTA)}
PREEMPTED: Conditions = {"Evicted": ("True", "Preempted", PREEMPTION), **WAITING}


@pytest.mark.parametrize(
    ("made", "place", "reason", "contains"),
    [
        (workload(), None, "IN_QUEUE", ("queue 'spot'", "starts by itself")),
        (workload(WAITING), Place(12, 873), "IN_QUEUE", ("number 12 of 873", "quota for nvidia.com/gpu")),
        (
            workload(
                {"QuotaReserved": ("True", "QuotaReserved", ""), "Admitted": ("False", "NoChecks", "one check waits")}
            ),
            None,
            "IN_QUEUE",
            ("admission checks", "one check waits"),
        ),
        (
            workload({"QuotaReserved": ("False", "Inadmissible", "LocalQueue spot doesn't exist")}),
            None,
            "QUEUE_STOPPED",
            ("worker.queueName", "LocalQueue spot doesn't exist"),
        ),
        (
            workload({"Evicted": ("True", "Deactivated", "The workload is deactivated")}, active=False),
            None,
            "QUEUE_STOPPED",
            ("job-job-1a2b", "spec.active", "The workload is deactivated"),
        ),
        (
            workload(PREEMPTED),
            Place(1, 5),
            "PREEMPTED",
            ("the Job other", "last checkpoint", "number 1 of 5", "due to prioritization in the ClusterQueue"),
        ),
        (workload(WAITING | {"Evicted": ("False", "QuotaReserved", PREEMPTION)}), None, "IN_QUEUE", ("quota",)),
    ],
    ids=["new", "no quota", "checks", "no such queue", "not active", "preempted", "preempted before"],
)
def test_a_workload_is_read_as_the_sentence_it_means(
    made: Object, place: Place | None, reason: str, contains: tuple[str, ...]
) -> None:
    seen = diagnose_queued("spot", Admission(Workload.model_validate(made), place, "the Job other"))
    assert seen.reason == reason
    for words in contains:
        assert words in seen.message
    assert "path" not in seen.message and "  " not in seen.message


def test_the_job_that_took_the_place_is_read_from_kueue_s_sentence() -> None:
    assert preempting_job(Workload.model_validate(workload(PREEMPTED))) == "22"
    assert preempting_job(Workload.model_validate(workload(WAITING))) == ""


def test_workloads_that_cannot_be_read_are_a_sentence_with_the_right_that_is_missing() -> None:
    seen = diagnose_queued("spot", Admission(error="workloads is forbidden"))
    assert seen.reason == "IN_QUEUE" and "workloads.kueue.x-k8s.io" in seen.message
    assert "workloads is forbidden" in seen.message


@pytest.fixture
def backend(api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesBackend]:
    """A backend whose Jobs are in the queue `spot`."""
    template = yaml.safe_load(TEMPLATE.read_text())
    template["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] = "spot"
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(template))
    made = connect(api, tmp_path, monkeypatch, path)
    yield made
    made.close()


def diagnosed(backend: KubernetesBackend, reason: str) -> Diagnosis:
    """The diagnosis of a queued job, once it has this reason."""

    def found() -> Diagnosis | None:
        job = backend.get("job")
        assert job is not None and job.state is JobState.QUEUED
        return job.diagnosis if job.diagnosis and job.diagnosis.reason == reason else None

    diagnosis = wait_until(found)
    assert diagnosis
    return diagnosis


def test_a_queued_job_has_the_place_that_kueue_says_and_asks_for_it_once(
    api: ApiServer, backend: KubernetesBackend
) -> None:
    owners = [{"kind": "Job", "name": name} for name in ("first", "job")]
    items = [
        {"metadata": {"ownerReferences": [owner]}, "positionInLocalQueue": number}
        for number, owner in enumerate(owners)
    ]
    api.pending["spot"] = {"items": items}
    backend.start("job", URI)
    api.put("workloads", workload(WAITING), "ADDED")
    wait_until(lambda: "number 2 of 2" in diagnosed(backend, "IN_QUEUE").message)
    diagnosed(backend, "IN_QUEUE")
    assert api.asked == ["/apis/visibility.kueue.x-k8s.io/v1beta2/namespaces/jobs/localqueues/spot/pendingworkloads"]


def test_a_preempted_job_names_the_training_that_took_its_place(api: ApiServer, backend: KubernetesBackend) -> None:
    backend.start("job", URI)
    backend.start("other", "s3://bucket/trainings/y/attempt.json")
    uid = api.objects["jobs"]["other"]["metadata"]["uid"]
    by = PREEMPTED | {"Evicted": ("True", "Preempted", PREEMPTION.replace("22", uid))}
    api.put("workloads", workload(by), "ADDED")
    assert "the Job other (s3://bucket/trainings/y/attempt.json)" in diagnosed(backend, "PREEMPTED").message


@dataclass
class Known:
    """The Jobs that a trainer knows, and how often it looked through all of them."""

    jobs: list[JobObject]
    looks: int = 0

    def __call__(self) -> list[JobObject]:
        self.looks += 1
        return self.jobs


@pytest.fixture
def known() -> Known:
    """Two Jobs in the queue `spot`."""
    labels = {"kueue.x-k8s.io/queue-name": "spot"}
    made = [{"metadata": {"name": name, "uid": f"uid-{name}", "labels": labels}} for name in ("job", "other")]
    return Known([JobObject.model_validate(job) for job in made])


class Seconds:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def kueue(api: ApiServer, known: Known, seconds: Seconds) -> Iterator[Kueue]:
    """Kueue's records of these Jobs."""
    with client.ApiClient(client.Configuration(host=api.address)) as connected:
        made = Kueue(connected, "jobs", known, seconds)
        yield made
        made.close()


def test_the_jobs_are_looked_through_only_for_one_that_took_the_place_of_another(
    api: ApiServer, kueue: Kueue, known: Known
) -> None:
    api.put("workloads", workload(WAITING), "ADDED")
    wait_until(lambda: kueue.admission(known.jobs[0]).workload)
    assert known.looks == 0
    evicted = PREEMPTED | {"Evicted": ("True", "Preempted", PREEMPTION.replace("22", "uid-other"))}
    api.put("workloads", workload(evicted))
    wait_until(lambda: kueue.admission(known.jobs[0]).preempted_by)
    assert known.looks == 1


def test_a_job_keeps_its_place_while_kueue_does_not_tell_it(
    api: ApiServer, kueue: Kueue, known: Known, seconds: Seconds
) -> None:
    owner = {"kind": "Job", "name": "job"}
    api.pending["spot"] = {"items": [{"metadata": {"ownerReferences": [owner]}, "positionInLocalQueue": 4}]}
    api.put("workloads", workload(WAITING), "ADDED")
    wait_until(lambda: kueue.admission(known.jobs[0]).workload)
    assert kueue.admission(known.jobs[0]).place == Place(5, 1)
    del api.pending["spot"]
    seconds.now += 10
    assert kueue.admission(known.jobs[0]).place == Place(5, 1)
    assert len(api.asked) == 2
    api.pending["spot"] = {"items": []}
    seconds.now += 10
    assert kueue.admission(known.jobs[0]).place is None


@pytest.fixture
def without_kueue(api: ApiServer) -> None:
    """The API server has no objects of Kueue."""
    del api.objects["workloads"]


def test_a_job_is_queued_and_the_cause_is_told_where_kueue_is_not_installed(
    api: ApiServer, without_kueue: None, backend: KubernetesBackend
) -> None:
    backend.start("job", URI)
    wait_until(lambda: "check that Kueue is installed" in diagnosed(backend, "IN_QUEUE").message)
    assert not api.asked
