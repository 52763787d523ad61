"""The CronJob that deletes old objects, for stores without rules of their own."""

from __future__ import annotations

import pytest

from facefoundry.cli.main import main
from tests.helm.chart import CHART, Helm, environment, invalid, named, pods, unrestricted
from tests.helm.test_templates import BASE, MINIO

ON = {"bucketExpire": {"enabled": True}}
NAME = "ff-facefoundry-bucket-expire"


@pytest.mark.parametrize(
    ("values", "name", "secret"),
    [
        ({**BASE, **ON}, NAME, "facefoundry-store"),
        ({**MINIO, **ON}, NAME, "ff-facefoundry-minio"),
        (CHART / "ci/everything-values.yaml", "foundry-bucket-expire", "owner-store"),
    ],
    ids=["own", "minio", "everything"],
)
def test_it_is_valid_and_restricted_and_has_the_account_of_the_owner_and_no_token(helm: Helm, values, name, secret):
    made = named(helm.objects(values), "CronJob", name)
    assert invalid(made) == []
    ((_, pod),) = pods([made])
    assert unrestricted(name, pod) == []
    assert pod["automountServiceAccountToken"] is False and "serviceAccountName" not in pod
    (container,) = pod["containers"]
    key = environment(container)["FACEFOUNDRY_STORE_SECRET_KEY"]["secretKeyRef"]
    assert key == {"name": secret, "key": "secret-key"}
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


def test_it_is_off_by_default(helm: Helm):
    assert not [item for item in helm.objects(BASE) if item["kind"] == "CronJob"]


@pytest.mark.parametrize("retention", [False, True])
def test_its_command_is_one_of_facefoundry(helm: Helm, capsys: pytest.CaptureFixture[str], retention: bool):
    objects = helm.objects({**BASE, "bucketExpire": {"enabled": True, "retention": retention}})
    ((_, pod),) = pods([named(objects, "CronJob", NAME)])
    arguments = pod["containers"][0]["args"]
    assert ("--retention" in arguments) == retention
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--help"])
    assert ended.value.code == 0 and "facefoundry bucket expire" in capsys.readouterr().out


@pytest.mark.parametrize("component", ["extractor", "trainer", "converter", "worker", "dataset"])
def test_it_needs_the_account_of_the_owner_where_a_component_has_its_own(helm: Helm, component: str):
    own = {**BASE, **ON, "dataset": {"storeSecret": "client-store"}, component: {"storeSecret": "own"}}
    assert "bucketExpire.storeSecret is empty" in helm.refusal(own)
    helm.objects({**own, "bucketExpire": {"enabled": True, "storeSecret": "owner"}})


@pytest.mark.parametrize("schedule", ["", "daily", "* * * *", "30 3 * * * *"])
def test_a_schedule_that_kubernetes_refuses_is_refused(helm: Helm, schedule: str):
    assert "/bucketExpire/schedule" in helm.refusal({**BASE, "bucketExpire": {"schedule": schedule}})
