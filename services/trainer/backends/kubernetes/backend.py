"""Runs workers as pods of Kubernetes Jobs. The Jobs do not depend on this process, so the trainer may have replicas."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from facefoundry.errors import Busy, Conflict, Denied, FaceFoundryError, Internal, Unavailable
from facefoundry.telemetry import logger
from services.trainer.backends.base import Job, TrainingBackend
from services.trainer.backends.kubernetes import template
from services.trainer.backends.kubernetes.kueue import Kueue
from services.trainer.backends.kubernetes.object_cache import REQUEST_TIMEOUT, ObjectCache, error_text
from services.trainer.backends.kubernetes.objects import Event, JobObject, Pod
from services.trainer.backends.kubernetes.rate_limiter import RateLimiter
from services.trainer.backends.kubernetes.settings import KubernetesSettings
from services.trainer.backends.kubernetes.status import JOB, job_of_event, job_of_pod, job_status, pods_are_outdated
from services.trainer.backends.kubernetes.template import LABELS

__all__ = ["KubernetesBackend"]

_FIRST_LIST_SECONDS = 5.0
_CREATED_SECONDS = 3.0
_QUOTA_SECONDS = 30.0
# Faster than a cluster can start Jobs, and a small load for its API server.
_REQUESTS_PER_SECOND = 15.0
_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_log = logger(__name__)


class KubernetesBackend(TrainingBackend):
    """Creates one Job for each attempt, and derives the Job's state from watched Jobs, pods and Events.

    Args:
        settings: Settings of this backend.

    Raises:
        Internal: the template is wrong, or there is no cluster to connect to.
    """

    name = "kubernetes"

    def __init__(self, settings: KubernetesSettings) -> None:
        if settings.job_template is None:
            raise Internal(
                "Expected FACEFOUNDRY_JOB_TEMPLATE, because FACEFOUNDRY_BACKEND is kubernetes. It is not set. "
                "Set it to the file of a Job template.",
                reason="JOB_TEMPLATE",
            )
        self._settings = settings
        self._template = template.read(settings.job_template)
        self._namespace = settings.jobs_namespace or _own_namespace()
        self._api = client.ApiClient(_configuration())
        self._batch = client.BatchV1Api(self._api)
        core = client.CoreV1Api(self._api)
        self._list = core.list_namespaced_pod
        self._limiter = RateLimiter(_REQUESTS_PER_SECOND)
        # Uids of Jobs that this process has deleted; the watch may report the deletion later.
        self._deleted: set[str] = set()
        # The informer logs a traceback for every failed attempt; `ObjectCache` logs the first one of an outage.
        logging.getLogger("kubernetes.informer").setLevel(logging.CRITICAL)
        selector = ",".join(f"{label}={value}" for label, value in LABELS.items())
        namespace = self._namespace
        self._jobs = ObjectCache(
            "jobs",
            self._batch.list_namespaced_job,
            JobObject.model_validate,
            lambda job: job.metadata.name,
            [("spec", "template")],
            namespace=namespace,
            label_selector=selector,
        )
        self._pods = ObjectCache(
            "pods",
            core.list_namespaced_pod,
            Pod.model_validate,
            job_of_pod,
            namespace=namespace,
            label_selector=selector,
        )
        # The excluded reasons are frequent, and the pods' conditions contain the same information.
        warnings = "type=Warning,reason!=FailedScheduling,reason!=BackOff,reason!=Failed"
        self._events = ObjectCache(
            "events",
            core.list_namespaced_event,
            Event.model_validate,
            job_of_event,
            namespace=namespace,
            field_selector=warnings,
        )
        queued = template.queue_of(JobObject.model_validate(self._template))
        self._kueue = Kueue(self._api, namespace, self._jobs.all) if queued else None

    def start(self, name: str, attempt_uri: str) -> None:
        """Create the Job of an attempt, or do nothing if it exists."""
        if any(template.attempt_of(job) == attempt_uri and not job.terminating for job in self._jobs.of(name)):
            return
        settings = self._settings
        job = template.training_job(self._template, name, attempt_uri, settings.gpu_resource, settings.gpus)
        try:
            with self._request(f"creating the Job {name}"):
                self._batch.create_namespaced_job(
                    self._namespace, job, _preload_content=False, _request_timeout=REQUEST_TIMEOUT
                )
        except Conflict:
            self._check_attempt(name, attempt_uri)
        _log.event("job_created", job=name, namespace=self._namespace)
        self._jobs.wait_for(name, _CREATED_SECONDS)

    def get(self, name: str) -> Job | None:
        """Return a Job, or None if it is unknown or being deleted."""
        self._check_watches()
        job = next(iter(self._jobs.of(name)), None) or self._read(name)
        if job is None or job.terminating or job.metadata.uid in self._deleted:
            return None
        pods = _owned(self._pods.of(name), job)
        if pods_are_outdated(job, pods):
            pods = _owned(self._list_pods(name), job)
        queued = self._kueue if job.spec.suspend and template.queue_of(job) else None
        return job_status(job, pods, self._events.of(name), queued.admission(job) if queued else None)

    def cancel(self, name: str) -> None:
        """Delete a Job and its pods; a running worker has the pod's grace period to write a checkpoint."""
        job = next(iter(self._jobs.of(name)), None) or self._read(name)
        if job is None or job.terminating or job.metadata.uid in self._deleted:
            return
        uid = job.metadata.uid
        try:
            with self._request(f"deleting the Job {name}"):
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
            raise Unavailable(f"The Job {name} was replaced while it was being cancelled. Cancel it again.") from error
        except _NotFound:
            return
        self._deleted.add(uid)
        _log.event("job_deleted", job=name, namespace=self._namespace)

    def close(self) -> None:
        """Stop watching the cluster; the Jobs continue."""
        for cache in (self._jobs, self._pods, self._events):
            cache.close()
        if self._kueue:
            self._kueue.close()
        self._api.close()

    def _check_watches(self) -> None:
        deadline = time.monotonic() + _FIRST_LIST_SECONDS
        for cache in (self._jobs, self._pods, self._events):
            if not cache.is_current(max(deadline - time.monotonic(), 0.0)):
                raise Unavailable(
                    f"The Kubernetes API server {self._api.configuration.host} does not list the {cache.kind} of the "
                    f"namespace {self._namespace} at the moment. Running trainings continue. {cache.error}".strip(),
                    reason="API_SERVER",
                )

    def _check_attempt(self, name: str, attempt_uri: str) -> None:
        """Check that an existing Job, which another replica may have created, is the Job of an attempt.

        Raises:
            Unavailable: the Job is being deleted, or no longer exists.
            Conflict: the Job is not for this attempt.
        """
        job = self._read(name)
        if job is None or job.terminating:
            raise Unavailable(f"The Job {name} is being deleted. Start the training again.", reason="JOB_TERMINATING")
        found = template.attempt_of(job)
        if found != attempt_uri:
            raise Conflict(
                f"Expected no Job {name} in the namespace {self._namespace}, or one for {attempt_uri}. Found one for "
                f"{found or 'no attempt'}. Delete that Job, or use another namespace.",
                reason="JOB_EXISTS",
                resource=name,
            )

    def _read(self, name: str) -> JobObject | None:
        try:
            with self._request(f"reading the Job {name}"):
                response = self._batch.read_namespaced_job(
                    name, self._namespace, _preload_content=False, _request_timeout=REQUEST_TIMEOUT
                )
                return JobObject.model_validate_json(response.data)
        except _NotFound:
            return None

    def _list_pods(self, name: str) -> list[Pod]:
        with self._request(f"listing the pods of the Job {name}"):
            response = self._list(
                self._namespace,
                label_selector=f"{JOB}={name}",
                _preload_content=False,
                _request_timeout=REQUEST_TIMEOUT,
            )
            return [Pod.model_validate(item) for item in json.loads(response.data)["items"]]

    @contextmanager
    def _request(self, action: str) -> Iterator[None]:
        """Limit the rate of requests, and convert errors of the Kubernetes client to errors of this project.

        Args:
            action: What the request does, in the form "creating the Job x", for messages.
        """
        self._limiter.wait()
        try:
            yield
        except ApiException as error:
            raise _translated(error, action, self._namespace) from error
        except HTTPError as error:
            raise Unavailable(f"The Kubernetes API server did not respond while {action}: {error}") from error


