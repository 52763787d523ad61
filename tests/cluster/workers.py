"""Light workers on a real cluster: a namespace of their own, Jobs that behave as their mode says, least rights."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from kubernetes import client, config

from services.trainer.backends.base import Diagnosis, Job, JobState, TrainingBackend
from services.trainer.backends.kubernetes.backend import KubernetesBackend
from services.trainer.backends.kubernetes.settings import KubernetesSettings
from tests.waiting import wait_until

TEMPLATE = Path(__file__).resolve().parents[2] / "helm/facefoundry/files/training-job.yaml"
# Any image with a shell and nc; the cluster must have it or be able to fetch it.
IMAGE = os.environ.get("FACEFOUNDRY_CLUSTER_IMAGE", "localhost/busybox:1")

_SCRIPT = r"""
count() { until n=$(nc "$COUNTER" 8000 </dev/null) && [ -n "$n" ]; do sleep 1; done; echo "$n"; }
case "$MODE" in
done) exit 0 ;;
report) echo '{"reason":"NO_FACES","message":"There is no face.","iteration":3}' >/dev/termination-log; exit 65 ;;
crash) exit 1 ;;
interrupted) exit 75 ;;
hang) trap 'exit 75' TERM; sleep 600 & wait ;;
stubborn) trap '' TERM; sleep 600; sleep 600 ;;
"interrupted twice") [ "$(count)" -gt 2 ] || exit 75 ;;
"killed once") [ "$(count)" -gt 1 ] || exit 137 ;;
memory) head -c 200m /dev/zero | tail ;;
scratch) head -c 40m /dev/zero >/tmp/file; sleep 600 & wait ;;
*) exit 64 ;;
esac
"""
_COUNTER = 'n=1; while true; do echo "$n" | nc -l -p 8000; n=$((n + 1)); done'

# What the trainer's account may do, and no more; the chart's Role says the same where trainings are in a queue.
RULES = [
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "list", "watch", "delete"]},
    {"apiGroups": [""], "resources": ["pods", "events"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["kueue.x-k8s.io"], "resources": ["workloads"], "verbs": ["list", "watch"]},
    {
        "apiGroups": ["visibility.kueue.x-k8s.io"],
        "resources": ["localqueues/pendingworkloads"],
        "verbs": ["get"],
    },
]


def need_cluster() -> None:
    """Skip outside `make test-cluster`: a KUBECONFIG alone may name a cluster that nobody meant to test on."""
    if not os.environ.get("FACEFOUNDRY_TEST_CLUSTER"):
        pytest.skip("needs a cluster: make test-cluster")
    config.load_kube_config(os.environ["KUBECONFIG"])


Make = Callable[..., KubernetesBackend]
"""Type of the fixture that makes a backend for workers of a mode."""


class ClusterWorkers:
    """A namespace with restricted Pod Security, and an account of the trainer's that may do only what it must."""

    def __init__(self, folder: Path) -> None:
        self.namespace = f"facefoundry-test-{secrets.token_hex(4)}"
        self.core, self.batch = client.CoreV1Api(), client.BatchV1Api()
        self._folder = folder
        self._made: list[KubernetesBackend] = []
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.core.create_namespace({"metadata": {"name": self.namespace, "labels": labels}})
        rights = client.RbacAuthorizationV1Api()
        account = {"kind": "ServiceAccount", "name": "trainer", "namespace": self.namespace}
        self.core.create_namespaced_service_account(self.namespace, {"metadata": {"name": "trainer"}})
        rights.create_namespaced_role(self.namespace, {"metadata": {"name": "trainer"}, "rules": RULES})
        rights.create_namespaced_role_binding(
            self.namespace,
            {
                "metadata": {"name": "trainer"},
                "subjects": [account],
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "trainer"},
            },
        )
        wait_until(lambda: "default" in [account.metadata.name for account in self._accounts()])
        self.kubeconfig = self._log_in()

    def template(self, mode: str, **changes: Any) -> Path:
        """The shipped Job with a light worker that behaves as the mode says.

        Args:
            mode: A word of the script above.
            changes: `grace_seconds`, `restarts`; `edit` changes the template.
        """
        job = yaml.safe_load(TEMPLATE.read_text())
        spec = job["spec"]
        spec["backoffLimit"] = changes.get("restarts", 2)
        pod = spec["template"]["spec"]
        pod["terminationGracePeriodSeconds"] = max(1, round(changes.get("grace_seconds", 2)))
        (worker,) = pod["containers"]
        worker["image"] = IMAGE
        worker["command"] = ["sh", "-c", _SCRIPT, "worker"]
        variables = [{"name": "MODE", "value": mode}]
        if mode in ("interrupted twice", "killed once"):
            variables.append({"name": "COUNTER", "value": self._count(pod)})
        worker["env"] = variables
        worker["resources"] = {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}}
        changes.get("edit", lambda _: None)(job)
        path = self._folder / f"job-{secrets.token_hex(4)}.yaml"
        path.write_text(yaml.safe_dump(job))
        return path

    def backend(self, mode: str, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> KubernetesBackend:
        """A backend of the trainer's account for such workers.

        Args:
            mode: As above.
            monkeypatch: Sets KUBECONFIG.
            changes: As above, and `gpus`, `gpu_resource`, `namespace`, `kubeconfig`.
        """
        monkeypatch.setenv("KUBECONFIG", str(changes.get("kubeconfig", self.kubeconfig)))
        settings = KubernetesSettings(
            job_template=self.template(mode, **changes),
            jobs_namespace=changes.get("namespace", self.namespace),
            gpus=changes.get("gpus", 0),
            gpu_resource=changes.get("gpu_resource", "nvidia.com/gpu"),
        )
        self._made.append(KubernetesBackend(settings))
        return self._made[-1]

    def runs(self, name: str) -> int:
        """Workers that were started for a job; a Job keeps its pods until it is deleted."""
        return len(self.pods(name))

    def pods(self, name: str) -> list[Any]:
        """The pods of a job."""
        selector = f"batch.kubernetes.io/job-name={name}"
        return list(self.core.list_namespaced_pod(self.namespace, label_selector=selector).items)

    def delete_jobs(self) -> None:
        """Delete all Jobs, a thousand of them too, and wait until the cluster is idle for the next test."""
        with suppress(client.ApiException):  # a call that is cut off has begun it
            self.batch.delete_collection_namespaced_job(self.namespace, propagation_policy="Background")
        wait_until(lambda: not self.core.list_namespaced_pod(self.namespace, limit=1).items, seconds=600)

    def close(self) -> None:
        """Delete everything that was made in the cluster."""
        for backend in self._made:
            backend.close()
        self.core.delete_namespace(self.namespace, propagation_policy="Background")

    def _count(self, like: dict[str, Any]) -> str:
        """Address of a pod that says how many times it was asked."""
        container = {**like["containers"][0], "command": ["sh", "-c", _COUNTER], "args": []}
        for field in ("env", "volumeMounts"):
            container.pop(field, None)
        container["resources"] = {"requests": {"cpu": "10m", "memory": "16Mi"}}
        name = f"counter-{secrets.token_hex(4)}"
        spec = {"securityContext": like["securityContext"], "containers": [container], "restartPolicy": "Never"}
        spec["terminationGracePeriodSeconds"] = 0
        self.core.create_namespaced_pod(self.namespace, {"metadata": {"name": name}, "spec": spec})
        wait_until(lambda: self.core.read_namespaced_pod(name, self.namespace).status.phase == "Running")
        return str(self.core.read_namespaced_pod(name, self.namespace).status.pod_ip)

    def _accounts(self) -> list[Any]:
        return list(self.core.list_namespaced_service_account(self.namespace).items)

    def _log_in(self) -> Path:
        ticket = self.core.create_namespaced_service_account_token(
            "trainer", self.namespace, {"spec": {"audiences": [], "expirationSeconds": 7200}}
        )
        known = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
        (context,) = (entry["context"] for entry in known["contexts"] if entry["name"] == known["current-context"])
        (cluster,) = (entry for entry in known["clusters"] if entry["name"] == context["cluster"])
        written = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [cluster],
            "users": [{"name": "trainer", "user": {"token": ticket.status.token}}],
            "contexts": [{"name": "x", "context": {"cluster": cluster["name"], "user": "trainer"}}],
            "current-context": "x",
        }
        path = self._folder / "kubeconfig"
        path.write_text(yaml.safe_dump(written))
        return path


