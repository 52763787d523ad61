"""The dataset file: every field has its comment, what is written is read back, and what is wrong is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from facefoundry.dataset.rights import Rights
from facefoundry.errors import InvalidInput
from facefoundry.planning import dataset_file, yaml_file
from facefoundry.planning.dataset_file import (
    ClipFolder,
    DatasetFile,
    Exclusions,
    FfppTree,
    Nearest,
    RecipeChoice,
    Retention,
    RightsChoice,
    RoundRobin,
    SplitFiles,
)

ROOT = Path(__file__).parents[3]
FULL = DatasetFile(
    name="celebs",
    sources=(ClipFolder(path="clips", rights="rights/studio.yaml"), FfppTree(path="FaceForensics++", level="c23")),
    rights=RightsChoice(
        default="unstated", subjects={"17": Rights(basis="consent", evidence="form 17")}, clips={"097": "a.yaml"}
    ),
    exclude=Exclusions(clips=("033", "1e3"), frames={"097": "0-24, 300-max"}),
    subjects={"097": "120,80@3"},
    pairs=RoundRobin(partners=3, seed=5),
    splits=SplitFiles(folder="splits"),
    recipe=RecipeChoice(name="preview", set={"training.iterations": 3000, "conversion.frame_ranges": [{"first": 1}]}),
    levels=("raw", "c23"),
    frame_rates={"097": "30000/1001"},
    retention=Retention(extractions=30, trainings=7),
)


@pytest.mark.parametrize("dataset", [FULL, DatasetFile(name="a", sources=(ClipFolder(path="."),), pairs=Nearest())])
def test_what_is_written_is_read_back_and_follows_the_schema(dataset):
    text = yaml_file.dump(dataset)
    assert yaml_file.loads(text) == dataset
    Draft202012Validator(yaml_file.schema()).validate(yaml.safe_load(text))


def test_every_field_that_is_written_has_a_comment_above_it():
    def described(model: BaseModel):
        for name, field in type(model).model_fields.items():
            value = getattr(model, name)
            yield name, field.description or (type(model).__doc__ if name in ("kind", "strategy") else None)
            for inner in value if isinstance(value, tuple) else (value,):
                if isinstance(inner, BaseModel):
                    yield from described(inner)

    text = " ".join(line.strip().removeprefix("#") for line in yaml_file.dump(FULL).splitlines())
    written = " ".join(text.split())
    for name, description in described(FULL):
        assert description, name
        assert " ".join(description.partition("\n\n")[0].split()) in written, name


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("name: [", "not YAML"),
        ("just words", "the file"),
        ("sources: [{kind: folder, path: x}]", "name: Field required"),
        ("name: a b\nsources: [{kind: folder, path: x}]", "name"),
        ("name: a\nsources: [{kind: zip, path: x}]", "sources.0"),
        ("name: a\nsources: []", "sources"),
        ("name: a\nsources: [{kind: folder, path: x}]\nexclude: {clips: [033]}", "exclude.clips.0"),
        ("name: a\nsources: [{kind: folder, path: x}]\nexclude: {frames: {'1': 5-}}", "exclude.frames.1"),
        (
            "name: a\nsources: [{kind: folder, path: x}]\nexclude: {frames: {'1': '5-9,7-8'}}",
            "must begin after the end",
        ),
        ("name: a\nsources: [{kind: folder, path: x}]\nretention: {models: 0}", "retention.models"),
        ("name: a\nsources: [{kind: folder, path: x}]\nretention: {runs: 5}", "retention.runs"),
        ("name: a\nsources: [{kind: folder, path: x}]\nlevel: [c23]", "level: Extra inputs"),
        ("name: a\nsources: [{kind: folder, path: x}]\nsplits: {kind: shares, train: 0.9}", "must add up to 1"),
        ("name: a\nsources: [{kind: folder, path: x}]\npairs: {strategy: best}", "pairs"),
        ("name: a\nsources: [{kind: s3, prefix: clips/}]", "sources.0.s3.prefix"),
        ("name: a\nsources: [{kind: folder, path: x}]\nrights: {default: consent 17}", "rights.default"),
        (
            "name: a\nsources: [{kind: folder, path: x}]\nrights: {default: {basis: consent}}",
            "evidence must not be empty",
        ),
        ("name: a\nsources: [{kind: folder, path: x}]\nrights: {clips: {a: {basis: whim}}}", "rights.clips.a"),
    ],
)
def test_what_is_wrong_is_named_with_its_field(text, named):
    with pytest.raises(InvalidInput, match=r"The dataset file x\.yaml is") as caught:
        yaml_file.loads(text, "x.yaml")
    assert named in caught.value.message and caught.value.reason == "DATASET_FILE"


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InvalidInput, match=r"Cannot read the dataset file .*none.yaml: No such file"):
        yaml_file.load(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidInput, match=r"bytes\.yaml is not UTF-8"):
        yaml_file.load(tmp_path / "bytes.yaml")


def test_the_published_schema_is_that_of_the_models_and_refuses_what_they_refuse():
    published = json.loads((ROOT / "docs" / "dataset.schema.json").read_text())
    assert published == yaml_file.schema()
    Draft202012Validator.check_schema(published)
    validator = Draft202012Validator(published)
    good = {"name": "a", "sources": [{"kind": "folder", "path": "clips"}]}
    assert validator.is_valid(good)
    faults: list[dict[str, object]] = [
        {"level": ["c23"]},
        {"sources": []},
        {"exclude": {"frames": {"033": "5 to 9"}}},
        {"sources": [{"kind": "zip"}]},
        {"format": "other/1"},
    ]
    for wrong in faults:
        assert not validator.is_valid(good | wrong), wrong


def test_every_public_model_is_described():
    for name in dataset_file.__all__:
        value = getattr(dataset_file, name)
        if isinstance(value, type):
            assert value.__doc__, name
