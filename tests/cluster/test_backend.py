"""What only the kubernetes backend does, on the cluster that KUBECONFIG names."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from kubernetes import client

from facefoundry.errors import Conflict, Denied, Unavailable
from services.trainer.backends.base import JobState
from tests.cluster.queues import has_kueue
from tests.cluster.workers import ClusterWorkers, Detour, Make, diagnosis, wait_for
from tests.waiting import wait_until

URI = "s3://bucket/trainings/x/attempt.json"


def test_replicas_that_start_the_same_job_at_once_make_one(cluster: ClusterWorkers, make: Make) -> None:
    replicas = [make(), make()]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: replicas[number % 2].start("job", URI), range(8)))
    for replica in replicas:
        assert wait_for(replica, "job", JobState.SUCCEEDED, seconds=120).restarts == 0
    assert len(cluster.batch.list_namespaced_job(cluster.namespace).items) == cluster.runs("job") == 1


def test_a_job_of_that_name_for_another_request_is_a_conflict(make: Make) -> None:
    backend = make("hang")
    backend.start("job", URI)
    with pytest.raises(Conflict, match="trainings/x"):
        backend.start("job", "s3://bucket/trainings/y/attempt.json")


def test_cancelling_leaves_no_pod_and_no_job(cluster: ClusterWorkers, make: Make) -> None:
    backend, other = make("hang"), make("hang")
    backend.start("job", URI)
    wait_for(backend, "job", JobState.RUNNING, seconds=120)
    backend.cancel("job")
    wait_until(lambda: other.get("job") is None)
    wait_until(lambda: not cluster.pods("job"))
    wait_until(lambda: not cluster.batch.list_namespaced_job(cluster.namespace).items)


def test_an_evicted_worker_costs_no_restart(cluster: ClusterWorkers, make: Make) -> None:
    backend = make("hang", restarts=0)
    backend.start("job", URI)
    wait_for(backend, "job", JobState.RUNNING, seconds=120)
    (evicted,) = cluster.pods("job")
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": evicted.metadata.name}}
    cluster.core.create_namespaced_pod_eviction(evicted.metadata.name, cluster.namespace, eviction)
    wait_until(
        lambda: any(
            pod.status.phase == "Running"
            and not pod.metadata.deletion_timestamp
            and pod.metadata.name != evicted.metadata.name
            for pod in cluster.pods("job")
        )
    )
    wait_until(lambda: len(cluster.pods("job")) == 1)
    job = wait_for(backend, "job", JobState.RUNNING, JobState.FAILED, seconds=60)
    assert (job.state, job.restarts, job.diagnosis) == (JobState.RUNNING, 0, None)


def test_a_worker_over_its_memory_limit_shows_as_such(make: Make) -> None:
    backend = make("memory", restarts=0)
    backend.start("job", URI)
    job = wait_for(backend, "job", JobState.FAILED, seconds=120)
    assert job.diagnosis is not None and job.diagnosis.reason == "OUT_OF_MEMORY"
    assert "64Mi" in job.diagnosis.message


@pytest.mark.usefixtures("full")
def test_a_worker_over_the_size_of_its_scratch_volume_shows_as_such(make: Make) -> None:
    def small(job: dict[str, Any]) -> None:
        (scratch,) = job["spec"]["template"]["spec"]["volumes"]
        scratch["emptyDir"] = {"sizeLimit": "16Mi"}

    backend = make("scratch", restarts=0, edit=small)
    backend.start("job", URI)
    job = wait_for(backend, "job", JobState.FAILED, seconds=180)
    assert job.diagnosis is not None and job.diagnosis.reason == "SCRATCH_FULL"
    assert '"16Mi"' in job.diagnosis.message


def test_a_lost_api_server_is_unavailable_and_the_state_is_right_once_it_is_back(
    cluster: ClusterWorkers, make: Make
) -> None:
    with Detour(cluster.kubeconfig) as detour:
        backend = make("hang", kubeconfig=detour.kubeconfig)
        backend.start("job", URI)
        wait_for(backend, "job", JobState.RUNNING, seconds=120)
        detour.close()
        seen: list[JobState] = []

        def lost() -> bool:
            try:
                job = backend.get("job")
            except Unavailable:
                return True
            assert job is not None
            seen.append(job.state)
            return False

        wait_until(lost)
        assert set(seen) <= {JobState.RUNNING}
        for call in (backend.cancel, lambda name: backend.start(f"{name}-2", URI)):
            with pytest.raises(Unavailable):
                call("job")
        cluster.batch.delete_namespaced_job("job", cluster.namespace, propagation_policy="Background")
        wait_until(lambda: not cluster.pods("job"))
        detour.open()

        def gone() -> bool:
            try:
                return backend.get("job") is None
            except Unavailable:
                return False

        wait_until(gone)


def test_a_suspended_job_is_queued_and_goes_on_when_it_is_admitted(cluster: ClusterWorkers, make: Make) -> None:
    """The test plays Kueue, which would suspend the Job again."""
    if has_kueue():
        pytest.skip("Kueue is installed: test_kueue.py")

    def queue(job: dict[str, Any]) -> None:
        job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] = "spot"

    backend = make("hang", edit=queue)
    backend.start("job", URI)
    assert "'spot'" in diagnosis(backend, "IN_QUEUE").message

    def admit(suspend: bool) -> None:
        cluster.batch.patch_namespaced_job("job", cluster.namespace, {"spec": {"suspend": suspend}})

    admit(False)
    wait_for(backend, "job", JobState.RUNNING, seconds=120)
    admit(True)
    assert wait_for(backend, "job", JobState.QUEUED, seconds=120).restarts == 0
    wait_until(lambda: not cluster.pods("job"))
    admit(False)
    assert wait_for(backend, "job", JobState.RUNNING, seconds=120).restarts == 0


def image(job: dict[str, Any]) -> None:
    job["spec"]["template"]["spec"]["containers"][0]["image"] = "localhost/not-there:1"


def secret(job: dict[str, Any]) -> None:
    reference = {"secretKeyRef": {"name": "facefoundry-store", "key": "access-key"}}
    job["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": "KEY", "valueFrom": reference})


def privilege(job: dict[str, Any]) -> None:
    job["spec"]["template"]["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True


def account(job: dict[str, Any]) -> None:
    job["spec"]["template"]["spec"]["serviceAccountName"] = "nobody"


def volume(job: dict[str, Any]) -> None:
    pod = job["spec"]["template"]["spec"]
    pod["volumes"].append({"name": "ca", "secret": {"secretName": "store-ca"}})
    pod["containers"][0]["volumeMounts"].append({"name": "ca", "mountPath": "/ca"})


def nodes(job: dict[str, Any]) -> None:
    job["spec"]["template"]["spec"]["nodeSelector"] = {"no-such-label": "x"}


@pytest.mark.parametrize(
    ("changes", "reason", "message"),
    [
        ({"edit": image}, "IMAGE_MISSING", "localhost/not-there:1"),
        ({"edit": secret}, "SECRET_MISSING", "facefoundry-store"),
        ({"edit": volume}, "POD_NOT_STARTED", "store-ca"),
        ({"edit": privilege}, "POD_REFUSED", "Pod Security"),
        ({"edit": account}, "SERVICE_ACCOUNT_MISSING", "nobody"),
        ({"edit": nodes}, "NO_NODE", "node selector"),
        ({"gpus": 99}, "NO_FREE_GPU", "nvidia.com/gpu"),
    ],
    ids=["image", "secret", "volume", "Pod Security", "service account", "node selector", "GPU"],
)
def test_the_cause_of_a_pending_worker_is_reported_within_a_minute(
    make: Make, changes: dict[str, Any], reason: str, message: str
) -> None:
    backend = make("done", **changes)
    backend.start("job", URI)
    assert message in diagnosis(backend, reason).message
    job = backend.get("job")
    assert job is not None and job.state is JobState.QUEUED


def test_a_full_quota_is_reported_within_a_minute(cluster: ClusterWorkers, make: Make) -> None:
    quota = {"metadata": {"name": "few"}, "spec": {"hard": {"pods": "0"}}}
    cluster.core.create_namespaced_resource_quota(cluster.namespace, quota)
    wait_until(lambda: bool(cluster.core.read_namespaced_resource_quota("few", cluster.namespace).status.hard))
    backend = make()
    backend.start("job", URI)
    assert "pods=0" in diagnosis(backend, "QUOTA").message


def test_a_job_that_the_cluster_refuses_is_an_error_of_the_caller(cluster: ClusterWorkers, make: Make) -> None:
    backend = make()
    client.RbacAuthorizationV1Api().delete_namespaced_role_binding("trainer", cluster.namespace)
    reports: list[str] = []

    def refused() -> bool:
        try:
            backend.start(f"job-{time.monotonic_ns()}", URI)
        except Denied as error:
            reports.append(error.message)
        return bool(reports)

    wait_until(refused)
    assert "Role" in reports[0] and cluster.namespace in reports[0]


def test_a_namespace_that_it_may_not_look_into_is_unavailable_and_named(make: Make) -> None:
    backend = make(namespace="not-there")
    with pytest.raises(Unavailable, match="not-there"):
        backend.get("job")
    with pytest.raises(Denied, match="not-there"):
        backend.start("job", URI)
