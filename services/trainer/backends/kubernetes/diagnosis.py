"""Explains why a worker's pod is not running or how it ended, in sentences that say what to do.

Words in parentheses, such as `jobs.quota`, are values of the chart. What the chart owns is changed there, as a change
by other means makes the next `helm upgrade` fail.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from facefoundry import codec
from facefoundry.errors import DataLoss
from services.trainer.backends.base import Diagnosis
from services.trainer.backends.kubernetes.objects import Event, Pod, Terminated, Waiting
from services.trainer.backends.kubernetes.template import CONTAINER
from services.trainer.worker_protocol import ExitReport

__all__ = [
    "diagnose_creation",
    "diagnose_ended",
    "diagnose_leaving",
    "diagnose_pending",
    "exit_report",
    "terminated",
]

_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError"})
_STARTING = frozenset({"ContainerCreating", "PodInitializing"})
_KILLED = 137
_WRONG_ARCHITECTURE = "exec format error"
# The scheduler's words for nodes that lack the labels of a node selector.
_NOT_SELECTED = "node affinity/selector"
_LABELS = (
    "They are those of the node selector (worker.nodeSelector), and kubernetes.io/arch of an architecture that the "
    "image was built for (image.architectures). A GPU of an arm64 node cannot be used: TensorFlow's package for arm64 "
    "has no CUDA."
)
_MAX_DETAIL = 600
# Longer than a node that answers needs beyond a pod's grace period.
_LATE = timedelta(seconds=60)
# The scheduler's words for devices that a claim asks for and no node has free: dynamic resource allocation (DRA).
_NOT_ALLOCATED = ("cannot allocate all claims", "resourceclaim in use", "resourceclaim not available")
# The scheduler writes: request gpu: device class gpu.example.com does not exist
_MISSING_CLASS = re.compile(r"device class (?P<name>\S+) does not exist")
# The controller of claims writes: resourceclaimtemplate.resource.k8s.io "gpu" not found
_MISSING_TEMPLATE = re.compile(r'resourceclaimtemplate\S* "(?P<name>[^"]*)" not found')
_CLAIM_FAILED = "FailedResourceClaimCreation"
# The kubelet's words for an emptyDir, or a pod's local storage, above its limit.
_SCRATCH_FULL = re.compile(r"exceeds the (?:total )?limit|exceeded its local ephemeral storage limit")
# What a pod requests of a node's disk: the chart computes it from `worker.scratch`.
_DISK = "ephemeral-storage"
# The kubelet writes: secret "store" not found
_MISSING_OBJECT = re.compile(r'(?P<kind>secret|configmap) "(?P<name>[^"]*)" not found')
# The kubelet writes: couldn't find key access-key in Secret jobs/store
_MISSING_KEY = re.compile(r"find key (?P<key>\S+) in (?P<kind>Secret|ConfigMap) (?P<namespace>[^/\s]+)/(?P<name>\S+)")
# What precedes the relevant part of the API server's message.
_CREATION = re.compile(r'^Error creating: (?:pods "[^"]*" is forbidden: )?')
# Pattern in the API server's message, reason, sentence; the first match wins.
_REFUSALS: Sequence[tuple[str, str, str]] = (
    (
        r"exceeded quota",
        "QUOTA",
        "The namespace's quota is used up. The training starts when another one ends or the ResourceQuota is raised "
        "(jobs.quota).",
    ),
    (
        r"violates PodSecurity",
        "POD_REFUSED",
        "The namespace's Pod Security level refuses the worker's pod. Look for software that changes pods, or lower "
        "the level (jobs.podSecurity; in a namespace of your own its label pod-security.kubernetes.io/enforce).",
    ),
    (
        r"serviceaccount .* not found",
        "SERVICE_ACCOUNT_MISSING",
        "The worker's service account does not exist in the namespace of the Jobs. Create it, or name another one.",
    ),
    (
        r"(?:maximum|minimum) \S+ usage per",
        "POD_REFUSED",
        "The namespace's LimitRange refuses the worker's resources. Change the LimitRange or the resources "
        "(worker.resources).",
    ),
    (
        r"[Pp]riority ?[Cc]lass",
        "PRIORITY_CLASS_MISSING",
        "The worker's priority class does not exist. Create it, or name another one (worker.priorityClassName).",
    ),
)


def diagnose_creation(events: Sequence[Event], after: str = "") -> Diagnosis | None:
    """Explain why a Job has no pod.

    Args:
        events: Warnings about the Job.
        after: Time, RFC 3339; older warnings are ignored.
    """
    refused = [event for event in events if event.reason == "FailedCreate" and _last_seen(event) >= after]
    if not refused:
        return None
    detail = _CREATION.sub("", max(refused, key=_last_seen).message)
    return _refused(detail, "The cluster refuses the worker's pod. Correct what Kubernetes reports.")


def diagnose_pending(pod: Pod, events: Sequence[Event]) -> Diagnosis | None:
    """Explain what a pending pod is waiting for; None while it is starting normally.

    Args:
        pod: The pod.
        events: Warnings about the pod.
    """
    scheduled = pod.condition("PodScheduled")
    if scheduled.status == "False":
        return _unscheduled(scheduled.message)
    # Without its claim, a pod is not given to the scheduler and has no condition.
    claims = [event for event in events if event.reason == _CLAIM_FAILED]
    events = [event for event in events if event.reason != _CLAIM_FAILED]
    if claims and scheduled.status != "True":
        return _unclaimed(max(claims, key=_last_seen).message, pod.metadata.namespace)
    waiting = pod.container_state(CONTAINER).waiting or Waiting()
    reason, detail = waiting.reason, waiting.message
    if reason in _IMAGE:
        sentence = (
            f"The node cannot pull the worker's image {pod.container(CONTAINER).image}. Check its name and tag, the "
            "connection to the registry, and the pull secret."
        )
        return _diagnosis("IMAGE_MISSING", sentence, detail or reason)
    if missing := _MISSING_OBJECT.search(detail):
        sentence = (
            f"The worker needs the {missing['kind']} {missing['name']!r} in the namespace {pod.metadata.namespace!r}. "
            "Create it there."
        )
        return _diagnosis("SECRET_MISSING", sentence, detail)
    if missing := _MISSING_KEY.search(detail):
        sentence = (
            f"The {missing['kind']} {missing['name']!r} in the namespace {missing['namespace']!r} has no key "
            f"{missing['key']!r}. Add it."
        )
        return _diagnosis("SECRET_MISSING", sentence, detail)
    if reason and reason not in _STARTING:
        sentence = "The node cannot start the worker's container. Correct what Kubernetes reports."
        return _diagnosis("POD_NOT_STARTED", sentence, f"{reason}: {detail}")
    if events:
        newest = max(events, key=_last_seen)
        sentence = "The node cannot start the worker's pod yet. If it does not start soon, correct what is reported."
        return _diagnosis("POD_NOT_STARTED", sentence, f"{newest.reason}: {newest.message}")
    return None


def diagnose_leaving(pod: Pod, now: datetime) -> Diagnosis | None:
    """Explain why a pod that is being deleted is still there; None while it has time to end.

    Args:
        pod: The pod. Its deletion timestamp is the time by which it should be gone.
        now: The time, with its zone.
    """
    due = pod.metadata.deletion_timestamp
    if not due or now - datetime.fromisoformat(due) < _LATE:
        return None
    node = pod.spec.node_name
    sentence = (
        f"The node {node} does not end the worker's pod, which was to be gone by {due}. If the node is lost, delete "
        f"its Node object (kubectl delete node {node}), or taint it (kubectl taint nodes {node} "
        "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute). Another worker then resumes from the last "
        "checkpoint."
    )
    return Diagnosis("NODE_LOST", sentence)


def diagnose_ended(pod: Pod) -> Diagnosis | None:
    """Explain how a pod's worker ended; None if it succeeded."""
    status, end = pod.status, terminated(pod)
    disrupted = pod.condition("DisruptionTarget")
    if end is not None and end.reason == "OOMKilled":
        limit = pod.container(CONTAINER).resources.limits.get("memory")
        allowed = f"its limit of {limit}" if limit else "its node has"
        return Diagnosis(
            "OUT_OF_MEMORY",
            f"The worker was killed because it used more memory than {allowed}. Raise its memory limit "
            "(worker.resources).",
        )
    if status.reason == "Evicted" and disrupted.status != "True" and _SCRATCH_FULL.search(status.message):
        sentence = (
            "The worker was stopped because it filled its scratch volume. Raise its size (worker.scratch) and start "
            "the training again; it resumes from its last checkpoint."
        )
        return _diagnosis("SCRATCH_FULL", sentence, status.message)
    if status.reason == "Evicted" or disrupted.status == "True":
        sentence = "The worker was evicted from its node. Another worker resumes from the last checkpoint."
        detail = f"{status.reason or disrupted.reason}: {status.message or disrupted.message}"
        return _diagnosis("EVICTED", sentence, detail)
    if end is None:
        detail = f"{status.reason}: {status.message}"
        sentence = "The node refused the worker's pod. Correct what Kubernetes reports."
        return _diagnosis("POD_REFUSED", sentence, detail) if status.reason else None
    if end.exit_code == 0:
        return None
    report = exit_report(pod)
    if report is not None:
        return Diagnosis(report.reason, report.message)
    if _WRONG_ARCHITECTURE in end.message:
        sentence = (
            f"The worker's image {pod.container(CONTAINER).image} was built for another CPU architecture than its node "
            "has. Name the architectures that it was built for (image.architectures)."
        )
        return _diagnosis("POD_NOT_STARTED", sentence, end.message)
    if end.reason in ("StartError", "ContainerCannotRun"):
        sentence = "The worker's program could not be started. Check the worker's image."
        return _diagnosis("POD_NOT_STARTED", sentence, end.message)
    if end.exit_code == _KILLED and not end.message:
        return Diagnosis(
            "WORKER_CRASHED",
            "The worker was killed from outside (exit code 137). If its node is short of memory, use a larger one.",
        )
    last_lines = " | ".join(end.message.strip().splitlines()[-3:])
    sentence = f"The worker crashed with exit code {end.exit_code}."
    return _diagnosis("WORKER_CRASHED", sentence, last_lines, "The last lines of its log")


