"""What Jobs, pods and Events mean, as a table; the objects are in the API server's JSON form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pytest

from services.trainer.backends.base import Job, JobState
from services.trainer.backends.kubernetes.objects import Event, JobObject, Pod
from services.trainer.backends.kubernetes.status import job_of_event, job_of_pod, job_status, pods_are_outdated
from tests.services.trainer.backends.kubernetes_objects import (
    NAME,
    POD,
    REPORT,
    Object,
    claim_event,
    ended,
    event,
    job,
    pod,
    refused,
    unscheduled,
    waiting,
)


class Row(NamedTuple):
    """Objects, and the state, reason and words that must be seen."""

    job: Object
    pods: list[Object]
    events: list[Object]
    state: JobState
    reason: str = ""
    contains: tuple[str, ...] = ()


def no_node(detail: str, *contains: str) -> Row:
    """Return the row of a pod that no node can run, in the scheduler's words."""
    unscheduled_pod = unscheduled(f"0/3 nodes are available: {detail}")
    return Row(job(), [unscheduled_pod], [], JobState.QUEUED, "NO_NODE", contains)


QUEUED, RUNNING, SUCCEEDED, FAILED = JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED, JobState.FAILED
GPU = "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient nvidia.com/gpu. no new claims"
LABELS = "node(s) didn't match Pod's node affinity/selector."
CLAIMS = (
    'resourceclaims.resource.k8s.io "x" is forbidden: exceeded quota: q, requested: '
    "gpu.example.com.deviceclass.resource.k8s.io/devices=1, used: 2, limited: 2"
)
OUT_OF_SCRATCH = {
    "phase": "Failed",
    "reason": "Evicted",
    "message": 'Usage of EmptyDir volume "scratch" exceeds the limit "10Gi". ',
}
SCHEDULED = {"type": "PodScheduled", "status": "True"}
DISRUPTED = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "Eviction API"}

