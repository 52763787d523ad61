"""A release of the chart with its own namespaces, as a user installs, reaches, upgrades and removes it."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client
from kubernetes.utils.quantity import parse_quantity

from facefoundry.local.process import free_ports
from facefoundry.settings import StoreSettings, read
from facefoundry.storage.store import Store
from tests.helm.chart import CHART, find_helm

REPOSITORY = os.environ.get("REPOSITORY", "localhost/facefoundry")
TAG = os.environ.get("TAG", "")
SERVICES = ("extractor", "trainer", "converter")

# A node of two cores runs everything at once: so pods ask for little, and use what is free.
SMALL: dict[str, Any] = {
    "image": {"repository": REPOSITORY, "tag": TAG},
    "minio": {
        "enabled": True,
        "persistence": {"size": "1Gi"},
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "2Gi"}},
    },
    "extractor": {
        "resources": {"requests": {"cpu": "200m", "memory": "256Mi"}, "limits": {"memory": "3Gi"}},
        "scratch": "1Gi",
    },
    "trainer": {"resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "2Gi"}}},
    "converter": {
        "resources": {"requests": {"cpu": "200m", "memory": "256Mi"}, "limits": {"memory": "3Gi"}},
        "scratch": "1Gi",
    },
    "worker": {
        "resources": {"requests": {"cpu": "200m", "memory": "256Mi"}, "limits": {"memory": "3Gi"}},
        "scratch": "1Gi",
        # The node only counts GPUs.
        "settings": {"statusSeconds": 1, "checkpointSeconds": 1, "callSeconds": 1, "requireGpu": False},
    },
}


class Release:
    """One `helm install` of the chart; `facefoundry` on this machine reaches it through port-forwards."""

    def __init__(self, folder: Path) -> None:
        self.name = "ff"
        self.namespace = f"facefoundry-test-{secrets.token_hex(4)}"
        self.jobs = f"{self.namespace}-jobs"
        self.helm = find_helm()
        self.core, self.batch, self.apps = client.CoreV1Api(), client.BatchV1Api(), client.AppsV1Api()
        self.folder = folder
        (self.store_port,) = free_ports(1)
        self._values: dict[str, Any] = {**SMALL, "jobs": {"namespace": self.jobs}}

    def install(self, **values: Any) -> None:
        """`helm install`, in a namespace with restricted Pod Security."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.core.create_namespace({"metadata": {"name": self.namespace, "labels": labels}})
        self._helm("install", **values)

    def upgrade(self, **values: Any) -> None:
        """`helm upgrade` with changed values, and wait until they are rolled out."""
        self._helm("upgrade", **values)
        self.wait()

    @contextmanager
    def changed(self, **values: Any) -> Iterator[None]:
        """Change values for the time of the block."""
        before = self._values
        self.upgrade(**values)
        try:
            yield
        finally:
            self._values = before
            self.upgrade()

    def run_in_pod(self, name: str, *words: str) -> None:
        """A pod with the command's image and surroundings; those of `helm test`."""
        hooks = self.helm.run("get", "hooks", self.name, "--namespace", self.namespace).stdout
        (pod,) = (hook for hook in yaml.safe_load_all(hooks) if hook and hook["kind"] == "Pod")
        pod["spec"]["containers"][0] |= {"command": list(words), "args": []}
        pod["metadata"] = {"name": name, "labels": {"app.kubernetes.io/component": name}}
        self.core.create_namespaced_pod(self.namespace, pod)

    def cpu(self, component: str) -> float:
        """Cores that the component's pods use, as the autoscaler sees them."""
        metrics = client.CustomObjectsApi().list_namespaced_custom_object(
            "metrics.k8s.io", "v1beta1", self.namespace, "pods"
        )
        names = {pod.metadata.name for pod in self.pods(component)}
        containers = [
            container for pod in metrics["items"] if pod["metadata"]["name"] in names for container in pod["containers"]
        ]
        return float(sum(parse_quantity(container["usage"]["cpu"]) for container in containers))

    def uninstall(self) -> None:
        """`helm uninstall`."""
        ended = self.helm.run("uninstall", self.name, "--namespace", self.namespace, "--wait")
        assert ended.returncode == 0, ended.stderr

    def remove(self) -> None:
        """Remove everything of it, also what `helm uninstall` keeps."""
        self.helm.run("uninstall", self.name, "--namespace", self.namespace)
        for namespace in (self.namespace, self.jobs):
            with _absent_is_fine():
                self.core.delete_namespace(namespace, propagation_policy="Background")

    def wait(self, seconds: int = 600) -> None:
        """Wait until everything is rolled out."""
        for kind in ("deployment", "statefulset"):
            selector = ("--selector", f"app.kubernetes.io/instance={self.name}")
            self.kubectl("rollout", "status", kind, *selector, f"--timeout={seconds}s")

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl in the release's namespace and return what it prints."""
        command = [_kubectl(), "--namespace", self.namespace, *arguments]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
        assert ended.returncode == 0, ended.stderr + ended.stdout
        return ended.stdout

    @property
    def store_here(self) -> str:
        """Host and port of a port-forward to the store that is named in URLs, `store_port`."""
        return f"127.0.0.1:{self.store_port}"

    @contextmanager
    def reached(self, store_port: int | None = None) -> Iterator[dict[str, str]]:
        """Port-forwards as NOTES.txt has them; yields the addresses, and the keys with which tests look into the store.

        Clips and results pass only if `store_port` is that of the value `store.publicEndpoint`.
        """
        with ExitStack() as stack:
            ports = {name: stack.enter_context(self.forward(name, 50051)) for name in SERVICES}
            addresses = {f"FACEFOUNDRY_{name.upper()}_ADDRESS": f"127.0.0.1:{port}" for name, port in ports.items()}
            if not self._values["minio"]["enabled"]:
                yield addresses
                return
            port = stack.enter_context(self.forward("minio", 9000, store_port))
            yield {
                **addresses,
                "FACEFOUNDRY_STORE_ENDPOINT": f"127.0.0.1:{port}",
                "FACEFOUNDRY_STORE_BUCKET": "facefoundry",
                "FACEFOUNDRY_STORE_ACCESS_KEY": "facefoundry",
                "FACEFOUNDRY_STORE_SECRET_KEY": "development-only",
            }

    @contextmanager
    def forward(self, service: str, port: int, here: int | None = None) -> Iterator[int]:
        """A port-forward to a service of the release's name and namespace; yields the port here, `here` if given."""
        ports = f"{here or ''}:{port}"
        command = [_kubectl(), "--namespace", self.namespace, "port-forward", f"service/{self.of(service)}", ports]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                found = re.match(r"Forwarding from 127\.0\.0\.1:(\d+)", line)
                assert found, line
                yield int(found[1])
            finally:
                process.terminate()

    def of(self, component: str) -> str:
        """Name of a component's objects."""
        return f"{self.name}-facefoundry-{component}"

    def pods(self, component: str) -> list[Any]:
        """A component's pods that are not being deleted."""
        namespace = self.jobs if component == "worker" else self.namespace
        found = self.core.list_namespaced_pod(
            namespace, label_selector=f"app.kubernetes.io/component={component}"
        ).items
        return [pod for pod in found if not pod.metadata.deletion_timestamp]

    def jobs_of(self, training_uri: str) -> list[Any]:
        """The Jobs of a training."""
        found = self.batch.list_namespaced_job(self.jobs).items
        return [job for job in found if training_uri in yaml.safe_dump(job.metadata.annotations or {})]

    def pods_of_job(self, name: str) -> list[Any]:
        """A training Job's pods, the newest last; those that ended and those that are ending are among them."""
        selector = f"batch.kubernetes.io/job-name={name}"
        pods = self.core.list_namespaced_pod(self.jobs, label_selector=selector).items
        return sorted(pods, key=lambda pod: pod.metadata.creation_timestamp)

    def _helm(self, verb: str, **values: Any) -> None:
        self._values = _merged(self._values, values)
        path = self.folder / "values.yaml"
        path.write_text(yaml.safe_dump(self._values))
        ended = self.helm.run(verb, self.name, str(CHART), "--namespace", self.namespace, "--values", str(path))
        assert ended.returncode == 0, ended.stderr


