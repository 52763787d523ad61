"""The Job that the chart mounts, and what of it differs from pair to pair."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pydantic
import yaml
from kubernetes.client import V1Job

from facefoundry.errors import Internal

__all__ = ["CONTAINER", "LABELS", "QUEUE", "REQUEST", "Object", "read", "attempt_of", "training_job"]

# An API object in its JSON form.
Object = dict[str, Any]

CONTAINER = "worker"
# Every Job and pod of ours has these, whatever else the template says.
LABELS = {"app.kubernetes.io/name": "facefoundry", "app.kubernetes.io/component": "worker"}
REQUEST = "facefoundry/attempt"
QUEUE = "kueue.x-k8s.io/queue-name"


def read(path: Path) -> Object:
    """Read a Job template and check it, so that a wrong one is seen when the trainer starts.

    Raises:
        Internal: it is missing, no Job, or has no container `worker`; the message names file and field.
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
        fields = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise _wrong(path, fields) from error
    except (KeyError, TypeError, AttributeError) as error:
        raise _wrong(path, "needs spec.template.spec.containers with a name each") from error
    except StopIteration:
        raise _wrong(path, f"needs a container named {CONTAINER!r} in spec.template.spec.containers") from None
    return job


def training_job(template: Object, name: str, attempt_uri: str, gpu_resource: str = "", gpus: int = 0) -> Object:
    """The Job of one attempt; the template stays as it is.

    Args:
        template: The Job as the chart mounts it.
        name: Name of the Job.
        attempt_uri: The worker's argument, also annotated, so that replicas recognise each other's Jobs.
        gpu_resource: Name of the device resource, such as `nvidia.com/gpu`.
        gpus: How many of them; with 0 the template's resources stand as they are.

    Raises:
        StopIteration: the template has no container `worker`.
    """
    job = copy.deepcopy(template)
    metadata, pod = job.setdefault("metadata", {}), job["spec"]["template"]
    metadata["name"] = name
    metadata.pop("generateName", None)
    for part in (metadata, pod.setdefault("metadata", {})):
        part["labels"] = {**(part.get("labels") or {}), **LABELS}
        part["annotations"] = {**(part.get("annotations") or {}), REQUEST: attempt_uri}
    container = next(one for one in pod["spec"]["containers"] if one["name"] == CONTAINER)
    container["args"] = [*(container.get("args") or []), attempt_uri]
    if gpus:
        # For extended resources the limit is the request too.
        resources = container["resources"] = {**(container.get("resources") or {})}
        resources["limits"] = {**(resources.get("limits") or {}), gpu_resource: str(gpus)}
    if metadata["labels"].get(QUEUE):
        job["spec"]["suspend"] = True
    return job


def attempt_of(job: Object) -> str:
    """The request's URI that a Job was made for; empty when it is none of ours."""
    return str((job["metadata"].get("annotations") or {}).get(REQUEST, ""))


def _wrong(path: Path, what: str) -> Internal:
    return Internal(
        f"The Job template {path} (FACEFOUNDRY_JOB_TEMPLATE) {what}.", reason="JOB_TEMPLATE", resource=str(path)
    )
