"""What keeps a worker's pod from running, or ended it, as sentences that say what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from facefoundry.errors import InvalidInput
from services.trainer.backends.base import Diagnosis
from services.trainer.backends.kubernetes.template import CONTAINER, Object
from services.trainer.worker_protocol import ExitReport, from_json

__all__ = ["exit_report", "diagnose_creation", "diagnose_ended", "diagnose_pending", "terminated"]

_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError"})
_COMING = frozenset({"ContainerCreating", "PodInitializing"})
_KILLED = 137
# What the scheduler says of nodes without the labels of a node selector.
_NOT_SELECTED = "node affinity/selector"
_LONGEST = 600
# What the API server says before the part that matters.
_CREATION = re.compile(r'^Error creating: (?:pods "[^"]*" is forbidden: )?')
# First match wins; the groups are for the sentence.
_REFUSALS: Sequence[tuple[str, str, str]] = (
    (
        r"exceeded quota",
        "QUOTA",
        "The namespace's quota is used up: it starts when another training ends, or when the ResourceQuota is raised.",
    ),
    (
        r"violates PodSecurity",
        "POD_REFUSED",
        "The namespace's Pod Security level refuses the worker's pod: give the Job template the security context that "
        "the level asks for, or lower the namespace's label pod-security.kubernetes.io/enforce.",
    ),
    (
        r"serviceaccount .* not found",
        "SERVICE_ACCOUNT_MISSING",
        "The worker's service account does not exist in the namespace of the Jobs: create it, or name another.",
    ),
    (
        r"(?:maximum|minimum) \S+ usage per",
        "POD_REFUSED",
        "The namespace's LimitRange refuses the worker's resources: change the one or the other.",
    ),
    (
        r"[Pp]riority ?[Cc]lass",
        "PRIORITY_CLASS_MISSING",
        "The worker's priority class does not exist: create it, or name another.",
    ),
)


def diagnose_creation(events: Sequence[Object], after: str = "") -> Diagnosis | None:
    """Why a Job has no pod, from its Events.

    Args:
        events: Warnings about the Job.
        after: Time, RFC 3339; older ones say nothing about now.
    """
    refused = [event for event in events if event.get("reason") == "FailedCreate" and _seen(event) >= after]
    if not refused:
        return None
    said = _CREATION.sub("", str(max(refused, key=_seen).get("message", "")))
    for pattern, reason, sentence in _REFUSALS:
        if re.search(pattern, said):
            return _diagnosis(reason, sentence, said)
    return _diagnosis("POD_REFUSED", "The cluster refuses the worker's pod: see what it says, and correct that.", said)


def diagnose_pending(pod: Object, events: Sequence[Object]) -> Diagnosis | None:
    """What a pending pod waits for; nothing while it is just being started.

    Args:
        pod: The pod.
        events: Warnings about it.
    """
    scheduled = _condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return _unscheduled(str(scheduled.get("message", "")))
    waiting = _container(pod).get("state", {}).get("waiting", {})
    reason, said = str(waiting.get("reason", "")), str(waiting.get("message", ""))
    if reason in _IMAGE:
        sentence = (
            f"The node cannot get the worker's image {_spec(pod).get('image', '')}: check its name and tag, that the "
            "registry can be reached, and the pull secret."
        )
        return _diagnosis("IMAGE_MISSING", sentence, said or reason)
    missing = re.search(r'(secret|configmap) "([^"]*)" not found', said) or re.search(
        r"find key (\S+ in (?:Secret|ConfigMap)) (\S+)", said
    )
    if missing:
        kind, name = missing.groups()
        namespace = pod["metadata"].get("namespace", "")
        sentence = f"The worker needs the {kind} {name!r} in the namespace {namespace!r}: create it there."
        return _diagnosis("SECRET_MISSING", sentence, said)
    if reason and reason not in _COMING:
        return _diagnosis("POD_NOT_STARTED", "The node cannot start the worker's container.", f"{reason}: {said}")
    if events:
        newest = max(events, key=_seen)
        said = f"{newest.get('reason', '')}: {newest.get('message', '')}"
        return _diagnosis("POD_NOT_STARTED", "The node cannot start the worker's pod yet.", said)
    return None


def diagnose_ended(pod: Object) -> Diagnosis | None:
    """How a pod's worker ended, from outside; nothing when it is done."""
    status = pod.get("status", {})
    end = terminated(pod)
    disrupted = _condition(pod, "DisruptionTarget")
    if end.get("reason") == "OOMKilled":
        limit = _spec(pod).get("resources", {}).get("limits", {}).get("memory")
        allowed = f"its limit of {limit}" if limit else "its node has"
        return Diagnosis(
            "OUT_OF_MEMORY", f"The worker was killed for using more memory than {allowed}: raise its memory limit."
        )
    if status.get("reason") == "Evicted" or disrupted.get("status") == "True":
        said = str(status.get("message") or disrupted.get("message") or "")
        why = str(status.get("reason") or disrupted.get("reason") or "")
        sentence = "The worker had to leave its node; another one goes on from the last checkpoint."
        return _diagnosis("EVICTED", sentence, f"{why}: {said}")
    if not end:
        sentence = "The node refused the worker's pod."
        said = f"{status.get('reason', '')}: {status.get('message', '')}"
        return _diagnosis("POD_REFUSED", sentence, said) if status.get("reason") else None
    code, said = end.get("exitCode", 0), str(end.get("message", ""))
    if code == 0:
        return None
    words = exit_report(pod)
    if words is not None:
        return Diagnosis(words.reason, words.message)
    if end.get("reason") in ("StartError", "ContainerCannotRun"):
        return _diagnosis("POD_NOT_STARTED", "The worker's program could not be started: check its image.", said)
    if code == _KILLED and not said:
        return Diagnosis(
            "WORKER_CRASHED",
            "The worker was killed from outside (exit code 137); if its node is short of memory, give it a larger one.",
        )
    last = said.strip().splitlines()[-3:]
    return _diagnosis("WORKER_CRASHED", f"The worker ended with exit code {code}.", " | ".join(last), "Its last lines")