class Detour:
    """A way to the API server that can be closed and opened again."""

    def __init__(self, kubeconfig: Path) -> None:
        known = yaml.safe_load(kubeconfig.read_text())
        cluster = known["clusters"][0]["cluster"]
        server = urlsplit(cluster["server"])
        self._server = (str(server.hostname), server.port or 443)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open = True
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()
        port = self._listener.getsockname()[1]
        cluster |= {"server": f"https://127.0.0.1:{port}", "tls-server-name": server.hostname}
        self.kubeconfig = kubeconfig.with_name("detour")
        self.kubeconfig.write_text(yaml.safe_dump(known))

    def __enter__(self) -> Detour:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._listener.close()

    def close(self) -> None:
        """Cut what is open, and refuse what comes."""
        self._open = False
        for connection in self._sockets:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._sockets.clear()

    def open(self) -> None:
        """Let traffic through again."""
        self._open = True

    def _accept(self) -> None:
        while True:
            try:
                near = self._listener.accept()[0]
            except OSError:
                return
            if not self._open:
                near.close()
                continue
            far = socket.create_connection(self._server)
            self._sockets += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for connection in (source, sink):
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


def diagnosis(backend: TrainingBackend, reason: str, name: str = "job", seconds: float = 60.0) -> Diagnosis:
    """Return a job's diagnosis once it has this reason; a minute is what is promised."""

    def found() -> Diagnosis | None:
        job = backend.get(name)
        return job.diagnosis if job and job.diagnosis and job.diagnosis.reason == reason else None

    diagnosed = wait_until(found, seconds, every=0.1, failure=lambda: backend.get(name))
    assert diagnosed
    return diagnosed


def wait_for(backend: TrainingBackend, name: str, *states: JobState, seconds: float = 20.0) -> Job:
    """Return a job once it is in one of these states."""

    def reached() -> Job | None:
        job = backend.get(name)
        return job if job is not None and job.state in states else None

    job = wait_until(reached, seconds, failure=lambda: backend.get(name))
    assert job
    return job
