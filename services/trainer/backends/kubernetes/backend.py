"""Workers as Kubernetes Jobs. The cluster keeps them; this process only watches, so any number of replicas may."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from facefoundry.errors import Busy, Conflict, Denied, Internal, Unavailable
from facefoundry.telemetry import logger
from services.trainer.backends.base import Job, TrainingBackend
from services.trainer.backends.kubernetes import template
from services.trainer.backends.kubernetes.object_cache import REQUEST_TIMEOUT, ObjectCache, said
from services.trainer.backends.kubernetes.status import JOB, job_of_event, job_of_pod, job_status, lags
from services.trainer.backends.kubernetes.template import LABELS, Object
from services.trainer.settings import TrainerSettings

__all__ = ["KubernetesBackend"]

_FIRST_LIST_SECONDS = 5.0
_SEEN_SECONDS = 3.0
_QUOTA_SECONDS = 30.0
# Enough for every Job that a cluster can start, and mild to its API server.
_REQUESTS_PER_SECOND = 15.0
_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_log = logger(__name__)


class KubernetesBackend(TrainingBackend):
    """Makes a Job for each attempt and reads what became of it from three watches.

    Args:
        settings: Template, namespace and device.

    Raises:
        Internal: the template is wrong, or there is no cluster to talk to.
    """

    name = "kubernetes"

    def __init__(self, settings: TrainerSettings) -> None:
        if settings.job_template is None:
            raise Internal(
                "The kubernetes backend needs FACEFOUNDRY_JOB_TEMPLATE, the file of the Job that it creates.",
                reason="JOB_TEMPLATE",
            )
        self._settings = settings
        self._template = template.read(settings.job_template)
        self._namespace = settings.jobs_namespace or _own_namespace()
        self._api = client.ApiClient(_configuration())
        self._batch = client.BatchV1Api(self._api)
        core = client.CoreV1Api(self._api)
        self._list = core.list_namespaced_pod
        self._pace = RateLimiter(_REQUESTS_PER_SECOND)
        # Deleted by this process; the watch may tell of it later.
        self._cancelled: set[str] = set()
        # The informer logs a traceback for every failed try; `ObjectCache` says it once.
        logging.getLogger("kubernetes.informer").setLevel(logging.CRITICAL)
        ours = ",".join(f"{label}={value}" for label, value in LABELS.items())
        where = self._namespace
        self._jobs = ObjectCache(
            "jobs", self._batch.list_namespaced_job, _name, [("spec", "template")], namespace=where, label_selector=ours
        )
        self._pods = ObjectCache("pods", core.list_namespaced_pod, job_of_pod, namespace=where, label_selector=ours)
        # Those left out come often, and pods' conditions say the same.
        selector = "type=Warning,reason!=FailedScheduling,reason!=BackOff,reason!=Failed"
        self._events = ObjectCache(
            "events", core.list_namespaced_event, job_of_event, namespace=where, field_selector=selector
        )

    def start(self, name: str, attempt_uri: str) -> None:
        """Create a Job, or do nothing when it is there and was made for the same request."""
        if any(template.attempt_of(job) == attempt_uri and not _terminating(job) for job in self._jobs.of(name)):
            return
        settings = self._settings
        job = template.training_job(self._template, name, attempt_uri, settings.gpu_resource, settings.gpus)
        try:
            with self._asking(f"creating the Job {name}"):
                self._batch.create_namespaced_job(
                    self._namespace, job, _preload_content=False, _request_timeout=REQUEST_TIMEOUT
                )
        except Conflict:
            self._must_be_ours(name, attempt_uri)
        _log.event("job_created", job=name, namespace=self._namespace)
        self._jobs.wait_for(name, _SEEN_SECONDS)

    def get(self, name: str) -> Job | None:
        """Look at a Job; one that is being deleted is forgotten already."""
        self._check_watches()
        job = next(iter(self._jobs.of(name)), None) or self._read(name)
        if job is None or _terminating(job) or job["metadata"]["uid"] in self._cancelled:
            return None
        uid = job["metadata"]["uid"]
        pods = [pod for pod in self._pods.of(name) if _owner(pod) == uid]
        if lags(job, pods):
            pods = [pod for pod in self._list_pods(name) if _owner(pod) == uid]
        return job_status(job, pods, self._events.of(name))

    def cancel(self, name: str) -> None:
        """Delete a Job with its pods, which get their grace period; only the very Job that was looked at."""
        job = self._read(name)
        if job is None or _terminating(job):
            return
        uid = job["metadata"]["uid"]
        try:
            with self._asking(f"deleting the Job {name}"):
                self._batch.delete_namespaced_job(
                    name,
                    self._namespace,
                    body=client.V1DeleteOptions(
                        preconditions=client.V1Preconditions(uid=uid), propagation_policy="Foreground"
                    ),
                    _preload_content=False,
                    _request_timeout=REQUEST_TIMEOUT,
                )
        except Conflict as error:
            raise Unavailable(f"The Job {name} was replaced at this moment; cancel it again.") from error
        except _Gone:
            return
        self._cancelled.add(uid)
        _log.event("job_deleted", job=name, namespace=self._namespace)

    def close(self) -> None:
        """Stop watching; Jobs go on."""
        for watched in (self._jobs, self._pods, self._events):
            watched.close()
        self._api.close()

    def _check_watches(self) -> None:
        deadline = time.monotonic() + _FIRST_LIST_SECONDS
        for watched in (self._jobs, self._pods, self._events):
            if not watched.current(max(deadline - time.monotonic(), 0.0)):
                raise Unavailable(
                    f"The Kubernetes API server {self._api.configuration.host} tells nothing of the {watched.kind} in "
                    f"the namespace {self._namespace} at the moment; trainings go on meanwhile. {watched.why}".strip(),
                    reason="API_SERVER",
                )

    def _must_be_ours(self, name: str, attempt_uri: str) -> None:
        """Another replica may have been first; anything else of that name is not taken for ours."""
        job = self._read(name)
        if job is None or _terminating(job):
            raise Unavailable(f"The Job {name} is just being deleted; start the training again.", reason="JOB_LEAVES")
        found = template.attempt_of(job)
        if found != attempt_uri:
            raise Conflict(
                f"The namespace {self._namespace} has a Job {name} for {found or 'no request'}. "
                f"Received request={attempt_uri}; use another namespace, or delete that Job.",
                reason="JOB_EXISTS",
                resource=name,
            )

    def _read(self, name: str) -> Object | None:
        try:
            with self._asking(f"reading the Job {name}"):
                answer = self._batch.read_namespaced_job(
                    name, self._namespace, _preload_content=False, _request_timeout=REQUEST_TIMEOUT
                )
                job: Object = json.loads(answer.data)
                return job
        except _Gone:
            return None

    def _list_pods(self, name: str) -> list[Object]:
        with self._asking(f"listing the pods of the Job {name}"):
            answer = self._list(
                self._namespace,
                label_selector=f"{JOB}={name}",
                _preload_content=False,
                _request_timeout=REQUEST_TIMEOUT,
            )
            pods: list[Object] = json.loads(answer.data)["items"]
            return pods

    @contextmanager
    def _asking(self, doing: str) -> Iterator[None]:
        """One request at the pace, with errors in our words."""
        self._pace.wait()
        try:
            yield
        except ApiException as error:
            raise _error(error, doing, self._namespace) from error
        except HTTPError as error:
            raise Unavailable(f"The Kubernetes API server did not answer while {doing}: {error}") from error


class _Gone(Internal):
    """The object is not there."""


class RateLimiter:
    """Lets requests through one after the other, so many a second."""

    def __init__(self, per_second: float) -> None:
        self._gap = 1.0 / per_second
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        with self._lock:
            now = time.monotonic()
            at = max(self._next, now)
            self._next = at + self._gap
        time.sleep(at - now)


def _error(error: ApiException, doing: str, namespace: str) -> Exception:
    told = said(error)
    if error.status == 404:
        missing = 'namespaces "' in told
        return _Gone(
            f"The namespace {namespace} of the Jobs does not exist: create it."
            if missing
            else f"Kubernetes found nothing while {doing}: {told}",
            reason="NAMESPACE_MISSING" if missing else "GONE",
        )
    if error.status == 409:
        return Conflict(f"Kubernetes refused {doing}: {told}", reason="JOB_EXISTS")
    if error.status == 403 and "exceeded quota" in told:
        return Busy(
            f"The quota of the namespace {namespace} has no room for another Job: {told}",
            reason="QUOTA",
            retry_after_seconds=_QUOTA_SECONDS,
        )
    if error.status == 403:
        return Denied(
            f"Kubernetes does not allow {doing}: {told}. Check the trainer's Role and the admission policies in the "
            f"namespace {namespace}.",
            reason="JOB_REFUSED",
        )
    if error.status in (400, 422):
        return Internal(f"Kubernetes finds the Job wrong while {doing}: {told}. Check the Job template.", reason="JOB")
    return Unavailable(f"The Kubernetes API server failed while {doing} ({error.status}): {told}")


def _configuration() -> Any:
    found = client.Configuration()
    found.keep_alive = True
    try:
        config.load_incluster_config(client_configuration=found)
    except config.ConfigException:
        try:
            config.load_kube_config(os.environ.get("KUBECONFIG"), client_configuration=found)
        except (config.ConfigException, OSError) as error:
            raise Internal(
                "The kubernetes backend found neither a service account's token nor a KUBECONFIG: mount the one or set "
                f"the other. {error}",
                reason="NO_CLUSTER",
            ) from error
    return found


def _own_namespace() -> str:
    try:
        return _NAMESPACE.read_text(encoding="utf-8").strip()
    except OSError:
        return "default"


def _name(job: Object) -> str:
    return str(job["metadata"]["name"])


def _terminating(job: Object) -> bool:
    return "deletionTimestamp" in job["metadata"]


def _owner(pod: Object) -> str:
    owners = pod["metadata"].get("ownerReferences") or [{}]
    return str(owners[0].get("uid", ""))
