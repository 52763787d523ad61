"""`helm upgrade` after what happens on a cluster between two upgrades. Part of make test-cluster-full."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from tests.cluster.installation import Installation, installation
from tests.helm.chart import ROOT, Helm, find_helm, find_helm_3
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("full")

AUTOSCALED = "extractor.autoscaling.enabled=true"


@pytest.fixture(scope="module", params=["helm 4", "helm 3"])
def helm(request: pytest.FixtureRequest) -> Helm:
    """Helm 4 applies on the server, which records who owns a field; Helm 3 compares with the release before."""
    return find_helm() if request.param == "helm 4" else find_helm_3()


@pytest.fixture
def installed(helm: Helm) -> Iterator[Installation]:
    with installation(helm) as made:
        yield made


def _has_autoscaler(installed: Installation) -> bool:
    try:
        client.AutoscalingV2Api().read_namespaced_horizontal_pod_autoscaler(
            "ff-facefoundry-extractor", installed.namespace
        )
    except ApiException as error:
        assert error.status == 404
        return False
    return True


def test_an_autoscaler_that_the_chart_does_not_own_keeps_its_number(installed: Installation) -> None:
    for number in (4, 2):
        installed.scale("converter", number, by="keda-operator")
        assert installed.upgrade() == ""
        assert installed.replicas("converter") == number


def test_turning_autoscaling_on_and_off_keeps_the_number_of_pods(installed: Installation) -> None:
    assert installed.upgrade("extractor.replicas=5") == ""
    assert installed.replicas("extractor") == 5
    assert installed.upgrade(AUTOSCALED, "extractor.autoscaling.maxReplicas=8") == ""
    assert _has_autoscaler(installed) and installed.replicas("extractor") == 5
    installed.scale("extractor", 3, by="kube-controller-manager")
    assert installed.upgrade(AUTOSCALED, "extractor.autoscaling.maxReplicas=9") == ""
    assert installed.replicas("extractor") == 3
    installed.scale("extractor", 6, by="kube-controller-manager")
    assert installed.upgrade() == ""
    assert not _has_autoscaler(installed) and installed.replicas("extractor") == 6


def test_labels_of_others_on_the_namespace_stay(installed: Installation) -> None:
    core = client.CoreV1Api()
    core.patch_namespace(installed.jobs, {"metadata": {"labels": {"team": "x"}}}, field_manager="kubectl-label")
    assert installed.upgrade("jobs.podSecurity=baseline") == ""
    labels = core.read_namespace(installed.jobs).metadata.labels
    assert (labels["team"], _level(installed)) == ("x", "baseline")


def _level(installed: Installation) -> str:
    labels = client.CoreV1Api().read_namespace(installed.jobs).metadata.labels
    return str(labels["pod-security.kubernetes.io/enforce"])


def _quota(installed: Installation) -> str:
    found = client.CoreV1Api().read_namespaced_resource_quota("ff-facefoundry-jobs", installed.jobs)
    return str(found.spec.hard["pods"])


def _force(installed: Installation, owner: str, *values: str) -> None:
    """Upgrade by force, once Helm has refused to do it for what `owner` has changed. Helm 3 knows no owners."""
    options: tuple[str, ...] = ()
    if installed.helm != find_helm_3():
        refused = installed.upgrade(*values)
        assert "conflict" in refused and owner in refused, refused
        options = ("--force-conflicts",)
    assert installed.upgrade(*values, options=options) == ""


def test_what_the_chart_owns_is_refused_by_name_once_another_has_changed_it_until_it_is_forced(
    installed: Installation,
) -> None:
    core = client.CoreV1Api()
    assert installed.upgrade("jobs.quota.pods=5", "converter.replicas=2") == ""
    quota = {"spec": {"hard": {"pods": "50"}}}
    core.patch_namespaced_resource_quota("ff-facefoundry-jobs", installed.jobs, quota, field_manager="kubectl-patch")
    installed.scale("converter", 4)
    _force(installed, "kubectl-patch", "jobs.quota.pods=6", "converter.replicas=3")
    assert (_quota(installed), installed.replicas("converter")) == ("6", 3)
    assert installed.upgrade("jobs.quota.pods=7") == ""
    assert (_quota(installed), installed.replicas("converter")) == ("7", 3)
    level = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}
    core.patch_namespace(installed.jobs, level, field_manager="kubectl-label")
    _force(installed, "kubectl-label", "jobs.quota.pods=7")
    assert _level(installed) == "restricted"


def test_an_upgrade_from_the_previous_release_keeps_the_number_of_pods(helm: Helm, tmp_path: Path) -> None:
    commit = (ROOT / "tests/previous-release").read_text().strip()
    archive = subprocess.run(
        ["git", "-C", str(ROOT), "archive", commit, "helm/facefoundry"], capture_output=True, check=False
    )
    if archive.returncode:
        pytest.skip(f"this copy of the repository lacks the previous release: {archive.stderr.decode()}")
    subprocess.run(["tar", "-x", "-C", str(tmp_path)], input=archive.stdout, check=True)
    with installation(helm, chart=tmp_path / "helm/facefoundry") as installed:
        wait_until(lambda: installed.replicas("trainer") == 2)
        installed.scale("converter", 4)
        assert installed.upgrade() == ""
        assert [installed.replicas(name) for name in ("extractor", "trainer", "converter")] == [1, 2, 4]