def command(environment: Mapping[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `facefoundry` on this machine."""
    return subprocess.run(
        [sys.executable, "-m", "facefoundry", *map(str, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )


def store(environment: Mapping[str, str]) -> Store:
    """The release's store, through its port-forward."""
    known = {
        key.removeprefix("FACEFOUNDRY_STORE_").lower(): value
        for key, value in environment.items()
        if key.startswith("FACEFOUNDRY_STORE_")
    }
    return Store(read(StoreSettings, **known))


def kill_worker(pod: Any) -> None:
    """Kill a pod's worker with SIGKILL from outside, as its image may lack the means."""
    uid = pod.metadata.uid
    killed = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            inside = uid in (process / "cgroup").read_text()
            command_line = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if inside and b"services.trainer.worker" in command_line:
            os.kill(int(process.name), 9)
            killed.append(process.name)
    if not killed:
        pytest.skip("the node's processes cannot be seen from here")


def _kubectl() -> str:
    found = shutil.which("kubectl")
    if not found:
        pytest.skip("kubectl is not here")
    return found


def _merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(values)
    for key, value in changes.items():
        known = made.get(key)
        made[key] = _merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return made


@contextmanager
def _absent_is_fine() -> Iterator[None]:
    try:
        yield
    except client.ApiException as error:
        if error.status != 404:
            raise
