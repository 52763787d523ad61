"""How a worker gets its GPU: the Job, the policy that lets it through, and what NOTES.txt says."""

from __future__ import annotations

from typing import Any

import pytest

from tests.helm.chart import ROOT, Helm, environment, invalid, named, pods, trainers_job, training_job

BASE: dict[str, Any] = {"store": {"endpoint": "s3.example.org", "existingSecret": "facefoundry-store"}}


def _with(**gpu: object) -> dict[str, Any]:
    return BASE | {"worker": {"gpu": gpu}}


CLAIM = _with(claim={"deviceClass": "gpu.example.com"})


def _policy(helm: Helm, values: dict[str, Any]) -> str:
    """All that the admission policy demands."""
    policy = named(helm.objects(values), "ValidatingAdmissionPolicy", "facefoundry-ff-facefoundry-trainer")
    return " ".join(rule["expression"] for rule in policy["spec"]["validations"])


@pytest.mark.parametrize(
    ("values", "limit"),
    [
        ("BASE", "nvidia.com/gpu"),
        ("gpu-claim", ""),
        ("gpu-dra-resource", "nvidia.com/gpu"),
        ("gpu-mig", "nvidia.com/mig-1g.18gb"),
        ("gpu-mig-claim", ""),
        ("gpu-time-slicing", "nvidia.com/gpu.shared"),
        ("gpu-mps", "nvidia.com/gpu.shared"),
        ("gpu-kernel-cache", "nvidia.com/gpu"),
        ("gpu-none", ""),
    ],
)
def test_the_job_that_the_trainer_makes_of_it_is_valid(helm: Helm, values: str, limit: str):
    files = [] if values == "BASE" else [ROOT / f"k8s/examples/{values}-values.yaml"]
    job = trainers_job(helm.objects(BASE, *files), "a", "s3://a/b")
    assert invalid(job) == []
    resources = job["spec"]["template"]["spec"]["containers"][0]["resources"]
    assert [name for name in resources["limits"] if name.startswith("nvidia.com/")] == [limit] * bool(limit)
    assert ("claims" in resources) == values.endswith("claim")


def test_another_claim_is_another_template_because_none_can_be_changed(helm: Helm):
    def made(values):
        (found,) = (item for item in helm.objects(values) if item["kind"] == "ResourceClaimTemplate")
        assert found["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
        (request,) = found["spec"]["spec"]["devices"]["requests"]
        return found["metadata"]["name"], request["exactly"]

    two = BASE | {"worker": {"gpu": {"count": 2, "claim": {"deviceClass": "gpu.example.com"}}}}
    name, exactly = made(CLAIM)
    other, twice = made(two | {"jobs": {"policy": {"maxGPUs": 2}}})
    assert exactly == {"deviceClassName": "gpu.example.com", "count": 1} and twice["count"] == 2
    assert name != other


def test_the_policy_lets_only_the_claim_of_the_values_through(helm: Helm):
    assert "!has(variables.pod.resourceClaims)" in _policy(helm, BASE)
    assert "resourceClaimTemplateName == " not in _policy(helm, BASE)
    assert "resourceClaimTemplateName == 'mine'" in _policy(helm, _with(claim={"template": "mine"}))


@pytest.mark.parametrize(
    ("values", "most"), [(BASE, "1"), (CLAIM, "0"), (_with(claim={"template": "mine"}), "0"), (_with(count=0), "0")]
)
def test_the_policy_lets_gpus_through_only_where_workers_request_them(helm: Helm, values, most):
    limit = f"r == 'nvidia.com/gpu' && quantity(c.resources.limits[r]).compareTo(quantity('{most}')) <= 0"
    assert limit in _policy(helm, values)


def test_a_volume_for_compiled_kernels_outlives_jobs(helm: Helm):
    values = _with(kernelCacheClaim="kernels")
    pod = training_job(helm.objects(values))["spec"]["template"]["spec"]
    (volume,) = (volume for volume in pod["volumes"] if "persistentVolumeClaim" in volume)
    (mount,) = (mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == volume["name"])
    assert volume["persistentVolumeClaim"]["claimName"] == "kernels"
    assert environment(pod["containers"][0])["CUDA_CACHE_PATH"] == mount["mountPath"]
    assert "claimName == 'kernels'" in _policy(helm, values)
    without = training_job(helm.objects(BASE))["spec"]["template"]["spec"]["containers"][0]
    assert "CUDA_CACHE_PATH" not in environment(without)
    assert "persistentVolumeClaim" not in _policy(helm, BASE)


def test_pods_run_on_the_architectures_that_the_images_were_built_for(helm: Helm):
    def architectures(values):
        found = []
        for _, pod in pods(helm.objects({"minio": {"enabled": True}, **values})):
            if "affinity" in pod:
                (term,) = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
                    "nodeSelectorTerms"
                ]
                found += [(label["key"], label["values"]) for label in term["matchExpressions"]]
        return found

    assert architectures({}) == [("kubernetes.io/arch", ["amd64"])] * 7
    assert architectures({"image": {"architectures": ["amd64", "arm64"]}})[0][1] == ["amd64", "arm64"]
    assert architectures({"image": {"architectures": []}}) == []


@pytest.mark.parametrize(
    ("values", "words", "absent"),
    [
        (BASE, ("allocatable.nvidia\\.com/gpu", "resourceslices", "nodes list nothing"), "claims its GPU"),
        (CLAIM, ("claims its GPU", "resourceslices", "resourceclaims"), "allocatable"),
        (_with(count=0), ("train on the CPU",), "resourceslices"),
    ],
)
def test_the_message_of_an_installation_shows_the_gpus_of_both_kinds(helm: Helm, values, words, absent):
    message = helm.install_message(values)
    assert all(word in message for word in words) and absent not in message, message


def test_values_from_before_a_key_was_added_render_as_its_default(helm: Helm):
    """`helm upgrade --reuse-values` gives the values of the previous chart, without the keys of this one."""
    # Helm removes a key that is null.
    absent = _with(claim=None, kernelCacheClaim=None) | {
        "image": {"architectures": None},
        "jobs": {"podSecurity": None},
    }
    labels = named(helm.objects(absent), "Namespace", "ff-facefoundry-jobs")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
