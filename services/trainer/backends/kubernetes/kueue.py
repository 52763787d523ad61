"""What Kueue says about the Jobs that wait in its queues: its Workloads, kept by a watch, and the order of its queues.

The order comes from Kueue's visibility API, which may be missing; then a Job has no place. Whatever fails here, the
state of Jobs stays known.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from kubernetes import client
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from services.trainer.backends.kubernetes.admission import Admission, Place, preempting_job
from services.trainer.backends.kubernetes.object_cache import ObjectCache
from services.trainer.backends.kubernetes.objects import JobObject, PendingWorkload, Workload
from services.trainer.backends.kubernetes.template import attempt_of, queue_of

__all__ = ["Kueue"]

_VERSION = "v1beta2"
_VISIBILITY = f"visibility.kueue.x-k8s.io/{_VERSION}"
_PLACES_SECONDS = 10.0
_TIMEOUT = (2.0, 5.0)
# The most that one request returns; Jobs behind these have no place.
_MAX_PENDING = 4000


@dataclass
class _Places:
    """Places in one queue, by Job, and when they were asked for."""

    asked: float = float("-inf")
    by_job: dict[str, Place] = field(default_factory=dict)


class Kueue:
    """Reads Kueue's records of the Jobs in a namespace.

    Args:
        api: The Kubernetes client.
        namespace: The namespace of the Jobs.
        jobs: Returns the Jobs that are known.
        clock: Returns seconds that only increase.
    """

    def __init__(
        self,
        api: client.ApiClient,
        namespace: str,
        jobs: Callable[[], Sequence[JobObject]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._jobs = jobs
        self._clock = clock
        self._places: dict[str, _Places] = {}
        self._lock = threading.Lock()
        self._workloads = ObjectCache(
            "workloads",
            partial(
                client.CustomObjectsApi(api).list_namespaced_custom_object,
                group="kueue.x-k8s.io",
                version=_VERSION,
                plural="workloads",
            ),
            Workload.model_validate,
            lambda workload: workload.metadata.job,
            [("spec", "podSets"), ("status", "admission")],
            namespace=namespace,
        )

    def admission(self, job: JobObject) -> Admission:
        """Return what Kueue says about a Job that waits."""
        workload = next(iter(self._workloads.of(job.metadata.name)), None)
        if workload is None:
            return Admission(error=self._workloads.error)
        return Admission(workload, self._place(job), self._preempting(workload))

    def close(self) -> None:
        """Stop watching."""
        self._workloads.close()

    def _preempting(self, workload: Workload) -> str:
        uid = preempting_job(workload)
        if not uid:  # true of nearly all Jobs that wait: looking through all Jobs for each would take N x N steps
            return ""
        known = next((job for job in self._jobs() if job.metadata.uid == uid), None)
        if known is None:
            return f"the Job of uid {uid}"
        return f"the Job {known.metadata.name} ({attempt_of(known)})"

    def _place(self, job: JobObject) -> Place | None:
        """Return a Job's place; the first caller after ten seconds asks Kueue, the others take what is known.

        A place stays known while Kueue does not answer.
        """
        queue = queue_of(job)
        with self._lock:
            places = self._places.setdefault(queue, _Places())
            due = self._clock() - places.asked >= _PLACES_SECONDS
            if due:
                places.asked = self._clock()
        if due:
            answer = self._ask(queue)
            places.by_job = places.by_job if answer is None else answer
        return places.by_job.get(job.metadata.name)

    def _ask(self, queue: str) -> dict[str, Place] | None:
        """Return the places in a queue, by Job; None if Kueue does not answer."""
        path = f"/apis/{_VISIBILITY}/namespaces/{{namespace}}/localqueues/{{queue}}/pendingworkloads"
        request = self._api.param_serialize(
            "GET",
            path,
            {"namespace": self._namespace, "queue": queue},
            [("limit", _MAX_PENDING)],
            auth_settings=["BearerToken"],
        )
        try:
            response = self._api.call_api(*request, _request_timeout=_TIMEOUT)
            items = json.loads(response.read())["items"] or []
        except (ApiException, HTTPError, ValueError, KeyError):
            return None
        pending = [PendingWorkload.model_validate(item) for item in items]
        return {
            item.metadata.job: Place(item.position_in_local_queue + 1, len(pending))
            for item in pending
            if item.metadata.job
        }
