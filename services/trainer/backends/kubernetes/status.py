"""Derives the state of a backend job from a Kubernetes Job, its pods and the Events about them; pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from services.trainer.backends.base import Diagnosis, Job, JobState
from services.trainer.backends.kubernetes import diagnosis
from services.trainer.backends.kubernetes.admission import Admission, diagnose_queued
from services.trainer.backends.kubernetes.objects import Event, JobObject, Pod
from services.trainer.backends.kubernetes.template import queue_of

__all__ = ["JOB", "job_of_event", "job_of_pod", "job_status", "pods_are_outdated"]

JOB = "batch.kubernetes.io/job-name"


def job_status(
    job: JobObject,
    pods: Sequence[Pod] = (),
    events: Sequence[Event] = (),
    admission: Admission | None = None,
    now: datetime | None = None,
) -> Job:
    """Derive the state of a backend job.

    Args:
        job: The Kubernetes Job.
        pods: The Job's pods that still exist, in any order.
        events: Warnings about the Job and about its pods.
        admission: What Kueue says about the Job, if it waits in a queue.
        now: The time, with its zone; by default that of the clock.
    """
    last = max((pod for pod in pods if pod.ended), key=lambda pod: pod.age, default=None)
    newest = max((pod for pod in pods if not pod.ended), key=lambda pod: pod.age, default=None)
    state = _state(job, newest, last)
    terminated = diagnosis.terminated(last) if last else None
    failed = job.status.failed
    return Job(
        job.metadata.name,
        state,
        restarts=max(failed - 1, 0) if state is JobState.FAILED else failed,
        exit_code=terminated.exit_code if terminated and state is not JobState.RUNNING else None,
        exit_report=diagnosis.exit_report(last) if last else None,
        diagnosis=_diagnosis(job, state, newest, last, events, admission, now or datetime.now(UTC)),
    )


def pods_are_outdated(job: JobObject, pods: Sequence[Pod]) -> bool:
    """Return whether the Job has ended although not all of the given pods have; then the pods must be read again.

    This happens because Jobs and pods are watched separately. It matters because the end of the last pod is saved for
    good as the attempt's outcome.
    """
    if not job.true_conditions & {"Complete", "Failed"}:
        return False
    phases = [pod.status.phase for pod in pods if pod.ended]
    return (
        len(phases) < len(pods)
        or phases.count("Succeeded") < job.status.succeeded
        or phases.count("Failed") < job.status.failed
    )


def job_of_pod(pod: Pod) -> str:
    """Return the name of the Job that created a pod, or an empty string."""
    return pod.metadata.labels.get(JOB, "")


def job_of_event(event: Event) -> str:
    """Return the name of the Job that an Event is about, directly or through one of its pods."""
    name = event.involved_object.name
    return name.rpartition("-")[0] if event.involved_object.kind == "Pod" else name


def _state(job: JobObject, newest: Pod | None, last: Pod | None) -> JobState:
    conditions = job.true_conditions
    if "Complete" in conditions:
        return JobState.SUCCEEDED
    if "Failed" in conditions:
        return JobState.FAILED
    if job.spec.suspend:
        return JobState.QUEUED
    if newest is not None:
        return JobState.RUNNING if newest.status.phase == "Running" else JobState.QUEUED
    # The last pod has ended, but the Job does not have its final condition yet.
    done = last is not None and last.status.phase == "Succeeded"
    return JobState.RUNNING if done or "FailureTarget" in conditions else JobState.QUEUED


def _diagnosis(
    job: JobObject,
    state: JobState,
    newest: Pod | None,
    last: Pod | None,
    events: Sequence[Event],
    admission: Admission | None,
    now: datetime,
) -> Diagnosis | None:
    if state is JobState.SUCCEEDED:
        return None
    if newest is not None and (leaving := diagnosis.diagnose_leaving(newest, now)):
        return leaving
    ended = diagnosis.diagnose_ended(last) if last else None
    if state is JobState.FAILED:
        return ended or _failed(job)
    if state is JobState.RUNNING:
        return ended
    if job.spec.suspend:
        if queue := queue_of(job):
            return diagnose_queued(queue, admission or Admission())
        return Diagnosis("SUSPENDED", "The Job is suspended. To start it, set its spec.suspend to false.")
    if newest is not None:
        about_pod = [event for event in events if event.involved_object.name == newest.metadata.name]
        return diagnosis.diagnose_pending(newest, about_pod) or ended
    about_job = [event for event in events if event.involved_object.kind == "Job"]
    return diagnosis.diagnose_creation(about_job, last.metadata.creation_timestamp if last else "") or ended


def _failed(job: JobObject) -> Diagnosis | None:
    failed = next(condition for condition in job.status.conditions if condition.type == "Failed")
    detail = failed.message or failed.reason
    message = (
        "The Job failed, and its pods no longer exist. Start the training again; it resumes from its last checkpoint. "
        f"Kubernetes reports: {detail}"
    )
    return Diagnosis("WORKER_CRASHED", message)
