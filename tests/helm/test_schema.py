"""The values that the chart accepts and refuses, and that they reach the processes."""

from __future__ import annotations

import copy
import json
import re
from itertools import pairwise
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic_settings import BaseSettings

from helm.schema import CLASSES, OWNED, camel_case, schema
from tests.helm.chart import CHART, Helm, environment, named, training_job

STORE = {"store": {"endpoint": "s3.example.org", "existingSecret": "facefoundry-store"}}
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
CHECK = jsonschema.Draft202012Validator(SCHEMA)
# Keys here are the cluster's names, not ours.
OPEN = {"nodeSelector", "podAnnotations", "labels", "quota", "requests", "limits"}


def _objects(node: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(node, dict) or (path and path[-1] in OPEN):
        return []
    return [path, *(found for key, value in node.items() for found in _objects(value, (*path, key)))]


def _with(path: tuple[str, ...], key: str, value: Any) -> dict[str, Any]:
    made = copy.deepcopy(VALUES)
    node = made
    for part in path:
        node = node[part]
    node[key] = value
    return made


def test_the_schema_is_current():
    assert schema() == SCHEMA


@pytest.mark.parametrize("path", _objects(VALUES), ids=lambda path: ".".join(path) or "top")
def test_an_unknown_key_is_refused_at_every_level(path):
    CHECK.validate(VALUES)
    with pytest.raises(jsonschema.ValidationError, match="noSuchKey"):
        CHECK.validate(_with(path, "noSuchKey", 1))


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_helm_refuses_unknown_keys_and_names_each(helm: Helm, depth):
    """One depth at a time, because helm does not look into an object that is already wrong."""
    paths = [path for path in _objects(VALUES) if len(path) == depth]
    values: dict[str, Any] = {}
    for path in paths:
        node = values
        for part in path:
            node = node.setdefault(part, {})
        node["noSuchKey"] = 1
    message = helm.refusal(values)
    for path in paths:
        assert re.search(rf"at '{'/'.join(('', *path))}': .*noSuchKey", message), (path, message)


@pytest.mark.parametrize(
    "path, value",
    [
        (("extractor", "tolerations"), [{"kee": "x"}]),
        (("networkPolicy", "clients"), [{"podSelectors": {}}]),
        (("networkPolicy", "clients"), [{"podSelector": {"labels": {}}}]),
        (("networkPolicy", "monitoring"), [{"ipBlock": {"cidr": "192.0.2.0/24", "but": []}}]),
    ],
)
def test_an_unknown_key_in_a_list_is_refused(path, value):
    with pytest.raises(jsonschema.ValidationError, match=r"kee|podSelectors|labels|but"):
        CHECK.validate(_with(path[:-1], path[-1], value))


@pytest.mark.parametrize(
    "path, value",
    [
        (("extractor", "replicas"), -1),
        (("extractor", "replicas"), "two"),
        (("image", "pullPolicy"), "Sometimes"),
        (("worker", "digest"), "sha256:short"),
        (("store", "endpoint"), "https://s3.example.org"),
        (("store", "bucket"), "Not_A_Bucket"),
        (("extractor", "settings"), {"slots": 0}),
        (("extractor", "settings"), {"sandboxSeconds": "long"}),
        (("trainer", "settings"), {"heartbeatSeconds": 16}),
        (("trainer", "settings"), {"listen": "0.0.0.0:1"}),
        (("converter", "autoscaling", "targetCPU"), 101),
        (("minio", "secretKey"), "short"),
        (("jobs", "policy", "maxMemory"), "64 GB"),
        (("jobs", "podSecurity"), "strict"),
        (("trainer", "autoscaling"), {"enabled": True}),
    ],
)
def test_a_wrong_value_is_refused(path, value):
    with pytest.raises(jsonschema.ValidationError):
        CHECK.validate(_with(path[:-1], path[-1], value))


def test_every_value_has_a_comment():
    """Keys of open maps and Kubernetes quantities are not ours to explain."""
    lines = (CHART / "values.yaml").read_text().splitlines()
    explained = re.compile(r"\s*(requests|limits|cpu|memory|grafana_dashboard):")
    bare = [
        line
        for above, line in pairwise(lines)
        if re.match(r"\s*[A-Za-z]+:", line) and not above.lstrip().startswith("#") and not explained.match(line)
    ]
    assert not bare


def test_values_and_schema_have_the_same_keys():
    def keys_of(definition: dict[str, Any]) -> dict[str, Any]:
        if reference := definition.get("$ref"):
            return keys_of(SCHEMA["$defs"][reference.rpartition("/")[2]])
        return dict(definition.get("properties", {}))

    def compare(values: dict[str, Any], definition: dict[str, Any], path: str) -> None:
        known = keys_of(definition)
        if path.endswith("settings") or path.rpartition(".")[2] in OPEN:
            return
        assert set(values) == set(known), path
        for key, value in values.items():
            if isinstance(value, dict):
                compare(value, known[key], f"{path}.{key}")

    compare(VALUES, SCHEMA, "values")


def test_the_three_services_have_equal_blocks():
    extractor, trainer, converter = (list(VALUES[name]) for name in ("extractor", "trainer", "converter"))
    assert [key for key in extractor if key != "importBuckets"] == converter
    assert [key for key in extractor if key != "autoscaling"] == trainer


@pytest.mark.parametrize("name", ["store", "extractor", "trainer", "converter", "worker"])
def test_every_setting_reaches_its_process(helm: Helm, name, monkeypatch):
    kind: type[BaseSettings] = CLASSES[name]
    settings = {key: _other(facts) for key, facts in SCHEMA["$defs"][f"{name}Settings"]["properties"].items()}
    block = (
        {"store": STORE["store"] | {"settings": settings}}
        if name == "store"
        else STORE | {name: {"settings": settings}}
    )
    objects = helm.objects(block)
    if name == "worker":
        container = training_job(objects)["spec"]["template"]["spec"]["containers"][0]
    else:
        service = "extractor" if name == "store" else name
        deployment = named(objects, "Deployment", f"ff-facefoundry-{service}")
        container = deployment["spec"]["template"]["spec"]["containers"][0]
    variables = environment(container)
    for variable, value in variables.items():
        if isinstance(value, str):
            monkeypatch.setenv(variable, value)
    read = kind()
    for field in kind.model_fields:
        if (key := camel_case(field)) in settings:
            assert getattr(read, field) == settings[key] != kind.model_fields[field].default, field
    names = [variable["name"] for variable in container["env"]]
    assert len(names) == len(set(names))


def _other(facts: dict[str, Any]) -> Any:
    """A value that is not the default."""
    if facts["type"] == "boolean":
        return not facts["default"]
    if facts["type"] == "string":
        return next((other for other in facts.get("enum", ()) if other != facts["default"]), "some/prefix")
    default, maximum = facts["default"], facts.get("maximum", float("inf"))
    return default + 1 if default + 1 <= maximum else default / 2 if facts["type"] == "number" else default - 1


def test_settings_that_the_chart_sets_exist():
    fields = {name: set(kind.model_fields) for name, kind in CLASSES.items()}
    assert OWNED["store"] <= fields["store"]
    assert OWNED["worker"] <= fields["worker"]
    assert OWNED["service"] <= fields["extractor"] | fields["trainer"] | fields["converter"]
