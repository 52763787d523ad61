"""The web page of the chart: what it renders, and that its command serves a bucket with the page's account."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from facefoundry.local.process import free_ports
from facefoundry.local.store import Account, ObjectStore
from facefoundry.settings import StoreSettings
from facefoundry.storage.store import Store
from tests.facefoundry.dataset.made_in_bucket import make, name_store, write
from tests.facefoundry.webpage.serving import ask
from tests.helm.chart import CHART, Helm, environment, invalid, named, pods, unrestricted
from tests.helm.test_templates import BASE, MINIO
from tests.processes import environment_of
from tests.waiting import wait_until

EVERYTHING = CHART / "ci/everything-values.yaml"
PAGE: dict[str, Any] = {**BASE, "webPage": {"enabled": True}}
NAME = "ff-facefoundry-web-page"


def _pod(objects: list[dict[str, Any]], name: str = NAME) -> dict[str, Any]:
    return {**named(objects, "Deployment", name)["spec"]["template"]["spec"]}


def _page_objects(objects: list[dict[str, Any]]) -> set[str]:
    labelled = [item for item in objects if "web-page" in item["metadata"]["name"]]
    return {item["kind"] for item in labelled}


def test_it_is_off_by_default(helm: Helm):
    restricted = {"networkPolicy": {"enabled": True, "viewers": [{"podSelector": {}}]}}
    assert _page_objects(helm.objects({**BASE, **restricted})) == set()
    assert _page_objects(helm.objects(PAGE)) == {"Deployment", "Service", "ServiceAccount"}
    assert "web-page" not in helm.install_message(BASE)


@pytest.mark.parametrize(
    "values", [PAGE, {**MINIO, **PAGE, "store": {}}, EVERYTHING], ids=["own", "minio", "everything"]
)
def test_its_objects_are_valid_and_its_pod_is_restricted_and_has_no_token(helm: Helm, values):
    objects = [item for item in helm.objects(values) if "web-page" in item["metadata"]["name"]]
    assert [wrong for item in objects for wrong in invalid(item)] == []
    ((name, pod),) = pods(objects)
    assert unrestricted(name, pod) == []
    assert pod["automountServiceAccountToken"] is False
    assert named(objects, "ServiceAccount", pod["serviceAccountName"])["automountServiceAccountToken"] is False
    (deployment,) = (item for item in objects if item["kind"] == "Deployment")
    assert deployment["spec"]["replicas"] == 1


def test_the_service_leads_to_the_port_of_the_page_and_probes_ask_for_its_health(helm: Helm):
    objects = helm.objects(PAGE)
    (container,) = _pod(objects)["containers"]
    service = named(objects, "Service", NAME)["spec"]
    assert service["type"] == "ClusterIP"
    labels = named(objects, "Deployment", NAME)["spec"]["template"]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items()
    (port,), (served,) = container["ports"], service["ports"]
    assert served["targetPort"] == port["name"]
    assert f"--port={port['containerPort']}" in container["args"] and "--host=0.0.0.0" in container["args"]
    for probe in ("readinessProbe", "livenessProbe"):
        assert (container[probe]["httpGet"]["path"], container[probe]["httpGet"]["port"]) == ("/healthz", port["name"])


def test_it_has_the_store_and_its_authority_and_nothing_of_the_services(helm: Helm):
    pod = _pod(helm.objects(EVERYTHING), "foundry-web-page")
    (container,) = pod["containers"]
    variables = environment(container)
    assert variables["FACEFOUNDRY_STORE_ACCESS_KEY"] == {
        "secretKeyRef": {"name": "web-page-store", "key": "access-key"}
    }
    assert variables["FACEFOUNDRY_STORE_CA_FILE"] == "/etc/facefoundry/store-ca/ca.crt"
    assert not [name for name in variables if not name.startswith("FACEFOUNDRY_STORE_")]
    assert {volume["name"] for volume in pod["volumes"]} == {"tmp", "store-ca"}, "no key of the services"
    assert {mount["name"] for mount in container["volumeMounts"]} == {"tmp", "store-ca"}
    assert pod["priorityClassName"] == "important"


def test_only_viewers_reach_it_and_it_reaches_dns_and_the_store_only(helm: Helm):
    objects = helm.objects(EVERYTHING)
    labels = named(objects, "Deployment", "foundry-web-page")["spec"]["template"]["metadata"]["labels"].items()
    chosen = {
        item["metadata"]["name"]: item["spec"]
        for item in objects
        if item["kind"] == "NetworkPolicy"
        and item["metadata"]["namespace"] == "facefoundry"
        and item["spec"]["podSelector"]["matchLabels"].items() <= labels
    }
    assert set(chosen) == {"foundry-default", "foundry-web-page"}
    assert "ingress" not in chosen["foundry-default"] and "egress" not in chosen["foundry-web-page"]
    dns, store = chosen["foundry-default"]["egress"]
    assert {port["port"] for port in dns["ports"]} == {53}
    assert store["to"] == [{"ipBlock": {"cidr": "192.0.2.0/24"}}]
    (ingress,) = chosen["foundry-web-page"]["ingress"]
    assert ingress["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}]
    assert ingress["ports"] == [{"protocol": "TCP", "port": 8080}]


def test_without_viewers_nobody_reaches_it(helm: Helm):
    objects = helm.objects({**PAGE, "networkPolicy": {"enabled": True}})
    assert "NetworkPolicy" not in _page_objects(objects)
    default = named(
        [item for item in objects if item["metadata"].get("namespace") == "facefoundry"],
        "NetworkPolicy",
        "ff-facefoundry-default",
    )
    assert "Ingress" in default["spec"]["policyTypes"] and "ingress" not in default["spec"]


@pytest.mark.parametrize("component", ["extractor", "trainer", "converter", "worker", "dataset"])
def test_it_needs_an_account_of_its_own_where_another_component_has_one(helm: Helm, component: str):
    own = {**PAGE, "dataset": {"storeSecret": "client-store"}, component: {"storeSecret": "own"}}
    assert "webPage.storeSecret is empty" in helm.refusal(own)
    helm.objects({**own, "webPage": {"enabled": True, "storeSecret": "page"}})


@pytest.mark.parametrize("name", ["https://fakes.example.org", "fakes.example.org:8080", "*", "--local", ""])
def test_a_name_with_a_scheme_or_port_and_a_wildcard_are_refused(helm: Helm, name: str):
    assert "/webPage/hosts/0" in helm.refusal({**BASE, "webPage": {"enabled": True, "hosts": [name]}})


def test_the_message_of_the_installation_says_how_to_reach_it_and_that_it_has_no_login(helm: Helm):
    message = helm.install_message(PAGE)
    assert f"kubectl -n facefoundry port-forward service/{NAME} 8080:8080" in message
    assert "no login" in message and "ingress" in message


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreSettings]:
    """The settings of the page's account, on a store that enforces its policy and has a dataset of one pair."""
    page = Account("web-page", "a secret of the page", (CHART / "files/bucket/web-page.json").read_text())
    with ObjectStore(tmp_path_factory.mktemp("store"), accounts=[page]) as owner:
        store = Store(owner)
        with pytest.MonkeyPatch.context() as patch:
            name_store(patch, store)
            make(write(tmp_path_factory.mktemp("dataset"), 2), f"s3://{store.bucket}/datasets/six/", store)
        keys = {"access_key": SecretStr(page.access_key), "secret_key": SecretStr(page.secret_key)}
        yield owner.model_copy(update=keys)


