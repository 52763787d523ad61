"""What a Job, its pods and the Events about them mean; pure functions on their JSON form."""

from __future__ import annotations

from collections.abc import Sequence

from services.trainer.backends.base import Diagnosis, Job, JobState
from services.trainer.backends.kubernetes import diagnosis
from services.trainer.backends.kubernetes.template import QUEUE, Object

__all__ = ["JOB", "job_of_event", "job_of_pod", "lags", "job_status"]

JOB = "batch.kubernetes.io/job-name"
_OVER = ("Succeeded", "Failed")


def job_status(job: Object, pods: Sequence[Object] = (), events: Sequence[Object] = ()) -> Job:
    """Put together what is known of a Job.

    Args:
        job: The Job.
        pods: Its pods that are left, in any order.
        events: Warnings about the Job and its pods.
    """
    name, status = str(job["metadata"]["name"]), job.get("status", {})
    ended = [pod for pod in pods if _phase(pod) in _OVER]
    going = [pod for pod in pods if _phase(pod) not in _OVER]
    last = max(ended, key=_age, default=None)
    newest = max(going, key=_age, default=None)
    state = _state(job, newest, last)
    failed = int(status.get("failed") or 0)
    return Job(
        name,
        state,
        restarts=max(failed - 1, 0) if state is JobState.FAILED else failed,
        exit_code=diagnosis.terminated(last).get("exitCode") if last and state is not JobState.RUNNING else None,
        exit_report=diagnosis.exit_report(last) if last else None,
        diagnosis=_diagnosis(job, state, newest, last, events),
    )


def lags(job: Object, pods: Sequence[Object]) -> bool:
    """Whether the pods tell of an earlier moment than the Job, which has ended.

    Jobs and pods are watched apart, and how the last pod ended goes into the record for good.
    """
    status = job.get("status", {})
    if not _true(job) & {"Complete", "Failed"}:
        return False
    ended = [_phase(pod) for pod in pods if _phase(pod) in _OVER]
    known = ended.count("Succeeded"), ended.count("Failed")
    counted = int(status.get("succeeded") or 0), int(status.get("failed") or 0)
    return len(ended) < len(pods) or known[0] < counted[0] or known[1] < counted[1]


def job_of_pod(pod: Object) -> str:
    """Name of the Job that made a pod."""
    labels = pod["metadata"].get("labels") or {}
    return str(labels.get(JOB, ""))


def job_of_event(event: Object) -> str:
    """Name of the Job that an Event about it or about one of its pods belongs to."""
    about = event.get("involvedObject") or {}
    name = str(about.get("name", ""))
    return name.rpartition("-")[0] if about.get("kind") == "Pod" else name


def _state(job: Object, newest: Object | None, last: Object | None) -> JobState:
    true = _true(job)
    if "Complete" in true:
        return JobState.SUCCEEDED
    if "Failed" in true:
        return JobState.FAILED
    if job.get("spec", {}).get("suspend"):
        return JobState.QUEUED
    if newest is not None:
        return JobState.RUNNING if _phase(newest) == "Running" else JobState.QUEUED
    # Between the end of the last pod and the Job's condition.
    done = last is not None and _phase(last) == "Succeeded"
    return JobState.RUNNING if done or "FailureTarget" in true else JobState.QUEUED


def _diagnosis(
    job: Object, state: JobState, newest: Object | None, last: Object | None, events: Sequence[Object]
) -> Diagnosis | None:
    if state is JobState.SUCCEEDED:
        return None
    ended = diagnosis.diagnose_ended(last) if last else None
    if state is JobState.FAILED:
        return ended or _failed(job)
    if state is JobState.RUNNING:
        return ended
    if job.get("spec", {}).get("suspend"):
        queue = (job["metadata"].get("labels") or {}).get(QUEUE)
        if queue:
            return Diagnosis("IN_QUEUE", f"It waits until Kueue admits it from the queue {queue!r}.")
        return Diagnosis("SUSPENDED", "Its Job is suspended: it starts when somebody sets spec.suspend to false.")
    if newest is not None:
        name = newest["metadata"]["name"]
        about = [event for event in events if (event.get("involvedObject") or {}).get("name") == name]
        return diagnosis.diagnose_pending(newest, about) or ended
    about = [event for event in events if (event.get("involvedObject") or {}).get("kind") == "Job"]
    return diagnosis.diagnose_creation(about, _age(last)[0] if last else "") or ended


def _failed(job: Object) -> Diagnosis | None:
    conditions: list[Object] = job.get("status", {}).get("conditions") or []
    failed = next(one for one in conditions if one["type"] == "Failed")
    said = str(failed.get("message") or failed.get("reason") or "")
    return Diagnosis("WORKER_CRASHED", f"Its Job has failed and its pods are gone. Kubernetes says: {said}")


def _true(job: Object) -> set[str]:
    conditions: list[Object] = job.get("status", {}).get("conditions") or []
    return {str(one["type"]) for one in conditions if one.get("status") == "True"}


def _phase(pod: Object) -> str:
    return str(pod.get("status", {}).get("phase", "Pending"))


def _age(pod: Object) -> tuple[str, str]:
    return str(pod["metadata"].get("creationTimestamp", "")), str(pod["metadata"]["name"])