def terminated(pod: Pod) -> Terminated | None:
    """Return how a pod's worker ended; None if it is running or never ran."""
    return pod.container_state(CONTAINER).terminated


def exit_report(pod: Pod) -> ExitReport | None:
    """Return a worker's exit report; None if it wrote none, because Kubernetes then stores the end of its log."""
    end = terminated(pod)
    try:
        return codec.from_json(ExitReport, end.message) if end else None
    except DataLoss:
        return None


def _unclaimed(detail: str, namespace: str) -> Diagnosis:
    """Explain why the ResourceClaim of a pod cannot be made."""
    if missing := _MISSING_TEMPLATE.search(detail):
        sentence = (
            f"The worker needs the ResourceClaimTemplate {missing['name']!r} in the namespace {namespace!r}. Create it "
            "there, or name another one (worker.gpu.claim)."
        )
        return _diagnosis("CLAIM_TEMPLATE_MISSING", sentence, detail)
    return _refused(detail, "The cluster refuses the worker's claim of a GPU. Correct what Kubernetes reports.")


def _refused(detail: str, otherwise: str) -> Diagnosis:
    """Explain what the API server refused, in a known sentence, or in that of `otherwise`."""
    for pattern, reason, sentence in _REFUSALS:
        if re.search(pattern, detail):
            return _diagnosis(reason, sentence, detail)
    return _diagnosis("POD_REFUSED", otherwise, detail)


