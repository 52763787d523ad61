"""The template of the Jobs of submitted runs, and the rights to submit."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.helm.chart import CHART, Helm, environment, invalid, named, pods, unrestricted
from tests.helm.test_templates import BASE, MINIO, SERVICES

EVERYTHING = CHART / "ci/everything-values.yaml"


def _job(objects: list[dict[str, Any]]) -> dict[str, Any]:
    (text,) = (item["data"]["dataset-job.yaml"] for item in objects if "dataset-job.yaml" in (item.get("data") or {}))
    return {**yaml.safe_load(text)}


def test_the_template_is_valid_and_restricted_in_every_scenario(helm: Helm):
    for values in (BASE, MINIO, EVERYTHING):
        job = _job(helm.objects(values))
        job["metadata"]["name"] = "dataset-faces"
        assert invalid(job) == []
        assert [wrong for name, pod in pods([job]) for wrong in unrestricted(name, pod)] == []


def test_it_calls_the_services_with_the_keys_of_its_own_account(helm: Helm):
    objects = helm.objects(EVERYTHING)
    pod = _job(objects)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    variables = environment(container)
    for service in SERVICES:
        host = variables[f"FACEFOUNDRY_{service.upper()}_ADDRESS"].partition(".")[0]
        assert named(objects, "Service", host)
    assert variables["FACEFOUNDRY_STORE_SECRET_KEY"] == {"secretKeyRef": {"name": "client-store", "key": "secret-key"}}
    assert variables["FACEFOUNDRY_CA_FILE"] == "/etc/facefoundry/tls/ca.crt"
    assert {volume["name"] for volume in pod["volumes"]} == {mount["name"] for mount in container["volumeMounts"]}
    assert named(objects, "ServiceAccount", pod["serviceAccountName"])["automountServiceAccountToken"] is False


def test_those_who_may_submit_are_bound_to_the_role(helm: Helm):
    objects = helm.objects(EVERYTHING)
    role = named(objects, "Role", "foundry-submitter")
    assert role["metadata"]["namespace"] == "facefoundry"
    binding = named(objects, "RoleBinding", "foundry-submitter")
    assert [(each["kind"], each.get("namespace")) for each in binding["subjects"]] == [
        ("Group", None),
        ("ServiceAccount", "workflows"),
    ]
    assert not {"secrets", "pods/exec"} & {resource for rule in role["rules"] for resource in rule["resources"]}


def test_its_pods_may_call_the_services_whoever_else_may(helm: Helm):
    clients = [{"namespaceSelector": {"matchLabels": {"team": "x"}}}]
    objects = helm.objects({**BASE, "networkPolicy": {"enabled": True, "clients": clients}})
    labels = _job(objects)["spec"]["template"]["metadata"]["labels"].items()
    for service in SERVICES:
        policy = named(objects, "NetworkPolicy", f"ff-facefoundry-{service}")
        callers = policy["spec"]["ingress"][0]["from"]
        (chosen,) = (peer["podSelector"]["matchLabels"] for peer in callers if "podSelector" in peer)
        assert chosen and chosen.items() <= labels
    egress = named(objects, "NetworkPolicy", "ff-facefoundry-dataset")["spec"]["egress"]
    assert egress[0]["ports"] == [{"protocol": "TCP", "port": 50051}]


@pytest.mark.parametrize("component", [*SERVICES, "worker"])
def test_it_needs_an_account_of_its_own_where_another_component_has_one(helm: Helm, component: str):
    own = {**BASE, component: {"storeSecret": "own"}}
    assert f"{component}.storeSecret is set, but dataset.storeSecret is empty" in helm.refusal(own)
    helm.objects({**own, "dataset": {"storeSecret": "client-store"}})
