"""k8s/: the rendered chart, and the examples."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helm.chart import CHART, ROOT, Helm, environment, invalid, named, pods, training_job, unrestricted

EXAMPLES = ROOT / "k8s/examples"
# Groups whose schemas do not come with Kubernetes; the tests below look at what matters in them.
STORE = {"store": {"endpoint": "s3.example.org:443", "existingSecret": "facefoundry-store"}}
FOREIGN = {"kueue.x-k8s.io/v1beta2", "keda.sh/v1alpha1", "cert-manager.io/v1", "argoproj.io/v1alpha1"}


def _read(name: str) -> list[dict[str, Any]]:
    return [item for item in yaml.safe_load_all((EXAMPLES / name).read_text()) if item]


def _release(helm: Helm, **values) -> list[dict[str, Any]]:
    """Render the chart as the examples expect it: release and namespace `facefoundry`."""
    return helm.objects(
        {
            "fullnameOverride": "facefoundry",
            **STORE,
            **values,
        }
    )


def test_the_rendered_chart_is_current(helm: Helm):
    command = [
        "template",
        "facefoundry",
        str(CHART),
        "--namespace",
        "facefoundry",
        "--values",
        str(ROOT / "k8s/values.yaml"),
        "--skip-tests",
    ]
    result = helm.run(*command)
    assert result.returncode == 0, result.stderr
    assert result.stdout == (ROOT / "k8s/facefoundry.yaml").read_text(), "run `make generate`"


@pytest.mark.parametrize(
    "path", sorted(set(EXAMPLES.glob("*.yaml")) - {EXAMPLES / "kubeflow-pipeline.yaml"}), ids=lambda path: path.stem
)
def test_an_example_is_valid(path: Path, helm: Helm):
    objects = helm.objects(STORE, path) if path.stem.endswith("-values") else _read(path.name)
    assert objects
    assert [wrong for item in objects if item["apiVersion"] not in FOREIGN for wrong in invalid(item)] == []
    assert [wrong for name, pod in pods(objects) for wrong in unrestricted(name, pod)] == []


def test_every_example_is_listed():
    page = (ROOT / "k8s/README.md").read_text()
    assert all(f"(examples/{path.name})" in page for path in EXAMPLES.iterdir())


def test_kueue_prefers_spot_gpus_and_its_queue_is_that_of_the_jobs(helm: Helm):
    objects = _read("kueue.yaml")
    queue = named(objects, "ClusterQueue", "trainings")["spec"]
    (group,) = queue["resourceGroups"]
    assert [flavor["name"] for flavor in group["flavors"]] == ["gpu-spot", "gpu-on-demand"]
    for flavor in group["flavors"]:
        assert named(objects, "ResourceFlavor", flavor["name"])["spec"]["nodeLabels"]
        assert [item["name"] for item in flavor["resources"]] == group["coveredResources"]
    local = named(objects, "LocalQueue", "trainings")
    job = training_job(_release(helm, worker={"queueName": local["metadata"]["name"]}))
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == local["metadata"]["name"]
    assert local["spec"]["clusterQueue"] == "trainings"
    assert queue["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": local["metadata"]["namespace"]}
    resources = job["spec"]["template"]["spec"]["containers"][0]["resources"]
    assert {*resources["requests"], *resources["limits"]} <= set(group["coveredResources"])


def test_the_certificate_has_the_names_of_the_services(helm: Helm):
    certificate = named(_read("cert-manager.yaml"), "Certificate", "facefoundry-tls")["spec"]
    test = named(
        _release(helm, tls={"existingSecret": certificate["secretName"], "mutual": True}), "Pod", "facefoundry-test"
    )
    addresses = [
        value for name, value in environment(test["spec"]["containers"][0]).items() if name.endswith("_ADDRESS")
    ]
    assert len(addresses) == 3
    assert {address.partition(":")[0] for address in addresses} <= set(certificate["dnsNames"])
    assert {"server auth", "client auth"} <= set(certificate["usages"])


def test_keda_scales_a_deployment_of_the_chart_on_slots(helm: Helm):
    (scaled,) = _read("keda.yaml")
    named(_release(helm), "Deployment", scaled["spec"]["scaleTargetRef"]["name"])
    (trigger,) = scaled["spec"]["triggers"]
    assert "facefoundry_slots_in_use" in trigger["metadata"]["query"]
    assert trigger["metadata"]["ignoreNullValues"] == "false"
    assert 0 < Fraction(trigger["metadata"]["threshold"]) < 1


@pytest.mark.parametrize("sharing", ["time-slicing", "mps"])
def test_a_shared_gpu_has_the_name_that_its_values_ask_for(sharing: str):
    config = yaml.safe_load(_read(f"gpu-{sharing}.yaml")[0]["data"]["config.yaml"])["sharing"]
    ((_, shared),) = config.items()
    (values,) = _read(f"gpu-{sharing}-values.yaml")
    assert shared["renameByDefault"]
    assert values["worker"]["gpu"]["resource"] == f"{shared['resources'][0]['name']}.shared"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("gpu-*-values.yaml")), ids=lambda path: path.stem)
def test_a_worker_asks_for_its_gpu_once_by_the_resource_or_by_a_claim(path: Path, helm: Helm):
    """The trainer adds the resource to the Job; a claim is in the template."""
    (values,) = _read(path.name)
    objects = helm.objects(STORE, path)
    trainer = named(objects, "Deployment", "ff-facefoundry-trainer")["spec"]["template"]["spec"]["containers"][0]
    pod = training_job(objects)["spec"]["template"]["spec"]
    count, by_claim = values["worker"]["gpu"].get("count", 1), "claim" in values["worker"]["gpu"]
    assert environment(trainer)["FACEFOUNDRY_GPUS"] == str(0 if by_claim else count)
    required = environment(pod["containers"][0]).get("FACEFOUNDRY_WORKER_REQUIRE_GPU")
    assert required == ("true" if count else None)
    assert [claim["name"] for claim in pod["containers"][0]["resources"].get("claims", [])] == ["gpu"] * by_claim
    made = [item["metadata"] for item in objects if item["kind"] == "ResourceClaimTemplate"]
    made += [item["metadata"] for item in _read("gpu-mig-claim.yaml")]
    for claim in pod.get("resourceClaims", []):
        assert claim["resourceClaimTemplateName"] in [metadata["name"] for metadata in made]


def test_the_kernel_cache_is_the_claim_that_its_values_ask_for(helm: Helm):
    (claim,), (values,) = _read("gpu-kernel-cache.yaml"), _read("gpu-kernel-cache-values.yaml")
    assert claim["metadata"]["name"] == values["worker"]["gpu"]["kernelCacheClaim"]
    objects = _release(helm, **values)
    volumes = [
        volume.get("persistentVolumeClaim") for volume in training_job(objects)["spec"]["template"]["spec"]["volumes"]
    ]
    assert {"claimName": claim["metadata"]["name"]} in volumes
    assert named(objects, "Namespace", claim["metadata"]["namespace"])


def test_a_class_that_serves_the_resource_has_the_name_that_its_values_ask_for():
    (offered,), (values,) = _read("gpu-dra-resource.yaml"), _read("gpu-dra-resource-values.yaml")
    assert offered["spec"]["extendedResourceName"] == values["worker"]["gpu"]["resource"]
