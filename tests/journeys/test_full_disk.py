"""A full disk for temporary files: a clear error, nothing half-written, and a rerun that works."""

from __future__ import annotations

import subprocess

import cv2
import grpc
import numpy as np
import pytest

from facefoundry.errors import Unavailable
from tests.fuzz import clips
from tests.journeys.extractor_and_converter import Services, code_of


@pytest.fixture
def small_disk(tmp_path):
    """A folder that is a disk of its own, and a function that sets its size in KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(kib, *options):
        flags = ",".join([f"size={kib}k", *options])
        return subprocess.run(["mount", "-t", "tmpfs", "-o", flags, "tmpfs", str(folder)], capture_output=True)

    if mount(64).returncode:
        pytest.skip("a file system can be mounted by root only")
    yield folder, lambda kib: mount(kib, "remount")
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def write(folder):
    """Write 8 noisy frames that need much more space as crops and as a lossless video than as the source."""
    noise = np.random.default_rng(0)
    (folder / "clip").mkdir()
    for number, frame in enumerate(clips.frames()):
        frame = np.clip(frame + noise.normal(0, 12, frame.shape), 0, 255).astype(np.uint8)
        (folder / "clip" / f"{number:04d}.jpg").write_bytes(cv2.imencode(".jpg", frame)[1].tobytes())
    return folder / "clip"


@pytest.mark.parametrize("call", ["inspect", "extract", "transcode"])
def test_a_full_scratch_disk_is_reported_and_the_same_call_works_once_there_is_room(store, tmp_path, small_disk, call):
    folder, resize = small_disk
    with Services(store, folder) as running:
        uri = running.upload(write(tmp_path))
        before = running.committed()
        sizes = [32, 160] if call != "inspect" else [32]  # the source does not fit, or only what is made of it
        for kib in sizes:
            assert resize(kib).returncode == 0
            with pytest.raises(Unavailable) as caught:
                getattr(running, call)(uri)
            assert (code_of(caught.value), caught.value.reason) == (grpc.StatusCode.UNAVAILABLE, "SCRATCH_FULL")
            assert "FACEFOUNDRY_SCRATCH_DIR" in caught.value.message
            assert caught.value.retry_after_seconds
            assert running.committed() == before
            running.leave_nothing()
        resize(8192)
        assert getattr(running, call)(uri).frame_count == clips.FRAMES
        running.leave_nothing()
