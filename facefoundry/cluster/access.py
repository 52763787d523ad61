"""The Kubernetes API as runs use it, by the user's kubeconfig. The only module on the callers' side that imports it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from facefoundry.cluster.manifests import COMPONENT, DATASET_LABEL, Object
from facefoundry.errors import Conflict, Denied, FaceFoundryError, Internal, InvalidInput, NotFound, Unavailable

__all__ = ["Cluster"]

_TIMEOUT = (5.0, 30.0)
_QUIET_SECONDS = 86_400.0  # between two lines of a log that is followed; the client refuses None beside a number
_OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_SELECTOR = ",".join(f"{label}={value}" for label, value in COMPONENT.items())


class Cluster:
    """Reads and writes the objects of runs in one namespace. Objects are in their JSON form.

    Every method raises:
        Denied: the API server does not accept the user (UNAUTHENTICATED), or refuses the action (FORBIDDEN).
        Unavailable: the API server does not answer (API_SERVER).

    Args:
        kubeconfig: Path of the kubeconfig; by default KUBECONFIG, ~/.kube/config, or the account of this pod.
        context: Context of the kubeconfig; by default its current one.
        namespace: The namespace; by default that of the context.

    Raises:
        InvalidInput: there is no kubeconfig, or no such context in it (NO_KUBECONFIG).
    """

    def __init__(self, kubeconfig: str | None = None, context: str | None = None, namespace: str | None = None) -> None:
        configuration = client.Configuration()
        found = _load(configuration, kubeconfig, context)
        self.namespace = namespace or found
        self._host = configuration.host
        self._api = client.ApiClient(configuration)
        self._core, self._batch = client.CoreV1Api(self._api), client.BatchV1Api(self._api)

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def templates(self, release: str | None = None) -> list[Object]:
        """Return the ConfigMaps of releases that may hold a template."""
        selector = f"{_SELECTOR},!{DATASET_LABEL}" + (f",app.kubernetes.io/instance={release}" if release else "")
        return self._list("listing ConfigMaps", self._core.list_namespaced_config_map, label_selector=selector)

    def config_maps(self, job: str) -> list[Object]:
        """Return the ConfigMaps of the run with that Job, the newest last."""
        selector = f"{_SELECTOR},{DATASET_LABEL}={job}"
        found = self._list("listing ConfigMaps", self._core.list_namespaced_config_map, label_selector=selector)
        return sorted(found, key=lambda item: item["metadata"]["creationTimestamp"])

    def create_config_map(self, made: Object) -> bool:
        """Create a ConfigMap of a run, and return whether there was none. One of that name has that content."""
        name = made["metadata"]["name"]
        try:
            with self._request(f"creating the ConfigMap {name}"):
                self._core.create_namespaced_config_map(self.namespace, made, _request_timeout=_TIMEOUT)
        except Conflict:
            return False
        return True

    def delete_config_map(self, name: str) -> None:
        """Delete a ConfigMap, if it exists."""
        with self._absent_is_fine(), self._request(f"deleting the ConfigMap {name}"):
            self._core.delete_namespaced_config_map(name, self.namespace, _request_timeout=_TIMEOUT)

    def job(self, name: str) -> Object | None:
        """Return a Job; None if there is none."""
        read = self._batch.read_namespaced_job
        with self._absent_is_fine(), self._request(f"reading the Job {name}"):
            return _json(read(name, self.namespace, _preload_content=False, _request_timeout=_TIMEOUT).data)
        return None

    def create_job(self, job: Object) -> None:
        """Create a Job.

        Raises:
            Conflict: there is one of that name.
        """
        with self._request(f"creating the Job {job['metadata']['name']}"):
            self._batch.create_namespaced_job(self.namespace, job, _request_timeout=_TIMEOUT)

    def delete_job(self, name: str, uid: str) -> None:
        """Begin to delete a Job. It exists until its pods have ended."""
        options = {"preconditions": {"uid": uid}, "propagationPolicy": "Foreground"}
        with self._absent_is_fine(), self._request(f"deleting the Job {name}"):
            self._batch.delete_namespaced_job(name, self.namespace, body=options, _request_timeout=_TIMEOUT)

    def pods(self, job: str) -> list[Object]:
        """Return the pods of a Job."""
        selector = f"batch.kubernetes.io/job-name={job}"
        return self._list("listing pods", self._core.list_namespaced_pod, label_selector=selector)

    def warnings(self, job: str) -> list[str]:
        """Return the messages of the warnings about a Job, the newest last."""
        selector = f"type=Warning,involvedObject.kind=Job,involvedObject.name={job}"
        found = self._list("listing Events", self._core.list_namespaced_event, field_selector=selector)
        return [item.get("message", "") for item in sorted(found, key=lambda item: item.get("lastTimestamp") or "")]

    def log(self, pod: str, *, follow: bool = False) -> Iterator[str]:
        """Yield the lines of the log of a pod. With `follow`, until its container ends.

        Raises:
            NotFound: the pod is gone (NO_LOG).
        """
        try:
            yield from self._lines(pod, follow=follow)
        except _Absent as error:
            raise NotFound(f"The pod {pod} is gone, and its log with it.", reason="NO_LOG") from error

    def _lines(self, pod: str, *, follow: bool) -> Iterator[str]:
        with self._request(f"reading the log of the pod {pod}"):
            response = self._core.read_namespaced_pod_log(
                pod,
                self.namespace,
                follow=follow,
                _preload_content=False,
                _request_timeout=(_TIMEOUT[0], _QUIET_SECONDS if follow else _TIMEOUT[1]),
            )
            rest = b""
            for block in response.stream(amt=None, decode_content=False):
                *lines, rest = (rest + block).split(b"\n")
                yield from (line.decode(errors="replace") for line in lines)
            if rest:
                yield rest.decode(errors="replace")

    def _list(self, action: str, call: object, **selectors: str) -> list[Object]:
        assert callable(call)
        with self._request(action):
            response = call(self.namespace, _preload_content=False, _request_timeout=_TIMEOUT, **selectors)
            items: list[Object] = _json(response.data)["items"]
            return items

    @contextmanager
    def _request(self, action: str) -> Iterator[None]:
        """Convert errors of the Kubernetes client to errors of this project.

        Args:
            action: What the request does, in the form "creating the Job x", for messages.
        """
        try:
            yield
        except ApiException as error:
            raise self._translated(error, action) from error
        except HTTPError as error:
            raise Unavailable(
                f"The Kubernetes API server {self._host} did not respond while {action}: {error}. Check the kubeconfig "
                "and its context (--context), and the connection to the cluster.",
                reason="API_SERVER",
            ) from error

    def _translated(self, error: ApiException, action: str) -> FaceFoundryError:
        detail = _detail(error)
        match error.status:
            case 401:
                return Denied(
                    f"The Kubernetes API server {self._host} does not accept the credentials of the kubeconfig. Log in "
                    "to the cluster again, or choose another context with --context.",
                    reason="UNAUTHENTICATED",
                )
            case 403:
                return Denied(
                    f"Kubernetes does not allow {action} in the namespace {self.namespace}: {detail}. Give another "
                    "--namespace, or have the administrator add you to the chart's value dataset.submitters.",
                    reason="FORBIDDEN",
                )
            case 404 if 'namespaces "' in detail:
                return NotFound(
                    f"The namespace {self.namespace} does not exist. Give that of the release with --namespace.",
                    reason="NAMESPACE_MISSING",
                )
            case 404:
                return _Absent(f"Kubernetes found no such object while {action}: {detail}", reason="GONE")
            case 409:
                return Conflict(f"Kubernetes reported a conflict while {action}: {detail}", reason="NAME_TAKEN")
            case 400 | 422:
                return InvalidInput(
                    f"Kubernetes rejected the object while {action}: {detail}. Check the options of the command.",
                    reason="JOB",
                )
        return Unavailable(
            f"The Kubernetes API server failed while {action} ({error.status}): {detail}", reason="API_SERVER"
        )

    @contextmanager
    def _absent_is_fine(self) -> Iterator[None]:
        try:
            yield
        except _Absent:
            return


class _Absent(Internal):
    """The error for a requested object that the API server does not have."""


def _load(configuration: client.Configuration, kubeconfig: str | None, context: str | None) -> str:
    """Read a kubeconfig into a configuration, and return the namespace of its context."""
    if kubeconfig is None and context is None and not os.environ.get("KUBECONFIG"):
        try:
            config.load_incluster_config(client_configuration=configuration)
            return _OWN_NAMESPACE.read_text(encoding="utf-8").strip()
        except (config.ConfigException, OSError):
            pass  # not in a pod
    path = kubeconfig or os.environ.get("KUBECONFIG")
    try:
        config.load_kube_config(path, context=context, client_configuration=configuration, persist_config=False)
        contexts, active = config.list_kube_config_contexts(path)
    except (config.ConfigException, OSError) as error:
        where = f"{path or '~/.kube/config'}{f' with the context {context}' if context else ''}"
        raise InvalidInput(
            f"Expected a kubeconfig of the cluster at {where}. Received: {str(error).rstrip('.')}. Name the file with "
            "--kubeconfig or KUBECONFIG, and the context with --context.",
            reason="NO_KUBECONFIG",
        ) from error
    chosen = next((each for each in contexts if each["name"] == context), active)
    return str(chosen["context"].get("namespace") or "default")


def _json(data: bytes) -> Object:
    found: Object = json.loads(data)
    return found


def _detail(error: ApiException) -> str:
    """Return the API server's message."""
    try:
        return str(json.loads(error.body)["message"]).rstrip(".")
    except (TypeError, ValueError, KeyError):
        return str(error.reason)
