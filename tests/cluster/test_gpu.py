"""GPUs by dynamic resource allocation (DRA), with the words of a real scheduler."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client

from services.trainer.backends.base import JobState
from tests.cluster.devices import claims_of, device_class
from tests.cluster.installation import installation
from tests.cluster.workers import ClusterWorkers, Make, diagnosis, wait_for
from tests.helm.chart import CHART, ROOT, find_helm, trainers_job
from tests.waiting import wait_until

URI = "s3://bucket/trainings/x/attempt.json"


def make_template(namespace: str, device_class: str) -> None:
    """Make the ResourceClaimTemplate `gpu` for one device of a class."""
    request = {"name": "gpu", "exactly": {"deviceClassName": device_class}}
    body = {"metadata": {"name": "gpu"}, "spec": {"spec": {"devices": {"requests": [request]}}}}
    client.ResourceV1Api().create_namespaced_resource_claim_template(namespace, body)


class Devices:
    """A DeviceClass of a name of its own, whose devices also count as a resource."""

    def __init__(self, cluster: ClusterWorkers) -> None:
        self.name = f"gpu-{cluster.namespace}"
        self.resource = f"example.com/{cluster.namespace}"
        self._namespace = cluster.namespace
        self._api = client.ResourceV1Api()
        selector = {"cel": {"expression": f"device.driver == '{self.name}'"}}
        spec = {"selectors": [selector], "extendedResourceName": self.resource}
        self._api.create_device_class({"metadata": {"name": self.name}, "spec": spec})

    def offer(self) -> None:
        """Make a node offer one device."""
        spec = {
            "driver": self.name,
            "nodeName": client.CoreV1Api().list_node(label_selector="type!=kwok").items[0].metadata.name,
            "pool": {"name": "pool", "generation": 1, "resourceSliceCount": 1},
            "devices": [{"name": "gpu-0"}],
        }
        self._api.create_resource_slice({"metadata": {"name": self.name}, "spec": spec})

    def limit(self, number: int) -> None:
        """Make a quota of devices of the class."""
        core = client.CoreV1Api()
        hard = {f"{self.name}.deviceclass.resource.k8s.io/devices": str(number)}
        core.create_namespaced_resource_quota(self._namespace, {"metadata": {"name": "few"}, "spec": {"hard": hard}})
        wait_until(lambda: bool(core.read_namespaced_resource_quota("few", self._namespace).status.hard))

    def remove(self) -> None:
        """Remove what is not in the namespace."""
        self._api.delete_device_class(self.name)
        for item in self._api.list_resource_slice(field_selector=f"spec.driver={self.name}").items:
            self._api.delete_resource_slice(item.metadata.name)


@pytest.fixture
def devices(cluster: ClusterWorkers) -> Iterator[Devices]:
    made = Devices(cluster)
    yield made
    made.remove()


def claim(job: dict[str, Any]) -> None:
    """Let the worker claim its GPU by the template `gpu`, as the chart does."""
    pod = job["spec"]["template"]["spec"]
    pod["resourceClaims"] = [{"name": "gpu", "resourceClaimTemplateName": "gpu"}]
    pod["containers"][0]["resources"]["claims"] = [{"name": "gpu"}]


def test_a_claim_for_which_no_device_is_free_waits_for_a_gpu(
    make: Make, cluster: ClusterWorkers, devices: Devices
) -> None:
    make_template(cluster.namespace, devices.name)
    backend = make(edit=claim)
    backend.start("job", URI)
    assert "DRA driver" in diagnosis(backend, "NO_FREE_GPU").message
    job = backend.get("job")
    assert job is not None and job.state is JobState.QUEUED


@pytest.mark.usefixtures("full")
def test_a_worker_runs_with_a_device_that_a_driver_hands_out(make: Make, cluster: ClusterWorkers) -> None:
    with device_class() as driven:
        make_template(cluster.namespace, driven)
        backend = make(edit=claim)
        backend.start("job", URI)
        wait_for(backend, "job", JobState.SUCCEEDED, seconds=120)
        assert claims_of(cluster.pods("job")) == ["gpu"]


@pytest.mark.usefixtures("full")
def test_a_resource_that_a_device_class_serves_is_taken_and_waited_for(make: Make, devices: Devices) -> None:
    devices.offer()
    backend = make(gpus=1, gpu_resource=devices.resource)
    backend.start("job", URI)
    assert "is not registered" in diagnosis(backend, "POD_NOT_STARTED").message
    backend.start("another", URI)
    assert "preempt nobody" in diagnosis(backend, "NO_FREE_GPU", "another").message


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize("by_claim", [True, False], ids=["by a claim", "by the resource"])
def test_a_full_quota_of_devices_is_a_quota(
    make: Make, cluster: ClusterWorkers, devices: Devices, by_claim: bool
) -> None:
    devices.offer()
    make_template(cluster.namespace, devices.name)
    devices.limit(0)
    backend = make(edit=claim) if by_claim else make(gpus=1, gpu_resource=devices.resource)
    backend.start("job", URI)
    assert "jobs.quota" in diagnosis(backend, "QUOTA").message


@pytest.mark.usefixtures("full")
def test_what_a_claim_lacks_is_named(make: Make, cluster: ClusterWorkers) -> None:
    backend = make(edit=claim)
    backend.start("job", URI)
    assert "'gpu'" in diagnosis(backend, "CLAIM_TEMPLATE_MISSING").message
    make_template(cluster.namespace, "no-such-class")
    assert "'no-such-class'" in diagnosis(backend, "DEVICE_CLASS_MISSING", seconds=120).message


@pytest.mark.usefixtures("full")
def test_the_policy_takes_the_chart_s_own_claim_and_no_other() -> None:
    values = ("worker.gpu.claim.deviceClass=gpu.example.com", "worker.gpu.kernelCacheClaim=kernels")
    with installation(find_helm(), *values) as installed:
        job = installed.job(gpus=0)
        assert installed.create(job) == ""
        (wanted,) = job["spec"]["template"]["spec"]["resourceClaims"]

        def refused() -> bool:
            wanted["resourceClaimTemplateName"] = "another"
            return "ResourceClaimTemplate" in installed.create(job)

        wait_until(refused)


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize(
    "path",
    [*sorted((ROOT / "k8s/examples").glob("gpu-*-values.yaml")), CHART / "values.yaml"],
    ids=lambda path: path.stem,
)
def test_the_api_server_takes_what_the_chart_makes_of_the_values_and_the_job_that_the_trainer_makes_of_it(
    cluster: ClusterWorkers, path: Path
) -> None:
    store = "store.existingSecret=store,store.endpoint=127.0.0.1:9,jobs.createNamespace=false"
    options = ["--set", f"{store},jobs.namespace={cluster.namespace}", "--values", str(path), "--dry-run=server"]
    ended = find_helm().run("install", "ff", str(CHART), "--namespace", "default", "--output", "json", *options)
    assert ended.returncode == 0, ended.stderr
    objects = list(filter(None, yaml.safe_load_all(json.loads(ended.stdout)["manifest"])))
    job = trainers_job(objects, "job", URI)
    cluster.batch.create_namespaced_job(cluster.namespace, job, dry_run="All", field_validation="Strict")
