"""Folders for temporary files, and a disk that has no room for them."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from facefoundry.errors import Unavailable
from facefoundry.process.scratch import Scratch, disk_full


def test_a_folder_lives_as_long_as_its_block(tmp_path):
    with Scratch("extractor", tmp_path).folder() as folder:
        (folder / "file").write_bytes(b"x")
        assert folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_a_write_to_a_full_disk_is_an_error_of_ours_and_leaves_nothing(tmp_path):
    with pytest.raises(Unavailable) as caught, Scratch("extractor", tmp_path).folder():
        Path("/dev/full").write_bytes(b"x")
    assert caught.value.reason == "SCRATCH_FULL" and caught.value.retry_after_seconds
    assert list(tmp_path.iterdir()) == []


def test_other_errors_go_through_as_they_are(tmp_path):
    with pytest.raises(FileNotFoundError), Scratch("extractor", tmp_path).folder() as folder:
        (folder / "gone").read_bytes()
    assert disk_full(OSError(errno.EIO, "broken")) is None and disk_full(ValueError()) is None
    assert disk_full(OSError(errno.EDQUOT, "over the quota")) is not None