class _NotFound(Internal):
    """The error for a requested object that the API server does not have."""


def _translated(error: ApiException, action: str, namespace: str) -> FaceFoundryError:
    detail = error_text(error)
    if error.status == 404:
        if 'namespaces "' in detail:
            return _NotFound(
                f"Expected the namespace {namespace}, in which the trainer creates Jobs. It does not exist. Create it, "
                "or set FACEFOUNDRY_JOBS_NAMESPACE to another namespace.",
                reason="NAMESPACE_MISSING",
            )
        return _NotFound(f"Kubernetes found no such object while {action}: {detail}", reason="GONE")
    if error.status == 409:
        return Conflict(
            f"Kubernetes reported a conflict while {action}: {detail}. Start the training again.", reason="JOB_EXISTS"
        )
    if error.status == 403 and "exceeded quota" in detail:
        return Busy(
            f"The quota of the namespace {namespace} has no room for another Job: {detail}. "
            "Wait until a Job has ended, or raise the quota (jobs.quota).",
            reason="QUOTA",
            retry_after_seconds=_QUOTA_SECONDS,
        )
    if error.status == 403:
        return Denied(
            f"Kubernetes does not allow {action}: {detail}. Check the trainer's Role, and the admission policies of "
            f"the namespace {namespace}.",
            reason="JOB_REFUSED",
        )
    if error.status in (400, 422):
        return Internal(f"Kubernetes rejected the Job while {action}: {detail}. Check the Job template.", reason="JOB")
    return Unavailable(f"The Kubernetes API server failed while {action} ({error.status}): {detail}")


def _configuration() -> client.Configuration:
    configuration = client.Configuration()
    configuration.keep_alive = True
    try:
        config.load_incluster_config(client_configuration=configuration)
    except config.ConfigException:
        try:
            config.load_kube_config(os.environ.get("KUBECONFIG"), client_configuration=configuration)
        except (config.ConfigException, OSError) as error:
            raise Internal(
                "Expected a service account token or a kubeconfig, because FACEFOUNDRY_BACKEND is kubernetes. Found "
                f"neither: {error}. Run the trainer in a pod with a token, or set KUBECONFIG to a file.",
                reason="NO_CLUSTER",
            ) from error
    return configuration


def _own_namespace() -> str:
    try:
        return _NAMESPACE.read_text(encoding="utf-8").strip()
    except OSError:
        return "default"


def _owned(pods: list[Pod], job: JobObject) -> list[Pod]:
    """Return the pods that this Job created; pods of an earlier Job with the same name are left out."""
    return [pod for pod in pods if any(owner.uid == job.metadata.uid for owner in pod.metadata.owner_references[:1])]