def terminated(pod: Object) -> Object:
    """The terminated state of a pod's worker; empty while it runs, or when it never ran."""
    state: Object = _container(pod).get("state", {}).get("terminated", {})
    return state


def exit_report(pod: Object) -> ExitReport | None:
    """A worker's last words; the end of its log, which stands there when it had none, is not taken for them."""
    try:
        return from_json(ExitReport, str(terminated(pod).get("message", "")).encode())
    except InvalidInput:
        return None


def _unscheduled(said: str) -> Diagnosis:
    short = re.findall(r"Insufficient ([\w./-]*\w)", said)
    device = next((name for name in short if "/" in name), "")
    if device:
        sentence = (
            f"No node has a free {device}: it starts when another training ends; if none is running, the cluster has "
            f"no node with {device}, or that node's device plugin does not run."
        )
        return _diagnosis("NO_FREE_GPU", sentence, said)
    if short:
        sentence = f"No node has as much {short[0]} as the worker asks for: lower its requests or add a node."
    elif "taint" in said and _NOT_SELECTED in said:
        sentence = (
            "Some nodes lack the labels that the worker's node selector asks for, others have a taint that it does not "
            "tolerate: correct the selector, label a node, or give the worker the toleration."
        )
    elif "taint" in said:
        sentence = "Every node that fits has a taint that the worker does not tolerate: give the worker the toleration."
    elif _NOT_SELECTED in said:
        sentence = "No node has the labels that the worker's node selector asks for: correct it or label a node."
    else:
        sentence = "No node can take the worker now."
    return _diagnosis("NO_NODE", sentence, said)


def _diagnosis(reason: str, sentence: str, said: str, who: str = "Kubernetes says") -> Diagnosis:
    said = " ".join(said.split()).strip(": ")
    if len(said) > _LONGEST:
        said = said[:_LONGEST] + "..."
    return Diagnosis(reason, f"{sentence} {who}: {said}" if said else sentence)


def _seen(event: Object) -> str:
    """When an Event was last seen, RFC 3339 in whole seconds."""
    series = event.get("series") or {}
    moment = event.get("lastTimestamp") or series.get("lastObservedTime") or event.get("eventTime")
    moment = moment or event["metadata"].get("creationTimestamp") or "1970-01-01T00:00:00Z"
    return datetime.fromisoformat(str(moment)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _condition(pod: Object, kind: str) -> Object:
    conditions: list[Object] = pod.get("status", {}).get("conditions") or []
    return next((one for one in conditions if one.get("type") == kind), {})


def _container(pod: Object) -> Object:
    statuses: list[Object] = pod.get("status", {}).get("containerStatuses") or []
    return next((one for one in statuses if one.get("name") == CONTAINER), {})


def _spec(pod: Object) -> Object:
    containers: list[Object] = pod.get("spec", {}).get("containers") or []
    return next((one for one in containers if one.get("name") == CONTAINER), {})