ROWS = {
    "just created": Row(job(), [], [], QUEUED),
    "its pod is being started": Row(job(), [waiting("ContainerCreating")], [], QUEUED),
    "its worker runs": Row(job(), [pod("Running", state={"running": {}})], [], RUNNING),
    "complete": Row(job(condition="Complete"), [ended(0, "Completed")], [], SUCCEEDED),
    "done, the Job not yet complete": Row(job(), [ended(0, "Completed")], [], RUNNING),
    "complete and its pods gone": Row(job(condition="Complete"), [], [], SUCCEEDED),
    "suspended by Kueue": Row(job(suspended=True, queue="spot"), [], [], QUEUED, "IN_QUEUE", ("Kueue", "'spot'")),
    "suspended by Kueue while its pod is leaving": Row(
        job(suspended=True, queue="spot"), [pod("Running")], [], QUEUED, "IN_QUEUE", ("Kueue",)
    ),
    "suspended by hand": Row(job(suspended=True), [], [], QUEUED, "SUSPENDED", ("spec.suspend",)),
    "no GPU free": Row(
        job(), [unscheduled(GPU)], [], QUEUED, "NO_FREE_GPU", ("nvidia.com/gpu", "device plugin", "0/3 nodes")
    ),
    "no GPU free, and nodes of another architecture": Row(
        job(),
        [unscheduled("0/3 nodes are available: 1 Insufficient nvidia.com/gpu, 2 " + LABELS)],
        [],
        QUEUED,
        "NO_FREE_GPU",
        ("image.architectures", "arm64", "no CUDA"),
    ),
    "no device free for the claim": Row(
        job(),
        [unscheduled("0/4 nodes are available: 1 cannot allocate all claims, 3 node(s) had untolerated taint(s).")],
        [],
        QUEUED,
        "NO_FREE_GPU",
        ("DRA driver", "preempt nobody", "resourceslices", "cannot allocate"),
    ),
    "no such device class": Row(
        job(),
        [unscheduled("0/1 nodes are available: request gpu: device class gpu.example.com does not exist.")],
        [],
        QUEUED,
        "DEVICE_CLASS_MISSING",
        ("DeviceClass 'gpu.example.com'", "worker.gpu.claim"),
    ),
    "the quota of devices is full": Row(
        job(),
        [unscheduled(f'running PreBind plugin "DynamicResources": create claim for extended resources: {CLAIMS}')],
        [],
        QUEUED,
        "QUOTA",
        ("jobs.quota", "deviceclass.resource.k8s.io/devices=1"),
    ),
    "the quota of devices is full for its claim": Row(
        job(),
        [pod("Pending")],
        [claim_event(f"create ResourceClaim : {CLAIMS}")],
        QUEUED,
        "QUOTA",
        ("jobs.quota", "deviceclass.resource.k8s.io/devices=1"),
    ),
    "no template of its claim": Row(
        job(),
        [pod("Pending")],
        [claim_event('resource claim template "gpu": resourceclaimtemplate.resource.k8s.io "gpu" not found')],
        QUEUED,
        "CLAIM_TEMPLATE_MISSING",
        ("ResourceClaimTemplate 'gpu'", "namespace 'jobs'", "worker.gpu.claim"),
    ),
    "its claim was made at last": Row(
        job(),
        [waiting("ContainerCreating") | {"status": {"conditions": [SCHEDULED]}}],
        [claim_event('resourceclaimtemplate.resource.k8s.io "gpu" not found')],
        QUEUED,
    ),
    "its node has no driver for the claim": Row(
        job(),
        [waiting("ContainerCreating")],
        [event("FailedPrepareDynamicResources", "DRA driver gpu.example.com is not registered", "Pod", POD)],
        QUEUED,
        "POD_NOT_STARTED",
        ("gpu.example.com is not registered",),
    ),
    "not enough memory on any node": no_node("1 Insufficient memory.", "(worker.resources)"),
    "not enough disk on any node": no_node(
        "1 Insufficient ephemeral-storage.", "much ephemeral-storage", "(worker.scratch)"
    ),
    "not enough disk on some nodes, nor memory on others": no_node(
        "1 Insufficient ephemeral-storage, 2 Insufficient memory.", "(worker.scratch and worker.resources)"
    ),
    "a taint on every node": no_node("1 node(s) had untolerated taint(s).", "worker.tolerations"),
    "no node with the labels": no_node(f"1 {LABELS}", "worker.nodeSelector"),
    "some nodes with a taint, the others without the labels": no_node(
        "1 node(s) didn't match Pod's node affinity/selector, 2 node(s) had untolerated taint(s).",
        "node selector",
        "toleration",
    ),
    "no image": Row(
        job(),
        [waiting("ImagePullBackOff", 'Back-off pulling image "registry/worker:1"')],
        [],
        QUEUED,
        "IMAGE_MISSING",
        ("registry/worker:1", "pull secret", "Back-off"),
    ),
    "no image, the first try": Row(
        job(), [waiting("ErrImagePull", "not found")], [], QUEUED, "IMAGE_MISSING", ("registry/worker:1",)
    ),
    "no secret": Row(
        job(),
        [waiting("CreateContainerConfigError", 'secret "facefoundry-store" not found')],
        [],
        QUEUED,
        "SECRET_MISSING",
        ("secret 'facefoundry-store'", "namespace 'jobs'", "Create it"),
    ),
    "no such key in the secret": Row(
        job(),
        [waiting("CreateContainerConfigError", "couldn't find key access-key in Secret jobs/store")],
        [],
        QUEUED,
        "SECRET_MISSING",
        ("The Secret 'store' in the namespace 'jobs' has no key 'access-key'. Add it.",),
    ),
    "a volume that cannot be mounted": Row(
        job(),
        [waiting("ContainerCreating")],
        [event("FailedMount", 'MountVolume.SetUp failed: secret "ca" not found', "Pod", f"{NAME}-pod1")],
        QUEUED,
        "POD_NOT_STARTED",
        ("FailedMount", '"ca"'),
    ),
    "an Event of another pod": Row(
        job(), [waiting("ContainerCreating")], [event("FailedMount", "no", "Pod", f"{NAME}-pod0")], QUEUED
    ),
    "the quota is full": Row(
        job(),
        [],
        [refused("exceeded quota: gpus, requested: requests.nvidia.com/gpu=1, used: 2, limited: 2")],
        QUEUED,
        "QUOTA",
        ("(jobs.quota)", "requested: requests.nvidia.com/gpu=1"),
    ),
    "Pod Security refuses": Row(
        job(),
        [],
        [refused('violates PodSecurity "restricted:latest": runAsNonRoot != true')],
        QUEUED,
        "POD_REFUSED",
        ("Pod Security", "jobs.podSecurity", "runAsNonRoot"),
    ),
    "no service account": Row(
        job(),
        [],
        [refused('error looking up service account jobs/worker: serviceaccount "worker" not found')],
        QUEUED,
        "SERVICE_ACCOUNT_MISSING",
        ("service account", '"worker"'),
    ),
    "an admission policy refuses": Row(
        job(), [], [refused("ValidatingAdmissionPolicy 'x' denied request: no")], QUEUED, "POD_REFUSED", ("denied",)
    ),
    "refused before its last pod was made": Row(
        job(failed=1),
        [ended(75, message="", number=20)],
        [refused("exceeded quota: x", minute=10)],
        QUEUED,
        "WORKER_CRASHED",
        ("exit code 75",),
    ),
    "refused after its last pod was made": Row(
        job(failed=1), [ended(75, number=20)], [refused("exceeded quota: x", minute=21)], QUEUED, "QUOTA"
    ),
    "bad input": Row(
        job(1, "Failed", reason="PodFailurePolicy"),
        [ended(65, message=REPORT)],
        [],
        FAILED,
        "NO_FACES",
        ("There is no face in A.",),
    ),
    "bad input, the Job not yet failed": Row(
        job(1, "FailureTarget"), [ended(65, message=REPORT)], [], RUNNING, "NO_FACES"
    ),
    "out of memory, to be started again": Row(
        job(1),
        [ended(137, "OOMKilled")],
        [],
        QUEUED,
        "OUT_OF_MEMORY",
        ("16Gi", "Raise its memory limit (worker.resources)"),
    ),
    "out of memory, running again": Row(
        job(1), [pod("Running", 2), ended(137, "OOMKilled")], [], RUNNING, "OUT_OF_MEMORY", ("16Gi",)
    ),
    "out of memory too often": Row(
        job(7, "Failed", reason="BackoffLimitExceeded"), [ended(137, "OOMKilled")], [], FAILED, "OUT_OF_MEMORY"
    ),
    "evicted by the eviction API": Row(
        job(), [ended(143, conditions=[DISRUPTED])], [], QUEUED, "EVICTED", ("last checkpoint", "EvictionByEvictionAPI")
    ),
    "evicted by a node short of disk": Row(
        job(),
        [pod("Failed", reason="Evicted", message="The node was low on resource: ephemeral-storage.")],
        [],
        QUEUED,
        "EVICTED",
        ("ephemeral-storage",),
    ),
    "out of scratch": Row(
        job(1),
        [ended(137, reason="Error") | {"status": OUT_OF_SCRATCH}],
        [],
        QUEUED,
        "SCRATCH_FULL",
        ("Raise its size (worker.scratch)", 'volume "scratch" exceeds the limit "10Gi"'),
    ),
    "evicted by a node short of memory": Row(
        job(),
        [pod("Failed", reason="Evicted", message="The node was low on resource: memory.", conditions=[DISRUPTED])],
        [],
        QUEUED,
        "EVICTED",
        ("memory", "Another worker resumes"),
    ),
    "refused by its node": Row(
        job(1),
        [pod("Failed", reason="UnexpectedAdmissionError", message="device plugin is gone")],
        [],
        QUEUED,
        "POD_REFUSED",
        ("device plugin is gone",),
    ),
    "the program is missing from the image": Row(
        job(1), [ended(128, "StartError", 'exec: "python": not found')], [], QUEUED, "POD_NOT_STARTED", ("python",)
    ),
    "an image of another architecture": Row(
        job(1),
        [ended(1, message="exec /usr/bin/python: exec format error\n")],
        [],
        QUEUED,
        "POD_NOT_STARTED",
        ("registry/worker:1", "architecture", "image.architectures"),
    ),
    "killed from outside": Row(job(1), [ended(137)], [], QUEUED, "WORKER_CRASHED", ("137", "short of memory")),
    "crashed with a log and no exit report": Row(
        job(1),
        [ended(1, message="one\ntwo\nthree\nTraceback\nValueError: x")],
        [],
        QUEUED,
        "WORKER_CRASHED",
        ("exit code 1", "three | Traceback | ValueError: x"),
    ),
    "failed and its pods gone": Row(
        job(7, "Failed", reason="BackoffLimitExceeded"), [], [], FAILED, "WORKER_CRASHED", ("of the Job",)
    ),
    "a new pod waits after a crash": Row(
        job(1), [ended(1), unscheduled(GPU) | {"metadata": pod("Pending", 2)["metadata"]}], [], QUEUED, "NO_FREE_GPU"
    ),
}


