"""A release of the chart without running pods: what the API server makes of its objects holds all the same."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from services.trainer.backends.kubernetes.template import training_job
from tests.cluster.workers import need_cluster
from tests.helm.chart import CHART, Helm

Job = dict[str, Any]
SERVICES = ("extractor", "trainer", "converter")
# Pods that no node takes cost nothing, whatever their number.
_NOWHERE = [f"{service}.nodeSelector.no-such-label=x" for service in SERVICES]


@dataclass
class Installation:
    """One `helm install`, and what the trainer's account may do there."""

    helm: Helm
    namespace: str
    jobs: str

    @property
    def account(self) -> str:
        """The trainer's user name."""
        return f"system:serviceaccount:{self.namespace}:ff-facefoundry-trainer"

    def upgrade(self, *values: str, chart: Path = CHART, options: tuple[str, ...] = ()) -> str:
        """`helm upgrade` with these values only; returns what helm refused, empty if nothing."""
        return self._helm("upgrade", chart, *values, options=options)

    def install(self, *values: str, chart: Path = CHART) -> None:
        """`helm install`."""
        refused = self._helm("install", chart, *values)
        assert not refused, refused

    def _helm(self, verb: str, chart: Path, *values: str, options: tuple[str, ...] = ()) -> str:
        known = [f"jobs.namespace={self.jobs}", "store.existingSecret=store", "store.endpoint=127.0.0.1:9", *_NOWHERE]
        arguments = [item for value in (*known, *values) for item in ("--set", value)]
        ended = self.helm.run(verb, "ff", str(chart), "--namespace", self.namespace, *arguments, *options)
        return ended.stderr if ended.returncode else ""

    def replicas(self, service: str) -> int:
        """The number of pods that the service's Deployment asks for."""
        deployment = client.AppsV1Api().read_namespaced_deployment(f"ff-facefoundry-{service}", self.namespace)
        return int(deployment.spec.replicas)

    def scale(self, service: str, number: int, by: str = "kubectl") -> None:
        """Set the number of pods as `kubectl scale` and autoscalers do.

        Args:
            service: The service.
            number: Number of pods.
            by: The name under which the API server records the change.
        """
        client.AppsV1Api().patch_namespaced_deployment_scale(
            f"ff-facefoundry-{service}", self.namespace, {"spec": {"replicas": number}}, field_manager=by
        )

    def job(self, gpus: int = 1) -> Job:
        """The Job that this installation's trainer would create."""
        config_map = client.CoreV1Api().read_namespaced_config_map("ff-facefoundry-training-job", self.namespace)
        template = yaml.safe_load(config_map.data["training-job.yaml"])
        return training_job(template, "a-job", "s3://facefoundry/trainings/x/attempt.json", "nvidia.com/gpu", gpus)

    def create(self, job: Job, namespace: str | None = None) -> str:
        """Create it as the trainer, without effect; returns the refusal, empty when it was taken."""
        as_trainer = client.ApiClient()
        as_trainer.set_default_header("Impersonate-User", self.account)
        try:
            client.BatchV1Api(as_trainer).create_namespaced_job(namespace or self.jobs, job, dry_run="All")
        except ApiException as error:
            return str(error.body)
        return ""

    def may(self, verb: str, resource: str, namespace: str, group: str = "", account: str | None = None) -> bool:
        """Whether an account has a right."""
        attributes = {"verb": verb, "resource": resource, "namespace": namespace, "group": group}
        review = {"spec": {"user": account or self.account, "resourceAttributes": attributes}}
        answer = client.AuthorizationV1Api().create_subject_access_review(review)
        return bool(answer.status.allowed)


@contextmanager
def installation(helm: Helm, *values: str, chart: Path = CHART) -> Iterator[Installation]:
    """Install the chart in a namespace of its own for the time of the block."""
    need_cluster()
    core = client.CoreV1Api()
    namespace = f"facefoundry-test-{secrets.token_hex(4)}"
    made = Installation(helm, namespace, f"{namespace}-jobs")
    core.create_namespace({"metadata": {"name": namespace}})
    try:
        made.install(*values, chart=chart)
        yield made
    finally:
        helm.run("uninstall", "ff", "--namespace", namespace)
        for name in (namespace, made.jobs):
            try:
                core.delete_namespace(name)
            except ApiException as error:
                if error.status != 404:
                    raise
