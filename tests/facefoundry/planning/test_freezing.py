"""Frozen datasets: clips, pairs and splits as files that need nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from facefoundry.dataset.rights import Rights
from facefoundry.errors import InvalidInput
from facefoundry.planning.clips import ListedObject
from facefoundry.planning.freezing import freeze
from facefoundry.planning.running import plan_of

RIGHTS = {"basis": "consent", "evidence": "asked", "expires": "2999-12-31"}


def _objects(prefix: str) -> list[ListedObject]:
    return [ListedObject(f"{prefix}{name}.mp4", 9, "e") for name in ("p", "q", "r", "s", "t_1", "u")]


def _nothing(prefix: str) -> list[ListedObject]:
    raise AssertionError(f"{prefix} was listed")


def _write(path: Path, **fields: object) -> Path:
    values = {"name": "faces", "sources": [{"kind": "s3", "prefix": "s3://clips/new/", "rights": RIGHTS}], **fields}
    path.write_text(yaml.safe_dump(values))
    return path


def test_a_run_of_the_files_makes_what_a_run_of_the_dataset_file_makes(tmp_path: Path) -> None:
    (tmp_path / "who.png").write_bytes(b"\x89PNG")
    path = _write(
        tmp_path / "dataset.yaml",
        exclude={"clips": ["s"], "frames": {"q": "0-4", "s": "1-2"}},
        pairs={"strategy": "round-robin", "partners": 2, "seed": 5},
        splits={"kind": "shares", "train": 0.6, "val": 0.4, "test": 0.0},
        subjects={"p": "who.png", "t-1": "moving"},
        frame_rates={"q": 30, "p": "30000/1001"},
        recipe={"name": "preview", "set": {"training.iterations": 30}},
        levels=["c23"],
    )
    frozen = freeze(path, _objects)
    folder = tmp_path / "frozen"
    folder.mkdir()
    for name, data in frozen.files.items():
        (folder / name).write_bytes(data)
    before, _ = plan_of(path, _objects)
    after, resolved = plan_of(folder / "dataset.yaml", _nothing)
    assert after.pairs == before.pairs and after.splits == before.splits and after.recipe == before.recipe
    assert after.clips == before.clips and after.reading == before.reading and after.name == before.name
    assert after.clips["p"].subject.picture == b"\x89PNG" and after.rights == before.rights
    assert after.clips["p"].rights == Rights.model_validate(RIGHTS).digest
    assert resolved.clips["t-1"].location == "s3://clips/new/t_1.mp4"


def test_fields_with_their_defaults_are_left_out_for_older_images(tmp_path: Path) -> None:
    frozen = freeze(_write(tmp_path / "dataset.yaml"), _objects)
    assert set(yaml.safe_load(frozen.files["dataset.yaml"])) == {
        "format",
        "name",
        "sources",
        "pairs",
        "splits",
        "recipe",
    }


def test_clips_of_this_machine_are_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    for name in ("a", "b"):
        (tmp_path / "clips" / f"{name}.mp4").write_bytes(b"")
    path = _write(
        tmp_path / "dataset.yaml",
        sources=[{"kind": "folder", "path": "clips", "rights": "unstated"}],
        splits={"kind": "none"},
    )
    with pytest.raises(InvalidInput, match=r"clips/a\.mp4\. Copy the clips to a bucket") as caught:
        freeze(path, _nothing)
    assert caught.value.reason == "NOT_IN_BUCKET"


def test_a_base_of_this_machine_is_refused(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    recipe = {"name": "preview", "set": {"training.start_from": "base"}}
    with pytest.raises(InvalidInput, match="upload_model") as caught:
        freeze(_write(tmp_path / "dataset.yaml", recipe=recipe), _objects)
    assert caught.value.reason == "NOT_IN_BUCKET"
