"""The ConfigMap and the Job of a submitted run."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from click import Context
from click.testing import CliRunner

from facefoundry.cli.errors import SOME_FAILED
from facefoundry.cli.main import cli
from facefoundry.cluster.manifests import (
    JobOptions,
    Submission,
    bucket_of,
    config_map,
    dataset_job,
    job_name,
    template_in,
)
from facefoundry.errors import InvalidInput, NotFound
from tests.helm.chart import invalid, unrestricted

FILES = {"dataset.yaml": b"name: faces\n", "who.png": b"\x89\xff"}


@pytest.fixture
def job_template(template: dict[str, Any]) -> dict[str, Any]:
    return template_in([template], "here")


def test_the_objects_are_valid_and_their_pod_is_restricted(job_template: dict[str, Any]) -> None:
    submission = Submission("Faces_1", FILES, "s3://bucket/datasets/Faces_1/")
    objects = [config_map(job_template, submission), dataset_job(job_template, submission)]
    assert [wrong for item in objects for wrong in invalid(item)] == []
    assert unrestricted("dataset", objects[1]["spec"]["template"]["spec"]) == []
    assert {item["metadata"]["namespace"] for item in objects} == {"faces"}
    pod = objects[1]["spec"]["template"]["spec"]
    assert all("emptyDir" in volume or "configMap" in volume for volume in pod["volumes"]), "nothing is on a volume"
    (volume,) = (volume for volume in pod["volumes"] if volume["name"] == "dataset")
    assert volume["configMap"]["name"] == objects[0]["metadata"]["name"]
    assert Submission.of(objects[0]) == submission


def test_the_command_knows_the_arguments_and_the_job_ends_at_its_final_exit_codes(job_template: dict[str, Any]) -> None:
    job = dataset_job(job_template, Submission("faces", FILES, "s3://bucket/datasets/faces/"))
    name, path, *options = job["spec"]["template"]["spec"]["containers"][0]["args"]
    command = cli.get_command(Context(cli), name)
    assert command is not None and path == "/etc/facefoundry/dataset/dataset.yaml"
    assert {option.partition("=")[0] for option in options} <= {opt for param in command.params for opt in param.opts}
    (rule,) = (each for each in job["spec"]["podFailurePolicy"]["rules"] if each["action"] == "FailJob")
    assert rule["onExitCodes"]["values"] == [CliRunner().invoke(cli, [name, "--no-such-option"]).exit_code, SOME_FAILED]


def test_options_replace_what_the_template_says_and_do_not_change_it(job_template: dict[str, Any]) -> None:
    before = yaml.safe_dump(job_template)
    options = JobOptions("registry/cli:2", "account", "keys", "500m", "4Gi")
    job = dataset_job(job_template, Submission("faces", FILES, "s3://b/datasets/faces/", options))
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (container["image"], pod["serviceAccountName"]) == ("registry/cli:2", "account")
    assert container["resources"] == {"requests": {"cpu": "500m", "memory": "4Gi"}, "limits": {"memory": "4Gi"}}
    secrets = [row["valueFrom"]["secretKeyRef"]["name"] for row in container["env"] if "valueFrom" in row]
    assert secrets == ["keys", "keys"]
    assert yaml.safe_dump(job_template) == before


@pytest.mark.parametrize("run", ["faces", "Faces", "faces_1", "a" * 63, "a" * 62 + ".", "9", "A.", "B_"])
def test_every_run_has_a_job_of_its_own_with_a_valid_name(run: str) -> None:
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", job_name(run)) and len(job_name(run)) <= 63
    assert len({job_name(other) for other in (run, run.lower() + "x", run.upper() + "X", run + "-", run + "_")}) == 5


def test_the_bucket_is_that_of_the_release(job_template: dict[str, Any]) -> None:
    assert bucket_of(job_template) == "facefoundry"


def test_another_content_is_another_config_map(job_template: dict[str, Any]) -> None:
    def name(files: dict[str, bytes], output: str = "s3://b/datasets/x/") -> str:
        return str(config_map(job_template, Submission("x", files, output))["metadata"]["name"])

    names = {name(FILES), name({**FILES, "pairs.json": b""}), name(FILES, "s3://b/datasets/y/")}
    assert len(names) == 3 and name(dict(reversed(FILES.items()))) == name(FILES)


def test_a_dataset_that_is_too_large_names_its_largest_file(job_template: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=r"Received 1,100,.* most of them in clips\.csv") as caught:
        config_map(job_template, Submission("x", {**FILES, "clips.csv": b"x" * 1_100_000}, "s3://b/datasets/x/"))
    assert caught.value.reason == "DATASET_TOO_LARGE"


def test_no_release_and_several_releases_are_told(template: dict[str, Any]) -> None:
    with pytest.raises(NotFound, match="--namespace") as none:
        template_in([{"kind": "ConfigMap", "data": {"a": "b"}}, None], "the namespace x")
    assert none.value.reason == "NO_RELEASE"
    with pytest.raises(InvalidInput, match="Choose one with --release") as several:
        template_in([template, template], "the namespace x")
    assert several.value.reason == "SEVERAL_RELEASES"
