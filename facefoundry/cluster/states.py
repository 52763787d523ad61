"""What has become of the Job of a run: its state, and in words why it waits or how it ended."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from facefoundry.cluster.manifests import CONTAINER, RUN, Object, Submission

__all__ = ["JobState", "state_of"]

_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError"})
_STARTING = frozenset({"", "ContainerCreating", "PodInitializing"})
_INPUT, _SOME_FAILED = 2, 3


@dataclass(frozen=True)
class JobState:
    """The Job of a run.

    Attributes:
        run: Name of the run.
        namespace: Namespace of the Job.
        job: Name of the Job.
        output: URI of the prefix at which the dataset is made.
        state: What the Job does: `waiting` until its pod runs, again after each pod that ended early.
        reason: Machine-readable cause of a state that needs somebody's attention; empty otherwise.
        message: A sentence on the state.
        pod: Name of the newest pod; empty if there is none.
        pods_failed: Number of pods that ended early.
    """

    run: str
    namespace: str
    job: str
    output: str
    state: Literal["waiting", "running", "done", "failed"]
    reason: str = ""
    message: str = ""
    pod: str = ""
    pods_failed: int = 0

    @property
    def ended(self) -> bool:
        """Whether the Job has ended, and starts no further pod."""
        return self.state in ("done", "failed")


def state_of(job: Object, pods: Sequence[Object], warnings: Sequence[str] = ()) -> JobState:
    """Return the state of a Job.

    Args:
        job: The Job.
        pods: Its pods, in any order.
        warnings: Messages of the warnings about the Job, the newest last.
    """
    metadata, status = job["metadata"], job.get("status") or {}
    own = [pod for pod in pods if metadata["uid"] in _owners(pod)]
    newest = max(own, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]), default=None)
    state, reason, message = _state(job, newest, warnings)
    return JobState(
        metadata["annotations"][RUN],
        metadata["namespace"],
        metadata["name"],
        Submission.output_of(job),
        state,
        reason,
        message,
        newest["metadata"]["name"] if newest else "",
        status.get("failed") or 0,
    )


_State = tuple[Literal["waiting", "running", "done", "failed"], str, str]


def _state(job: Object, pod: Object | None, warnings: Sequence[str]) -> _State:
    conditions = {
        each["type"]: each for each in (job.get("status") or {}).get("conditions") or [] if each["status"] == "True"
    }
    if conditions.keys() & {"Complete", "SuccessCriteriaMet"}:
        return "done", "", "All pairs are made."
    if failure := conditions.get("Failed") or conditions.get("FailureTarget"):
        return "failed", *_failure(failure, pod)
    if job["spec"].get("suspend"):
        return "waiting", "SUSPENDED", "The Job is suspended until a queue admits it, or somebody resumes it."
    if pod is None:
        refused = f"The cluster refuses its pod: {warnings[-1]}. Correct what Kubernetes reports." if warnings else ""
        return "waiting", "POD_REFUSED" if refused else "", refused or "Its pod is being made."
    phase = pod["status"].get("phase", "Pending")
    if pod["metadata"].get("deletionTimestamp"):
        node = pod["spec"].get("nodeName", "")
        return (
            "waiting",
            "",
            f"Its pod is being deleted, and another one follows. If the node {node} is lost, delete its Node object: "
            f"kubectl delete node {node}.",
        )
    if phase in ("Succeeded", "Failed"):
        return "waiting", "", f"{_end(pod)} Another pod follows, and goes on from what is in the bucket."
    if phase == "Running":
        return "running", "", "Its pod runs."
    return "waiting", *_pending(pod)


def _pending(pod: Object) -> tuple[str, str]:
    """Explain what a pod waits for: reason and sentence."""
    container = next(each for each in pod["spec"]["containers"] if each["name"] == CONTAINER)
    waiting = (_container_state(pod).get("waiting")) or {}
    reason, detail = waiting.get("reason", ""), " ".join(waiting.get("message", "").split())
    if reason in _IMAGE:
        return (
            "IMAGE_MISSING",
            f"The node cannot pull the image {container['image']}: {detail or reason}. Push the image of the command "
            "to the registry, or name another one with --image.",
        )
    if reason not in _STARTING:
        return "POD_NOT_STARTED", f"The node cannot start the container: {detail or reason}. Correct what is reported."
    for condition in pod["status"].get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return (
                "NO_NODE",
                f"No node can run its pod now: {condition.get('message', '')} Lower --cpu or --memory, or add a node.",
            )
    return "", "Its pod is starting."


def _failure(condition: Object, pod: Object | None) -> tuple[str, str]:
    """Explain why a Job failed: reason and sentence."""
    code = _terminated(pod).get("exitCode") if pod else None
    if code == _SOME_FAILED:
        return (
            "SOME_FAILED",
            "Some pairs failed, and all others are made. `facefoundry retry --failed` tries them again.",
        )
    if code == _INPUT and pod:
        return "INPUT", f"{_end(pod)} Correct the dataset file, and submit it again."
    ended = f" {_end(pod)}" if pod else ""
    return (
        "JOB_FAILED",
        f"The Job ended: {condition.get('message') or condition.get('reason', '')}.{ended} `facefoundry retry` starts "
        "it again.".replace("..", "."),
    )


def _end(pod: Object) -> str:
    """Return a sentence on how a pod's container ended."""
    end = _terminated(pod)
    if not end:
        reported = pod["status"].get("message") or pod["status"].get("reason") or "its node ended it"
        return f"The pod {pod['metadata']['name']} ended: {reported.rstrip('.')}."
    if end.get("reason") == "OOMKilled":
        return "The command used more memory than its limit: raise it with --memory."
    lines = end.get("message", "").strip().splitlines()
    last = _message(lines[-1]) if lines else ""
    return f"The command ended with exit code {end.get('exitCode')}{': ' + last if last else ''}".rstrip(".") + "."


def _message(line: str) -> str:
    """Return the message of a line of the log; the line itself if it has no message."""
    try:
        found = json.loads(line)
    except ValueError:
        return line
    return str(found.get("message", line)) if isinstance(found, dict) else line


def _terminated(pod: Object) -> Object:
    return _container_state(pod).get("terminated") or {}


def _container_state(pod: Object) -> Object:
    for status in pod["status"].get("containerStatuses") or []:
        if status["name"] == CONTAINER:
            return status.get("state") or {}
    return {}


def _owners(pod: Object) -> list[str]:
    return [owner["uid"] for owner in pod["metadata"].get("ownerReferences") or []]