def status(job: Object, pods: Sequence[Object] = (), events: Sequence[Object] = ()) -> Job:
    """`job_status` of objects in their JSON form."""
    parsed_pods = [Pod.model_validate(item) for item in pods]
    return job_status(JobObject.model_validate(job), parsed_pods, [Event.model_validate(item) for item in events])


def outdated(job: Object, pods: Sequence[Object]) -> bool:
    return pods_are_outdated(JobObject.model_validate(job), [Pod.model_validate(item) for item in pods])


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_objects_are_read_as_the_state_and_the_sentence_they_mean(row: Row) -> None:
    seen = status(row.job, row.pods, row.events)
    assert seen.name == NAME
    assert seen.state is row.state
    assert (seen.diagnosis.reason if seen.diagnosis else "") == row.reason, seen.diagnosis
    for words in row.contains:
        assert seen.diagnosis is not None and words in seen.diagnosis.message


def test_restarts_exit_code_and_exit_report_are_those_of_the_newest_worker() -> None:
    pods = [ended(1, number=1), ended(65, message=REPORT, number=3), ended(75, number=2)]
    seen = status(job(3, "Failed"), pods)
    assert (seen.restarts, seen.exit_code) == (2, 65)
    assert seen.exit_report is not None and seen.exit_report.iteration == 3
    again = status(job(2), [*pods[::2], pod("Running", 3)])
    assert (again.state, again.restarts, again.exit_code) == (RUNNING, 2, None)
    assert status(job(2), pods[::2]).exit_code == 75
    assert status(job(condition="Complete"), [ended(0, "Completed")]) == Job(NAME, SUCCEEDED, 0, 0)


