"""mlcroissant validates the metadata without a warning, and reads the records of every set."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import mlcroissant
import pytest

from tests.facefoundry.exports.consumers.test_tables import FAKES, IDS, LEVELS
from tests.facefoundry.exports.made import ABOUT, FRAMES, RIGHTS

SETS = {"splits": 3, "videos": len(IDS) * len(LEVELS), "frames": len(IDS) * FRAMES}
SETS |= {f"files-{level}": len(IDS) for level in LEVELS} | {"files-masks": len(FAKES)}


@pytest.fixture
def dataset(croissant: Path) -> mlcroissant.Dataset:
    """A dataset of the test's own: mlcroissant 1.1.1 yields no record of a set for a second time."""
    return mlcroissant.Dataset(jsonld=croissant / "croissant.json")


def test_the_metadata_is_valid_without_a_warning(croissant: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = mlcroissant.Dataset(jsonld=croissant / "croissant.json").metadata
    assert not found.ctx.issues.errors and not found.ctx.issues.warnings
    assert not [each for each in caplog.records if "mlcroissant" in each.pathname or "absl" in each.name]
    assert {each.id for each in found.record_sets} == set(SETS)


@pytest.mark.parametrize("name", SETS)
def test_every_record_is_read(dataset: mlcroissant.Dataset, name: str) -> None:
    rows = list(dataset.records(name))
    assert len(rows) == SETS[name]


def test_records_have_labels_and_arrays(dataset: mlcroissant.Dataset) -> None:
    videos = list(dataset.records("videos"))
    assert {row["videos/video_id"].decode() for row in videos} == IDS
    for row in videos:
        id_ = row["videos/video_id"].decode()
        assert row["videos/label"] == int(id_ in FAKES), id_
    first = next(row for row in dataset.records("frames") if row["frames/swapped"])
    assert len(first["frames/box"]) == 4 and len(first["frames/landmarks"]) == 68


def test_what_the_library_does_not_check_is_there(croissant: Path) -> None:
    found = json.loads((croissant / "croissant.json").read_bytes())
    export = json.loads((croissant / "export.json").read_bytes())
    assert found["identifier"] == f"sha256:{export['dataset_version']}"
    for name in ("name", "description", "creator", "license", "url", "datePublished"):
        assert found[name], name
    rai = [name for name in found if name.startswith("rai:")]
    assert "rai:dataManipulationProtocol" in rai and all(found[name] for name in rai)
    assert f"record {RIGHTS.digest}, clips 3, basis licence, licence CC-BY-4.0." in found["rai:dataCollection"]
    assert "record unstated, clips 3." in found["rai:dataCollection"]
    assert ABOUT.motivation in found["rai:dataUseCases"]
    assert found["rai:dataReleaseMaintenancePlan"] == "Maintenance: Kept for a year. Contact: data@example.org"
    assert "Not stated" not in json.dumps(found)
    assert "Deepfakes" in found["description"] or "DeepFakes" in found["description"]
