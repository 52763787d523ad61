"""Explains what a Job in a queue of Kueue is waiting for, and which Job took its place; pure functions."""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.trainer.backends.base import Diagnosis
from services.trainer.backends.kubernetes.objects import Workload

__all__ = ["Admission", "Place", "diagnose_queued", "preempting_job"]

# Kueue writes: Preempted to accommodate a workload (UID: 1234, JobUID: 5678) due to ...; preemptor path: ...
_PREEMPTING_JOB = re.compile(r"JobUID: (?P<uid>[^)\s]+)\)")
# What follows the relevant part of that message: paths within a tree of queues.
_PATHS = re.compile(r"; preemptor path: .*")


@dataclass(frozen=True)
class Place:
    """A Job's place in its queue.

    Attributes:
        number: 1 for the Job that comes next.
        of: Number of Jobs that wait in the queue.
    """

    number: int
    of: int


@dataclass(frozen=True)
class Admission:
    """What Kueue says about a Job that waits.

    Attributes:
        workload: Kueue's record of the Job; None if there is none.
        place: The Job's place in the queue; None where Kueue does not tell it.
        preempted_by: The Job that took its place, in words; empty if it is not known.
        error: Why Kueue's records cannot be read; empty if they can.
    """

    workload: Workload | None = None
    place: Place | None = None
    preempted_by: str = ""
    error: str = ""


def preempting_job(workload: Workload) -> str:
    """Return the uid of the Job that took the place of a Job; empty if none did or Kueue does not know it."""
    found = _PREEMPTING_JOB.search(_preemption(workload))
    return found["uid"] if found else ""


def diagnose_queued(queue: str, admission: Admission) -> Diagnosis:
    """Explain what a suspended Job is waiting for.

    Args:
        queue: Name of its LocalQueue.
        admission: What Kueue says about it.
    """
    workload = admission.workload
    if workload is None:
        sentence = f"The Job is waiting in Kueue's queue {queue!r}. It starts by itself when Kueue admits it."
        if admission.error:
            sentence += (
                " What Kueue says about it cannot be read: check that Kueue is installed, and that the trainer's Role "
                f"allows it to list workloads.kueue.x-k8s.io. Kubernetes reports: {admission.error}"
            )
        return Diagnosis("IN_QUEUE", sentence)
    if not workload.spec.active:
        target = workload.condition("DeactivationTarget").message or workload.condition("Evicted").message
        return _diagnosis(
            "QUEUE_STOPPED",
            f"Kueue no longer admits the Job, as its Workload {workload.metadata.name} is not active. Set its "
            "spec.active to true, or cancel the training and start it again.",
            target,
        )
    quota = workload.condition("QuotaReserved")
    if quota.status == "True":
        sentence = (
            f"Kueue has reserved quota for the Job in the queue {queue!r}, and is waiting for admission checks. The "
            "Job starts by itself."
        )
        return _diagnosis("IN_QUEUE", sentence, workload.condition("Admitted").message)
    if quota.reason == "Inadmissible":
        sentence = (
            f"Kueue admits no Job of the queue {queue!r} now. Correct what it reports, or name another queue "
            "(worker.queueName)."
        )
        return _diagnosis("QUEUE_STOPPED", sentence, quota.message)
    place = f" {_ordinal(admission.place)}" if admission.place else ""
    if preemption := _preemption(workload):
        by = admission.preempted_by or "a Job that comes first"
        sentence = (
            f"Kueue stopped the worker to make room for {by}. The training waits in the queue {queue!r} and resumes "
            f"from its last checkpoint by itself when Kueue admits it again.{place}"
        )
        return _diagnosis("PREEMPTED", sentence, _PATHS.sub("", preemption))
    sentence = f"The Job is waiting in Kueue's queue {queue!r}.{place} It starts by itself when Kueue admits it."
    return _diagnosis("IN_QUEUE", sentence, quota.message)


def _preemption(workload: Workload) -> str:
    """Return Kueue's sentence about the last preemption; empty if the Job was admitted since, or was never preempted.

    Kueue sets the condition Evicted to false when it admits the Job again.
    """
    evicted = workload.condition("Evicted")
    return evicted.message if evicted.status == "True" and evicted.reason == "Preempted" else ""


def _ordinal(place: Place) -> str:
    return f"It is number {place.number} of {place.of} there."


def _diagnosis(reason: str, sentence: str, detail: str) -> Diagnosis:
    detail = " ".join(detail.split())
    return Diagnosis(reason, f"{sentence} Kueue reports: {detail}" if detail else sentence)
