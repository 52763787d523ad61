"""Helpers for tests of the chart: helm, rendered objects, and the schemas of Kubernetes."""

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

from services.trainer.backends.kubernetes import template as job_template

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm/facefoundry"
SCENARIOS = sorted((CHART / "ci").glob("*-values.yaml"))
_SCHEMAS = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema/v1.37.0-local-strict"
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")

Object = dict[str, Any]


class Helm:
    """The helm program, applied to the chart."""

    def __init__(self, program: str) -> None:
        self.program = program
        self._results: dict[str, subprocess.CompletedProcess[str]] = {}

    def template(
        self, *values: Path | Mapping[str, Any], options: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Render release `ff` in the namespace `facefoundry`; later values win. Results are cached."""
        key = json.dumps([*map(str, values), options])
        if key not in self._results:
            self._results[key] = self._template(*values, options=options)
        return self._results[key]

    def _template(
        self, *values: Path | Mapping[str, Any], options: tuple[str, ...]
    ) -> subprocess.CompletedProcess[str]:
        command = [self.program, "template", "ff", str(CHART), "--namespace", "facefoundry", *options]
        text = None
        for value in values:
            if isinstance(value, Path):
                command += ["--values", str(value)]
            else:
                assert text is None, "at most one mapping: it is passed on standard input"
                text = json.dumps(value)
                command += ["--values", "-"]
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=False)

    def objects(self, *values: Path | Mapping[str, Any], options: tuple[str, ...] = ()) -> list[Object]:
        """Return the rendered objects."""
        result = self.template(*values, options=options)
        assert result.returncode == 0, result.stderr
        return [item for item in yaml.load_all(result.stdout, getattr(yaml, "CSafeLoader", yaml.SafeLoader)) if item]

    def refusal(self, *values: Path | Mapping[str, Any]) -> str:
        """Return the error message for values that helm must refuse."""
        result = self.template(*values)
        assert result.returncode != 0, "these values were accepted"
        return result.stderr

    def install_message(self, values: Mapping[str, Any]) -> str:
        """Return what `helm install` prints with these values."""
        command = [self.program, "install", "ff", str(CHART), "--namespace", "facefoundry", "--dry-run=client"]
        done = subprocess.run(
            [*command, "--values", "-"],
            input=json.dumps(values),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.partition("NOTES:")[2]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another helm command."""
        return subprocess.run([self.program, *arguments], capture_output=True, text=True, timeout=600, check=False)


def find_helm() -> Helm:
    """Find helm in HELM, on PATH or where `make helm` puts it; skip the test if it is in none of them."""
    for program in (os.environ.get("HELM"), shutil.which("helm"), str(_CACHE / "facefoundry/bin/helm")):
        if program and Path(program).is_file():
            return Helm(program)
    pytest.skip("helm was not found: `make helm` builds it if Go is installed, or set HELM=<path>")


@cache
def find_helm_3() -> Helm:
    """Find Helm 3 in HELM3 or build it; skip the test if there is no Go."""
    program = Path(os.environ.get("HELM3") or _CACHE / "facefoundry/bin/helm-3/helm")
    if not program.is_file():
        if not shutil.which("go"):
            pytest.skip("Helm 3 was not found: set HELM3=<path>, or install Go")
        environment = {**os.environ, "GOBIN": str(program.parent), "CGO_ENABLED": "0"}
        build = ["go", "install", "-ldflags=-s -w", "helm.sh/helm/v3/cmd/helm@v3.19.5"]
        subprocess.run(build, env=environment, check=True)
    return Helm(str(program))


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


def invalid(item: Object) -> list[str]:
    """Return the errors of an object under the strict schemas of Kubernetes 1.37."""
    found = _validator(item["kind"], item["apiVersion"]).iter_errors(item)
    return [f"{item['kind']} {item['metadata']['name']}: {error.json_path}: {error.message}" for error in found]


def pods(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Yield the name of each object that creates pods, and the spec of its pods."""
    for item in objects:
        if item["kind"] == "Pod":
            yield item["metadata"]["name"], item["spec"]
        elif item["kind"] in ("Deployment", "StatefulSet", "Job"):
            yield item["metadata"]["name"], item["spec"]["template"]["spec"]
        elif item["kind"] == "CronJob":
            yield item["metadata"]["name"], item["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        elif item["kind"] == "ConfigMap" and "training-job.yaml" in item["data"]:
            yield "training-job", training_job([item])["spec"]["template"]["spec"]


def unrestricted(name: str, pod: Object) -> list[str]:
    """Return violations of the Pod Security Standard `restricted`, and of a read-only root file system."""
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
    """Return the object with a kind and name; there must be exactly one."""
    (found,) = (item for item in objects if item["kind"] == kind and item["metadata"]["name"] == name)
    return found


def training_job(objects: list[Object]) -> Object:
    """Return the Job in the trainer's ConfigMap."""
    (found,) = (item["data"]["training-job.yaml"] for item in objects if "training-job.yaml" in item.get("data", {}))
    return yaml.safe_load(found)


def trainers_job(objects: list[Object], name: str, attempt_uri: str) -> Object:
    """Return the Job that the trainer of a rendered release makes of the one in its ConfigMap."""
    (trainer,) = (pod for found, pod in pods(objects) if found.endswith("-trainer"))
    known = environment(trainer["containers"][0])
    gpus = int(known["FACEFOUNDRY_GPUS"])
    return job_template.training_job(training_job(objects), name, attempt_uri, known["FACEFOUNDRY_GPU_RESOURCE"], gpus)


def environment(container: Object) -> dict[str, Any]:
    """Return a container's environment variables: their value, or its source."""
    return {variable["name"]: variable.get("value", variable.get("valueFrom")) for variable in container["env"]}
