"""The examples of workflows, by the schemas of Argo Workflows and Kubeflow Pipelines, and the generated Job."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click import Context
from click.testing import CliRunner
from google.protobuf import json_format
from hera.workflows.models import Workflow
from kfp.pipeline_spec import pipeline_spec_pb2

from facefoundry.cli.main import cli
from facefoundry.planning import yaml_file
from tests.helm.chart import ROOT, unrestricted

EXAMPLES = ROOT / "k8s/examples"
SECRET = {"access-key": "FACEFOUNDRY_STORE_ACCESS_KEY", "secret-key": "FACEFOUNDRY_STORE_SECRET_KEY"}


def _read(name: str) -> list[dict[str, Any]]:
    return [item for item in yaml.safe_load_all((EXAMPLES / name).read_text()) if item]


def _unknown(given: Any, known: Any, path: str = "") -> Iterator[str]:
    """Fields that a model did not take: it ignores them silently."""
    if isinstance(given, dict):
        for key, value in given.items():
            if key in known:
                yield from _unknown(value, known[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}"
    elif isinstance(given, list):
        for number, (value, other) in enumerate(zip(given, known, strict=True)):
            yield from _unknown(value, other, f"{path}[{number}]")


def _wrong_in_workflow(workflow: dict[str, Any]) -> list[str]:
    made = Workflow.model_validate(workflow).model_dump(by_alias=True, exclude_unset=True, mode="json")
    return list(_unknown(workflow, made))


def _options(arguments: list[str]) -> set[str]:
    return {argument.partition("=")[0] for argument in arguments if argument.startswith("-")}


def _known_options(name: str) -> set[str]:
    command = cli.get_command(Context(cli), name)
    assert command is not None, name
    return {option for parameter in command.params for option in parameter.opts}


def test_the_generated_job_is_current(tmp_path: Path):
    arguments = ["submit", str(EXAMPLES / "celebs/dataset.yaml"), "--dry-run", "--template", "k8s/facefoundry.yaml"]
    arguments[-1] = str(ROOT / "k8s/facefoundry.yaml")
    printed = CliRunner().invoke(cli, arguments)
    assert printed.exit_code == 0, printed.output
    assert printed.stdout == (EXAMPLES / "dataset-job.yaml").read_text(), "run `make generate`"


def test_the_workflow_has_the_schema_of_argo():
    workflow = _read("argo-workflow.yaml")[0]
    assert _wrong_in_workflow(workflow) == []
    workflow["spec"]["templates"][0]["dags"] = {}
    assert _wrong_in_workflow(workflow) == [".spec.templates[0].dags"]


def test_the_workflow_makes_its_dataset_and_its_pods_are_restricted():
    spec = _read("argo-workflow.yaml")[0]["spec"]
    values = {parameter["name"]: parameter["value"] for parameter in spec["arguments"]["parameters"]}
    assert yaml_file.loads(values["dataset"]).name == "celebs" and values["output"].endswith("/datasets/celebs/")
    templates = {template["name"]: template for template in spec["templates"]}
    assert {task["template"] for task in templates[spec["entrypoint"]]["dag"]["tasks"]} <= set(templates)
    for name in ("make", "use"):
        container = templates[name]["container"]
        pod = {"containers": [{"name": name, **container}], "securityContext": spec["securityContext"]}
        pod |= {
            "automountServiceAccountToken": spec["automountServiceAccountToken"],
            "volumes": templates[name]["volumes"],
        }
        assert unrestricted(name, pod) == []
        assert _options(container["args"]) <= _known_options(container["args"][0])


def test_the_pipeline_has_the_schema_of_kubeflow():
    pipeline, platform = _read("kubeflow-pipeline.yaml")
    json_format.ParseDict(pipeline, pipeline_spec_pb2.PipelineSpec())
    json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
    deployment = pipeline_spec_pb2.PipelineDeploymentConfig()
    json_format.ParseDict(pipeline["deploymentSpec"], deployment)
    pipeline["root"]["dags"] = {}
    with pytest.raises(json_format.ParseError, match="dags"):
        json_format.ParseDict(pipeline, pipeline_spec_pb2.PipelineSpec())


def test_the_pipeline_makes_its_dataset():
    pipeline, platform = _read("kubeflow-pipeline.yaml")
    given = {name: each["defaultValue"] for name, each in pipeline["root"]["inputDefinitions"]["parameters"].items()}
    assert yaml_file.loads(given["dataset"]).name == "celebs" and given["output"].endswith("/datasets/celebs/")
    (task,) = pipeline["root"]["dag"]["tasks"].values()
    component = pipeline["components"][task["componentRef"]["name"]]
    assert set(task["inputs"]["parameters"]) == set(component["inputDefinitions"]["parameters"]) == set(given)
    container = pipeline["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
    script = container["command"][2]
    assert "facefoundry run" in script and {"--output", "--json"} <= _known_options("run")
    assert [word[len("{{$.inputs.parameters['") : -len("']}}")] for word in container["command"][3:]] == list(given)
    # The schema leaves what Kubernetes adds to an executor open.
    (secret,) = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-make"]["secretAsEnv"]
    assert {row["secretKey"]: row["envVar"] for row in secret["keyToEnv"]} == SECRET