def test_the_command_of_the_pod_serves_the_bucket_with_the_rights_of_its_account(
    helm: Helm, filled: StoreSettings, tmp_path: Path
):
    """Behind the Service, requests name it; a browser behind a port-forward asks for localhost."""
    pod = _pod(helm.objects({**BASE, "webPage": {"enabled": True, "hosts": ["fakes.example.org"]}}))
    (container,) = pod["containers"]
    (port,) = free_ports(1)
    arguments = [f"--port={port}" if word.startswith("--port=") else word for word in container["args"]]
    command = [sys.executable, "-m", "facefoundry", *arguments]
    with subprocess.Popen(command, env=environment_of(filled), cwd=tmp_path, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None and process.stdout.readline()
            address = f"http://127.0.0.1:{port}"
            for probe in ("readinessProbe", "livenessProbe"):
                asked = container[probe]["httpGet"]
                headers = {header["name"]: header["value"] for header in asked["httpHeaders"]}
                assert ask(address, asked["path"], **headers).body == b"ok\n"
            inside = [
                NAME,
                f"{NAME}.facefoundry",
                f"{NAME}.facefoundry.svc:8080",
                "localhost:8080",
                "fakes.example.org",
            ]
            outside = ["elsewhere.example", f"10.0.0.7:{port}", f"{NAME}.elsewhere"]
            found = {host: ask(address, Host=host).status for host in (*inside, *outside)}
            assert found == dict.fromkeys(inside, 200) | dict.fromkeys(outside, 400)
            (run,) = re.findall(r'href="(runs/[^"]+/)"', ask(address).text)
            (pair,) = set(re.findall(r'href="(pair/\w+)"', ask(address, f"/{run}").text))
            shown = ask(address, f"/{run}{pair}").text
            picture = re.findall(r'src="\.\./(picture/[^"]+)"', shown)[0]
            assert ask(address, f"/{run}{picture}").body.startswith(b"\xff\xd8\xff")
            video = re.findall(r'src="\.\./(video/fake/[^"]+)"', shown)[0]
            assert ask(address, f"/{run}{video}").status == 200
        finally:
            process.terminate()
    wait_until(lambda: process.poll() is not None, seconds=30)
    assert list(tmp_path.iterdir()) == [], "it writes no file"
