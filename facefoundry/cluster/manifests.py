"""The objects of a submitted run: a ConfigMap with the frozen dataset, and the Job that makes it.

The Job comes from a template, which the chart puts into a ConfigMap of each release. It holds what depends on the
installation: image, addresses, Secret, resources. This module adds what differs between runs.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml

from facefoundry import codec
from facefoundry.errors import InvalidInput, NotFound
from facefoundry.planning.freezing import DATASET_FILE

__all__ = [
    "COMPONENT",
    "CONTAINER",
    "DATASET_LABEL",
    "RUN",
    "TEMPLATE_KEY",
    "JobOptions",
    "Object",
    "Submission",
    "bucket_of",
    "config_map",
    "dataset_job",
    "is_of",
    "job_name",
    "mounts",
    "template_in",
]

Object: TypeAlias = dict[str, Any]  # an API object in its JSON form, of which only some fields are known here

CONTAINER = "dataset"
"""Name of the container of the Job."""

COMPONENT = {"app.kubernetes.io/name": "facefoundry", "app.kubernetes.io/component": "dataset"}
"""Labels of the template, and of all Jobs, pods and ConfigMaps of runs."""

TEMPLATE_KEY = "dataset-job.yaml"
"""Key of the template in its ConfigMap."""

DATASET_LABEL = "facefoundry/dataset"
"""Label of the ConfigMap of a run, with the name of its Job."""

RUN = "facefoundry/run"
"""Annotation with the name of the run."""

_OUTPUT, _OPTIONS = "facefoundry/output", "facefoundry/options"
_FOLDER = "/etc/facefoundry/dataset"
_VOLUME = "dataset"
_MAX_BYTES = 1_000_000  # Kubernetes takes 1 MiB, with names and labels


@dataclass(frozen=True)
class JobOptions:
    """What a Job has instead of what the template says; None for the template's.

    Attributes:
        image: Image of the command.
        service_account: Service account of the pod.
        store_secret: Secret with the keys `access-key` and `secret-key` of the store.
        cpu: CPU request, such as `500m`.
        memory: Memory request and limit, such as `2Gi`.
    """

    image: str | None = None
    service_account: str | None = None
    store_secret: str | None = None
    cpu: str | None = None
    memory: str | None = None


@dataclass(frozen=True)
class Submission:
    """A run to submit.

    Attributes:
        name: Name of the run.
        files: The files of the frozen dataset, by name.
        output: URI of the prefix at which the dataset is made.
        options: What its Job has instead of what the template says.
    """

    name: str
    files: Mapping[str, bytes]
    output: str
    options: JobOptions = field(default_factory=JobOptions)

    @classmethod
    def of(cls, found: Object) -> Submission:
        """Return the submission that a ConfigMap was made for."""
        annotations = found["metadata"]["annotations"]
        files = {name: text.encode() for name, text in (found.get("data") or {}).items()}
        files |= {name: base64.b64decode(text) for name, text in (found.get("binaryData") or {}).items()}
        return cls(annotations[RUN], files, annotations[_OUTPUT], codec.from_json(JobOptions, annotations[_OPTIONS]))

    @staticmethod
    def output_of(found: Object) -> str:
        """Return the output that an object of a run names."""
        output: str = found["metadata"]["annotations"][_OUTPUT]
        return output

    @property
    def annotations(self) -> dict[str, str]:
        """The annotations of its objects."""
        options = {name: value for name, value in codec.to_values(self.options).items() if value}
        return {RUN: self.name, _OUTPUT: self.output, _OPTIONS: json.dumps(options)}


def job_name(run: str) -> str:
    """Return the name of the Job of a run: valid in Kubernetes, and another one for each run."""
    slug = re.sub(r"[^a-z0-9-]", "-", run.lower()).strip("-")
    if slug != run or len(slug) > 50:
        slug = f"{slug[:41].rstrip('-')}-{hashlib.sha256(run.encode()).hexdigest()[:8]}".lstrip("-")
    return f"dataset-{slug}"


def is_of(found: Object, run: str) -> bool:
    """Return whether an object was made for that run, and does not only have its name."""
    labels, annotations = found["metadata"].get("labels") or {}, found["metadata"].get("annotations") or {}
    return bool(COMPONENT.items() <= labels.items() and annotations.get(RUN) == run)


def mounts(job: Object, made: Object) -> bool:
    """Return whether the pods of a Job mount that ConfigMap."""
    volumes = job["spec"].get("template", {}).get("spec", {}).get("volumes") or []
    return made["metadata"]["name"] in [(volume.get("configMap") or {}).get("name") for volume in volumes]


def template_in(documents: Iterable[object], where: str) -> Object:
    """Return the template of the release among objects.

    Args:
        documents: The objects.
        where: Where they are from, for messages.

    Raises:
        NotFound: there is no ConfigMap with a template (NO_RELEASE).
        InvalidInput: there are several, of several releases (SEVERAL_RELEASES).
    """
    found = [
        item
        for item in documents
        if isinstance(item, dict)
        and item.get("kind", "ConfigMap") == "ConfigMap"
        and TEMPLATE_KEY in (item.get("data") or {})
    ]
    if not found:
        raise NotFound(
            f"Expected a ConfigMap with {TEMPLATE_KEY} of a release of FaceFoundry in {where}. Found none. Name the "
            "namespace of the release with --namespace; `helm list --all-namespaces` lists releases.",
            reason="NO_RELEASE",
        )
    if len(found) > 1:
        names = ", ".join(sorted(item["metadata"]["labels"].get("app.kubernetes.io/instance", "") for item in found))
        raise InvalidInput(
            f"Expected one release of FaceFoundry in {where}. Found {names}. Choose one with --release.",
            reason="SEVERAL_RELEASES",
        )
    template: Object = yaml.safe_load(found[0]["data"][TEMPLATE_KEY])
    return template


def bucket_of(template: Object) -> str:
    """Return the bucket of the release."""
    variables = {each["name"]: each.get("value", "") for each in _container(template)["env"]}
    return str(variables["FACEFOUNDRY_STORE_BUCKET"])


def config_map(template: Object, submission: Submission) -> Object:
    """Return the ConfigMap of a run. Its name depends on its content, and nobody can change it.

    Raises:
        InvalidInput: the files are too large for a ConfigMap (DATASET_TOO_LARGE).
    """
    size = sum(len(name) + len(data) for name, data in submission.files.items())
    if size > _MAX_BYTES:
        largest = max(submission.files, key=lambda name: len(submission.files[name]))
        raise InvalidInput(
            f"Expected a dataset of at most {_MAX_BYTES:,} bytes of lists and pictures, because it travels in a "
            f"ConfigMap. Received {size:,} bytes, most of them in {largest}. Make several datasets, each with some of "
            "the clips.",
            reason="DATASET_TOO_LARGE",
        )
    texts, binaries = dict[str, str](), dict[str, str]()
    for name, data in submission.files.items():
        try:
            texts[name] = data.decode()
        except UnicodeDecodeError:
            binaries[name] = base64.b64encode(data).decode()
    made = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": _config_map_name(submission),
            "namespace": template["metadata"]["namespace"],
            "labels": {**template["metadata"]["labels"], DATASET_LABEL: job_name(submission.name)},
            "annotations": submission.annotations,
        },
        "immutable": True,
        "data": texts,
    }
    return {**made, "binaryData": binaries} if binaries else made


def dataset_job(template: Object, submission: Submission) -> Object:
    """Return the Job of a run. The template is not changed."""
    job = copy.deepcopy(template)
    job["metadata"] |= {"name": job_name(submission.name)}
    job["metadata"]["annotations"] = {**(job["metadata"].get("annotations") or {}), **submission.annotations}
    pod, container = job["spec"]["template"]["spec"], _container(job)
    container["args"] = ["run", f"{_FOLDER}/{DATASET_FILE}", f"--output={submission.output}", "--json"]
    container["volumeMounts"].append({"name": _VOLUME, "mountPath": _FOLDER, "readOnly": True})
    pod["volumes"].append({"name": _VOLUME, "configMap": {"name": _config_map_name(submission)}})
    _change(pod, container, submission.options)
    return job


def _change(pod: Object, container: Object, options: JobOptions) -> None:
    if options.image:
        container["image"] = options.image
    if options.service_account:
        pod["serviceAccountName"] = options.service_account
    if options.store_secret:
        for variable in container["env"]:
            if variable["name"] in ("FACEFOUNDRY_STORE_ACCESS_KEY", "FACEFOUNDRY_STORE_SECRET_KEY"):
                variable["valueFrom"]["secretKeyRef"]["name"] = options.store_secret
    resources = container["resources"] = copy.deepcopy(container.get("resources") or {})
    if options.cpu:
        resources.setdefault("requests", {})["cpu"] = options.cpu
    if options.memory:
        for kind in ("requests", "limits"):
            resources.setdefault(kind, {})["memory"] = options.memory


def _container(job: Object) -> Object:
    found: Object = next(each for each in job["spec"]["template"]["spec"]["containers"] if each["name"] == CONTAINER)
    return found


def _config_map_name(submission: Submission) -> str:
    digest = hashlib.sha256()
    for name, data in sorted(submission.files.items()):
        digest.update(f"{name}\0{len(data)}\0".encode() + data)
    for value in submission.annotations.values():
        digest.update(f"{value}\0".encode())
    return f"{job_name(submission.name)}-{digest.hexdigest()[:8]}"