def test_a_message_of_kubernetes_is_cut_to_a_length_that_fits_a_table() -> None:
    seen = status(job(), [unscheduled("x" * 5000)])
    assert seen.diagnosis is not None and len(seen.diagnosis.message) < 800


@pytest.mark.parametrize(
    ("over", "pods", "expected"),
    [
        (job(1, "Failed"), [ended(65, message=REPORT)], False),
        (job(1, "Failed"), [], True),
        (job(2, "Failed"), [ended(75)], True),
        (job(1, "Failed"), [pod("Running")], True),
        (job(2, "Failed"), [ended(1), pod("Running", 2)], True),
        (job(1), [pod("Running")], False),
        (job(), [], False),
    ],
)
def test_pods_that_are_older_than_the_end_of_their_job_are_noticed(
    over: Object, pods: list[Object], expected: bool
) -> None:
    assert outdated(over, pods) is expected


def test_the_pods_of_a_complete_job_are_outdated_until_one_has_succeeded() -> None:
    over = job(condition="Complete")
    over["status"]["succeeded"] = 1
    assert outdated(over, [pod("Running")]) and outdated(over, [])
    assert not outdated(over, [ended(0, "Completed")])


def test_pods_and_events_are_found_by_their_job() -> None:
    assert job_of_pod(Pod.model_validate(pod("Running"))) == NAME
    assert job_of_pod(Pod.model_validate({"metadata": {"name": "stray"}})) == ""
    assert job_of_event(Event.model_validate(event("FailedMount", "", "Pod", f"{NAME}-x1y2z"))) == NAME
    assert job_of_event(Event.model_validate(event("FailedCreate", ""))) == NAME


def test_fields_that_are_null_count_as_left_out() -> None:
    nulls = {"metadata": {"name": NAME, "labels": None}, "spec": {"suspend": None}, "status": {"conditions": None}}
    assert status(nulls) == Job(NAME, QUEUED)
