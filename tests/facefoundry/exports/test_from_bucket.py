"""Exports of a dataset in a bucket: with chosen levels, everything but the other levels is as without."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from facefoundry.cli.main import cli
from facefoundry.errors import InvalidInput
from facefoundry.planning.fetching import fetch_with
from facefoundry.storage.parts import MASKS
from facefoundry.storage.store import Store
from tests.facefoundry.dataset.made_in_bucket import LEVELS, make, name_store, write


def _exported(store: Store, folder: Path, *arguments: str) -> set[str]:
    """Export the dataset `six` of the bucket, and return the kinds of the fakes' files."""
    words = ["export", "ffpp", f"s3://{store.bucket}/datasets/six/", str(folder / "out"), *arguments]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    return {path.name for path in (folder / "out" / "manipulated_sequences" / "Deepfakes").iterdir()}


def test_chosen_levels_of_a_dataset_in_a_bucket_come_with_all_masks(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_store(monkeypatch, store)
    make(write(tmp_path, 6), f"s3://{store.bucket}/datasets/six/", store)
    assert _exported(store, tmp_path, "--levels", "c40") == {"c40", "labels", *MASKS}
    assert _exported(store, tmp_path, "--update") == {*LEVELS, "labels", *MASKS}


def test_what_is_fetched_is_said_before_and_is_refused_without_space(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_store(monkeypatch, store)
    place = f"s3://{store.bucket}/datasets/six/"
    make(write(tmp_path, 6), place, store)
    words = ["export", "ffpp", place, str(tmp_path / "out"), "--dry-run"]
    printed = CliRunner().invoke(cli, words).output
    fetched, exported = (
        re.search(pattern, printed) for pattern in (r"\d+ files to fetch .* \d+\.\d MB", r"items to make")
    )
    assert fetched and exported and fetched.start() < exported.start()
    full = shutil.disk_usage(tmp_path)._replace(free=0)
    monkeypatch.setattr("shutil.disk_usage", lambda _: full)
    failed = CliRunner().invoke(cli, words)
    assert isinstance(failed.exception, InvalidInput) and failed.exception.reason == "DISK_SPACE"
    assert "files to fetch" not in failed.output


def test_kinds_that_a_dataset_lacks_are_not_missed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_store(monkeypatch, store)
    place = f"s3://{store.bucket}/datasets/six/"
    make(write(tmp_path, 6), place, store)
    fetched = fetch_with(store.settings, place, tmp_path / "some", ["raw"], [], 2, if_there=["masks", "no-such-masks"])
    assert fetched.done == fetched.files and not fetched.lost
    fakes = {path.name for path in (tmp_path / "some" / "manipulated_sequences" / "Deepfakes").iterdir()}
    assert fakes == {"raw", "masks"}
