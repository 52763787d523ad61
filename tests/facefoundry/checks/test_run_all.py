"""The sandboxes that measure videos."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest

from facefoundry.checks.checking import run_all
from facefoundry.checks.videos import Fake
from facefoundry.errors import Unusable
from facefoundry.process.sandbox.isolation import available
from tests.facefoundry.checks.made import LEVELS, encode


def _read(sandbox, path):
    return list(sandbox.run("facefoundry.checks.measure:measure", fake=str(path), real=str(path), labels=None, head=4))


def _fake(path):
    return Fake(path.stem, "raw", path, path, None)


def test_closing_early_begins_no_further_video(tmp_path):
    first, *blocks = (tmp_path / f"{name}_x.mp4" for name in "abc")
    further = [tmp_path / f"{name}_x.mp4" for name in "fghi"]
    for path in (first, *further):
        path.write_bytes(b"no video")
    for path in blocks:
        os.mkfifo(path)  # whoever opens it waits for a writer
    begun, blocked = list[str](), threading.Semaphore(0)

    def work(sandbox, item):
        begun.append(item.id)
        if item.video in blocks:
            blocked.release()
        _read(sandbox, item.video)

    found = run_all([_fake(path) for path in (first, *blocks, *further)], work, len(blocks))
    item, error = next(found)
    assert item.id == "a_x"
    assert error.reason == "NOT_A_VIDEO"
    for _ in blocks:
        blocked.acquire()
    found.close()
    assert sorted(begun) == ["a_x", "b_x", "c_x"]


@pytest.mark.skipif(not available().landlock, reason="this kernel has no Landlock")
def test_a_sandbox_reads_the_videos_and_no_other_folder(tmp_path):
    inside, outside, linked = (tmp_path / name / "a_b.mp4" for name in ("inside", "outside", "linked"))
    pictures = list(np.zeros((4, 96, 128, 3), np.uint8))
    for path in (inside, outside):
        encode(path, pictures, LEVELS[0], (25, 1))
    linked.parent.mkdir()
    linked.symlink_to(inside)
    read = []

    def work(sandbox, item):
        read.append(_read(sandbox, item.video))
        with pytest.raises(Unusable, match="Permission denied"):
            _read(sandbox, outside)

    assert [error for _, error in run_all([_fake(linked)], work, 1)] == [None]
    assert len(read) == 1
