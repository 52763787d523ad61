"""The chart as tests see it: helm itself, rendered objects, and Kubernetes' own schemas."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from referencing import Registry, Resource

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm/facefoundry"
SCENARIOS = sorted((CHART / "ci").glob("*-values.yaml"))
_SCHEMAS = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema/v1.37.0-local-strict"
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")

Object = dict[str, Any]


class Helm:
    """The helm program and our chart."""

    def __init__(self, program: str) -> None:
        self.program = program
        self._ended: dict[str, subprocess.CompletedProcess[str]] = {}

    def template(
        self, *values: Path | Mapping[str, Any], options: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Render as release `ff` in the namespace `facefoundry`, once for equal values; further values win."""
        key = json.dumps([*map(str, values), options])
        if key not in self._ended:
            self._ended[key] = self._template(*values, options=options)
        return self._ended[key]

    def _template(
        self, *values: Path | Mapping[str, Any], options: tuple[str, ...]
    ) -> subprocess.CompletedProcess[str]:
        command = [self.program, "template", "ff", str(CHART), "--namespace", "facefoundry", *options]
        text = None
        for value in values:
            if isinstance(value, Path):
                command += ["--values", str(value)]
            else:
                assert text is None, "one mapping at most: it goes through standard input"
                text = json.dumps(value)
                command += ["--values", "-"]
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=False)

    def objects(self, *values: Path | Mapping[str, Any], options: tuple[str, ...] = ()) -> list[Object]:
        """The rendered objects."""
        ended = self.template(*values, options=options)
        assert ended.returncode == 0, ended.stderr
        return [one for one in yaml.load_all(ended.stdout, getattr(yaml, "CSafeLoader", yaml.SafeLoader)) if one]

    def refusal(self, *values: Path | Mapping[str, Any]) -> str:
        """What helm says of values that it must refuse."""
        ended = self.template(*values)
        assert ended.returncode != 0, "these values were accepted"
        return ended.stderr

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Any other command."""
        return subprocess.run([self.program, *arguments], capture_output=True, text=True, timeout=120, check=False)


def find_helm() -> Helm:
    """Helm, where `make helm` or the user put it; skips the test where it is not."""
    for program in (os.environ.get("HELM"), shutil.which("helm"), str(_CACHE / "facefoundry/bin/helm")):
        if program and Path(program).is_file():
            return Helm(program)
    pytest.skip("helm is not here: `make helm` builds it where Go is installed, or set HELM=<path>")


@cache
def _definitions() -> Resource:
    return Resource.from_contents(json.loads((_SCHEMAS / "_definitions.json").read_text()))


@cache
def _validator(kind: str, api_version: str) -> jsonschema.Draft202012Validator:
    group, _, version = api_version.rpartition("/")
    name = "-".join(part for part in (kind.lower(), group.split(".")[0], version) if part)
    schema = json.loads((_SCHEMAS / f"{name}.json").read_text())
    registry = _definitions() @ (Resource.from_contents(schema) @ Registry())
    return jsonschema.Draft202012Validator(schema, registry=registry)


def invalid(one: Object) -> list[str]:
    """What Kubernetes 1.37's strict schemas find wrong with an object of its own API groups."""
    found = _validator(one["kind"], one["apiVersion"]).iter_errors(one)
    return [f"{one['kind']} {one['metadata']['name']}: {error.json_path}: {error.message}" for error in found]


def pods(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Every pod's spec, with the name of what makes it."""
    for one in objects:
        if one["kind"] == "Pod":
            yield one["metadata"]["name"], one["spec"]
        elif one["kind"] in ("Deployment", "StatefulSet", "Job"):
            yield one["metadata"]["name"], one["spec"]["template"]["spec"]
        elif one["kind"] == "ConfigMap" and "training-job.yaml" in one["data"]:
            yield "training-job", training_job([one])["spec"]["template"]["spec"]


def unrestricted(name: str, pod: Object) -> list[str]:
    """What breaks the Pod Security Standard `restricted`, or our own rule of a read-only root."""
    wrong = []
    security = pod.get("securityContext", {})
    if not security.get("runAsNonRoot") or not security.get("runAsUser"):
        wrong.append("runs as root")
    if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        wrong.append("has no seccomp profile")
    if any(pod.get(field) for field in ("hostNetwork", "hostPID", "hostIPC")):
        wrong.append("uses the host's namespaces")
    allowed = {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
    wrong += [f"mounts {volume}" for volume in pod.get("volumes", []) if not (set(volume) - {"name"}) <= allowed]
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        security = container.get("securityContext", {})
        if security.get("allowPrivilegeEscalation") is not False or security.get("privileged"):
            wrong.append("may gain privileges")
        if security.get("capabilities") != {"drop": ["ALL"]}:
            wrong.append("keeps capabilities")
        if security.get("readOnlyRootFilesystem") is not True:
            wrong.append("has a writable root")
    return [f"{name} {what}" for what in wrong]


def named(objects: list[Object], kind: str, name: str) -> Object:
    """The one object of a kind and name."""
    (found,) = (one for one in objects if one["kind"] == kind and one["metadata"]["name"] == name)
    return found


def training_job(objects: list[Object]) -> Object:
    """The Job in the trainer's ConfigMap."""
    (found,) = (one["data"]["training-job.yaml"] for one in objects if "training-job.yaml" in one.get("data", {}))
    return yaml.safe_load(found)


def environment(container: Object) -> dict[str, Any]:
    """A container's variables: texts, or where they come from."""
    return {variable["name"]: variable.get("value", variable.get("valueFrom")) for variable in container["env"]}
