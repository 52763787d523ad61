"""The Job template of the chart, and what the trainer adds to it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from facefoundry.errors import Internal
from services.trainer.backends.kubernetes import template
from services.trainer.backends.kubernetes.objects import JobObject
from services.trainer.worker_protocol import ExitCode

SHIPPED = Path(__file__).resolve().parents[4] / "helm/facefoundry/files/training-job.yaml"
URI = "s3://bucket/trainings/0123/attempt.json"


def shipped() -> dict[str, Any]:
    return template.read(SHIPPED)


def container(job: dict[str, Any]) -> dict[str, Any]:
    (found,) = job["spec"]["template"]["spec"]["containers"]
    return found


def test_only_name_request_labels_device_and_argument_differ_from_the_template() -> None:
    before = shipped()
    kept = copy.deepcopy(before)
    job = template.training_job(before, "training-0123-2", URI, "nvidia.com/gpu", 1)
    assert before == kept
    assert job["metadata"]["name"] == "training-0123-2"
    assert template.attempt_of(JobObject.model_validate(job)) == URI
    assert container(job)["args"] == [URI]
    assert container(job)["resources"]["limits"] == {"memory": "16Gi", "nvidia.com/gpu": "1"}
    for changed in (job["metadata"], job["spec"]["template"]["metadata"]):
        assert changed.pop("annotations") == {"facefoundry/attempt": URI}
    del job["metadata"]["name"]
    container(job)["args"] = []
    del container(job)["resources"]["limits"]["nvidia.com/gpu"]
    assert job == before


def test_other_devices_and_none_at_all_are_settings() -> None:
    amd = template.training_job(shipped(), "x", URI, "amd.com/gpu", 2)
    assert container(amd)["resources"]["limits"]["amd.com/gpu"] == "2"
    assert (
        container(template.training_job(shipped(), "x", URI, "nvidia.com/gpu", 0))["resources"]
        == container(shipped())["resources"]
    )


def test_a_queue_label_makes_the_job_start_suspended() -> None:
    job = shipped()
    assert "suspend" not in template.training_job(job, "x", URI)["spec"]
    job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] = "spot"
    assert template.training_job(job, "x", URI)["spec"]["suspend"] is True


def test_the_shipped_job_ends_on_bad_input_forgives_disruptions_and_counts_the_rest() -> None:
    spec = shipped()["spec"]
    bad, disrupted = spec["podFailurePolicy"]["rules"]
    assert (bad["action"], bad["onExitCodes"]["containerName"]) == ("FailJob", template.CONTAINER)
    assert bad["onExitCodes"]["values"] == [ExitCode.BAD_SETTINGS, ExitCode.BAD_INPUT]
    assert disrupted == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    assert (spec["backoffLimit"], spec["ttlSecondsAfterFinished"]) == (6, 7 * 24 * 3600)
    assert "activeDeadlineSeconds" not in spec


def test_the_shipped_worker_has_no_token_no_privilege_and_no_secret_in_plain() -> None:
    pod = shipped()["spec"]["template"]["spec"]
    assert (pod["restartPolicy"], pod["automountServiceAccountToken"]) == ("Never", False)
    assert pod["shareProcessNamespace"], "else SIGTERM is ignored until a worker handles it"
    worker = container(shipped())
    assert worker["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    variables = {variable["name"]: variable for variable in worker["env"]}
    assert variables["FACEFOUNDRY_WORKER_ID"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.uid"
    for name in ("FACEFOUNDRY_STORE_ACCESS_KEY", "FACEFOUNDRY_STORE_SECRET_KEY"):
        assert set(variables[name]["valueFrom"]) == {"secretKeyRef"}


WRONG = {
    "no YAML": ("a: [", "cannot be read"),
    "another kind": ("apiVersion: v1\nkind: Pod\n", "batch/v1 and kind Job"),
    "no pod": ("apiVersion: batch/v1\nkind: Job\nspec: {}\n", "spec.template.spec.containers"),
    "no worker": (SHIPPED.read_text().replace("name: worker\n", "name: main\n"), "container named 'worker'"),
    "a field that does not exist": (SHIPPED.read_text().replace("backoffLimit:", "backofLimit:"), "backofLimit"),
    "a number for a quantity": (SHIPPED.read_text().replace('cpu: "2"', "cpu: 2"), "resources.requests.cpu"),
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_template_is_refused_with_its_file_and_field(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(text)
    with pytest.raises(Internal) as caught:
        template.read(path)
    assert caught.value.reason == "JOB_TEMPLATE"
    assert str(path) in caught.value.message and message in caught.value.message


def test_a_missing_template_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(Internal, match=r"absent\.yaml"):
        template.read(tmp_path / "absent.yaml")


def test_labels_of_the_template_are_kept_beside_ours() -> None:
    plain = yaml.safe_load(SHIPPED.read_text())
    plain["metadata"] = {"labels": {"team": "x"}, "generateName": "job-"}
    plain["spec"]["template"].pop("metadata")
    job = template.training_job(plain, "x", URI)
    assert job["metadata"]["labels"] == {"team": "x", **template.LABELS}
    assert "generateName" not in job["metadata"]
    assert job["spec"]["template"]["metadata"]["labels"] == template.LABELS
