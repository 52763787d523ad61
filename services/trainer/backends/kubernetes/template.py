"""The template of Jobs, and the Job that is made from it for an attempt."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, TypeAlias

import pydantic
import yaml
from kubernetes.client import V1Job

from facefoundry.errors import Internal
from services.trainer.backends.kubernetes.objects import JobObject

__all__ = ["ATTEMPT", "CONTAINER", "LABELS", "Object", "attempt_of", "queue_of", "read", "training_job"]

Object: TypeAlias = dict[str, Any]  # an API object in its JSON form, of which only some fields are known here

CONTAINER = "worker"
"""Name of the worker's container."""

# Labels of all Jobs and pods of the backend, beside those of the template.
LABELS = {"app.kubernetes.io/name": "facefoundry", "app.kubernetes.io/component": "worker"}

ATTEMPT = "facefoundry/attempt"
"""Annotation with the attempt's URI."""

# Label with the name of a Kueue queue.
_QUEUE = "kueue.x-k8s.io/queue-name"


def read(path: Path) -> Object:
    """Read a Job template and check it, so that a wrong one is reported when the trainer starts.

    Raises:
        Internal: the file is missing, is not a Job, or has no container `worker`; the message names file and field
            (JOB_TEMPLATE).
    """
    try:
        job = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise _wrong(path, f"cannot be read: {error}") from error
    if not isinstance(job, dict) or (job.get("apiVersion"), job.get("kind")) != ("batch/v1", "Job"):
        raise _wrong(path, "must be one object of apiVersion batch/v1 and kind Job")
    try:
        V1Job.model_validate(training_job(job, "name", "uri"))
    except pydantic.ValidationError as error:
        fields = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
        raise _wrong(path, f"has wrong fields: {fields}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise _wrong(path, "must have spec.template.spec.containers with a name each") from error
    except StopIteration:
        raise _wrong(path, f"must have a container named {CONTAINER!r} in spec.template.spec.containers") from None
    return job


def training_job(template: Object, name: str, attempt_uri: str, gpu_resource: str = "", gpus: int = 0) -> Object:
    """Make the Job of one attempt; the template is not changed.

    Args:
        template: The Job template, as `read` returns it.
        name: Name of the Job.
        attempt_uri: The worker's argument, also added as an annotation, by which replicas recognise each other's Jobs.
        gpu_resource: Name of the device resource that the worker requests, such as `nvidia.com/gpu`.
        gpus: Number of devices that the worker requests; 0 leaves the template's resources as they are.

    Raises:
        StopIteration: the template has no container `worker`.
    """
    job = copy.deepcopy(template)
    metadata, pod = job.setdefault("metadata", {}), job["spec"]["template"]
    metadata["name"] = name
    metadata.pop("generateName", None)
    for part in (metadata, pod.setdefault("metadata", {})):
        part["labels"] = {**(part.get("labels") or {}), **LABELS}
        part["annotations"] = {**(part.get("annotations") or {}), ATTEMPT: attempt_uri}
    container = next(container for container in pod["spec"]["containers"] if container["name"] == CONTAINER)
    container["args"] = [*(container.get("args") or []), attempt_uri]
    if gpus:
        # For extended resources, the limit is also the request.
        resources = container["resources"] = {**(container.get("resources") or {})}
        resources["limits"] = {**(resources.get("limits") or {}), gpu_resource: str(gpus)}
    if metadata["labels"].get(_QUEUE):
        job["spec"]["suspend"] = True
    return job


def attempt_of(job: JobObject) -> str:
    """Return the URI of the attempt for which a Job was made; empty if the trainer did not make the Job."""
    return job.metadata.annotations.get(ATTEMPT, "")


def queue_of(job: JobObject) -> str:
    """Return the name of the Kueue queue that a Job is in; empty if it is in none."""
    return job.metadata.labels.get(_QUEUE, "")


def _wrong(path: Path, problem: str) -> Internal:
    return Internal(
        f"The Job template {path} (FACEFOUNDRY_JOB_TEMPLATE) {problem}.", reason="JOB_TEMPLATE", resource=str(path)
    )
