"""Engines that are loaded before a fork work after it, and leave no thread to a process that forks."""

from __future__ import annotations

from unittest.mock import create_autospec

import grpc
import psutil
import pytest

from facefoundry.process.sandbox import Limits
from facefoundry.process.scratch import Scratch
from facefoundry.work.messages import Result
from facefoundry.work.pool import SandboxPool
from services.extractor import engines, pipeline
from services.extractor.functions import INSPECT, InspectArgs
from tests.clips import drifting_face, encode
from tests.processes import sandboxes

FORK_SAFE = [engine.name for engine in engines.declarations() if engine.fork_safe]


def test_the_engines_that_start_threads_or_use_a_gpu_are_loaded_in_each_process():
    assert set(FORK_SAFE) == {"dlib", "centerface"}
    pipeline.prepare(
        InspectArgs(clip_files=(), engine="face_alignment", sample_frames=1, max_total=1)
    )  # has no weights to load


@pytest.mark.parametrize("engine", FORK_SAFE)
def test_an_engine_that_was_loaded_before_a_fork_finds_the_same_after_it(engine, tmp_path):
    clip = encode(tmp_path / "clip.mp4", drifting_face(2), 25).read_bytes()
    call = create_autospec(grpc.ServicerContext, instance=True)
    arguments = InspectArgs(clip_files=("clip.mp4",), engine=engine, sample_frames=2, max_total=1 << 40)
    before = sandboxes()
    pool = SandboxPool(Limits(seconds=120, memory_bytes=2 << 30, threads=4), Scratch("forks", tmp_path / "scratch"))
    found = []
    for _ in range(2):
        with pool.acquire(call) as (sandbox, workspace):
            workspace.input("clip.mp4").write_bytes(clip)
            *_, last = INSPECT.run(sandbox, arguments, workspace)
            found.append(last)
        (child,) = sandboxes() - before
        assert psutil.Process(child).num_threads() == 1
    pool.close()
    assert isinstance(found[0], Result) and found[0] == found[1]
    assert [sample.faces for sample in found[0].info.samples] == [1, 1]