def _unscheduled(detail: str) -> Diagnosis:
    if "exceeded quota" in detail:  # the scheduler makes the claim of a resource that a DeviceClass offers
        return _refused(detail, "")
    if missing := _MISSING_CLASS.search(detail):
        sentence = (
            f"The worker's claim needs the DeviceClass {missing['name']!r}. Install the DRA driver that brings it, or "
            "name another one (worker.gpu.claim)."
        )
        return _diagnosis("DEVICE_CLASS_MISSING", sentence, detail)
    short = re.findall(r"Insufficient ([\w./-]*\w)", detail)
    device = next((name for name in short if "/" in name), "")
    if device:
        sentence = (
            f"No node has a free {device}. The training starts when another one ends. If no other training is running, "
            f"add a node with {device}, and check that the device plugin runs on it, or that a DeviceClass has this "
            "name as its extendedResourceName."
        )
        return _diagnosis("NO_FREE_GPU", sentence + _left_out(detail), detail)
    if any(words in detail for words in _NOT_ALLOCATED):
        sentence = (
            "No node has a free device for the worker's claim. The training starts when another one ends, whatever its "
            "priority, as claims preempt nobody. If no other training is running, add a node with a GPU, and check "
            "that the DRA driver on it publishes the device (kubectl get resourceslices)."
        )
        return _diagnosis("NO_FREE_GPU", sentence + _left_out(detail), detail)
    if short:
        values = dict.fromkeys("worker.scratch" if name == _DISK else "worker.resources" for name in short)
        sentence = (
            f"No node has as much {' and '.join(dict.fromkeys(short))} free as the worker requests. Lower the request "
            f"({' and '.join(values)}), or add a node."
        )
    elif "taint" in detail and _NOT_SELECTED in detail:
        sentence = (
            "Some nodes lack the labels that the worker requires, and the others have a taint that it does not "
            f"tolerate. {_LABELS} Or add the toleration to the worker (worker.tolerations)."
        )
    elif "taint" in detail:
        sentence = (
            "All suitable nodes have a taint that the worker does not tolerate. Add the toleration to the worker "
            "(worker.tolerations)."
        )
    elif _NOT_SELECTED in detail:
        sentence = f"No node has the labels that the worker requires. {_LABELS}"
    else:
        sentence = "No node can run the worker now. Correct what the scheduler reports, or add a node."
    return _diagnosis("NO_NODE", sentence, detail)


def _left_out(detail: str) -> str:
    """Return a sentence about nodes that do not count, empty if there are none."""
    return (
        f" Nodes without the labels that the worker requires do not count. {_LABELS}" if _NOT_SELECTED in detail else ""
    )


def _diagnosis(reason: str, sentence: str, detail: str, source: str = "Kubernetes reports") -> Diagnosis:
    detail = " ".join(detail.split()).strip(": ")
    if len(detail) > _MAX_DETAIL:
        detail = detail[:_MAX_DETAIL] + "..."
    return Diagnosis(reason, f"{sentence} {source}: {detail}" if detail else sentence)


def _last_seen(event: Event) -> str:
    """Return the time at which an Event last occurred, RFC 3339 in whole seconds."""
    moment = (
        event.last_timestamp
        or event.series.last_observed_time
        or event.event_time
        or event.metadata.creation_timestamp
        or "1970-01-01T00:00:00Z"
    )
    return datetime.fromisoformat(moment).strftime("%Y-%m-%dT%H:%M:%SZ")
