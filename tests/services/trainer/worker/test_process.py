"""The worker as a real process against a real store."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from facefoundry import codec
from facefoundry.model import weights
from facefoundry.model.network import SideName, build
from facefoundry.storage import document, keys, manifest
from facefoundry.storage.info import ModelInfo
from facefoundry.storage.store import Store
from services.trainer import worker_protocol
from services.trainer.imports import store_model
from services.trainer.worker import base, loop
from services.trainer.worker_protocol import Attempt, Base, ExitCode, ExitReport, Status
from tests.services.trainer.importing import TINY
from tests.waiting import wait_until

Spawn = Callable[..., "subprocess.Popen[bytes]"]


def exit_report(folder: Path) -> ExitReport:
    return codec.from_json(ExitReport, (folder / "exit-report").read_bytes())


def uri_of(store: Store, attempt: Attempt) -> str:
    return store.uri(worker_protocol.attempt_key(attempt.prefix))


def read_status(store: Store, attempt: Attempt) -> Status:
    return document.get(store, worker_protocol.status_key(attempt.prefix), Status)


@pytest.fixture(params=["from nothing", pytest.param("from a base", marks=pytest.mark.full)])
def start(request: pytest.FixtureRequest, store: Store) -> dict[str, Any]:
    """How the training starts: from random weights, or from a base and with one common decoder first."""
    if request.param == "from nothing":
        return {}
    tensors = build(TINY, seed=1).tensors()
    digest = weights.content_digest(tensors)
    done = store_model(store, digest, TINY.pack(tensors), codec.to_values(TINY), {})
    return {"common": 60, "base": Base(keys.prefix_of(store.bucket, done.uri, "imports"), digest)}


def test_b11_a_stopped_training_goes_on_to_the_model_of_an_unbroken_one_in_as_many_iterations(
    store: Store,
    spawn: Spawn,
    put_attempt: Callable[..., Attempt],
    draw_faces: Callable[..., Any],
    start: dict[str, Any],
    tmp_path: Path,
) -> None:
    attempt = put_attempt(iterations=120, **start)
    first = spawn(uri_of(store, attempt), id="first", call_seconds=0.2)
    wait_until(
        lambda: store.exists(worker_protocol.status_key(attempt.prefix)) and read_status(store, attempt).iteration > 0
    )
    first.send_signal(signal.SIGTERM)
    assert first.wait(60) == ExitCode.INTERRUPTED
    report = exit_report(tmp_path)
    stopped = read_status(store, attempt)
    assert report.reason == "INTERRUPTED"
    assert 0 < report.iteration == stopped.iteration == stopped.checkpoint_iteration < 120

    second = spawn(uri_of(store, attempt), id="second")
    assert second.wait(120) == ExitCode.DONE
    assert exit_report(tmp_path).reason == "DONE"
    model = manifest.load(store, attempt.model_prefix)
    assert model.info["pair_id"] == "A_B"
    assert model.info["iterations"] == 120
    assert model.info_as(ModelInfo).threads == [len(os.sched_getaffinity(0))]
    assert [point[0] for point in model.info_as(ModelInfo).losses] == list(range(1, 121))
    trained = manifest.read_part(store, model.part("weights.safetensors"))
    tensors, _ = weights.from_bytes(trained, weights.NETWORK_FORMAT)
    assert weights.content_digest(tensors) == model.content_digest
    status = read_status(store, attempt)
    assert status.worker == "second"
    assert status.iteration == status.iterations == 120
    assert all(store.get_bytes(preview.key).startswith(b"\xff\xd8") for preview in status.previews)
    assert list(store.list(worker_protocol.checkpoints_prefix(attempt.prefix))) == []

    loop.configure()
    crops: dict[SideName, Any] = {"a": draw_faces(12, 1), "b": draw_faces(12, 2)}
    first_weights = partial(base.initial_weights, store, attempt.base, "a") if attempt.base else None
    assert model.inputs.get("base_digest") == (attempt.base.content_digest if attempt.base else None)
    unbroken = loop.Training(attempt.training_options(), crops, start=first_weights)
    unbroken.run(120)
    assert weights.content_digest(unbroken.network.tensors()) == model.content_digest


def test_a_waiting_worker_has_loaded_tensorflow_and_trains_what_it_is_told(
    store: Store, spawn: Spawn, put_attempt: Callable[..., Attempt]
) -> None:
    attempt = put_attempt(iterations=3)
    worker = spawn(worker_protocol.WAIT, stdin=subprocess.PIPE, parent=os.getpid())
    process = psutil.Process(worker.pid)
    wait_until(lambda: any("_pywrap_tensorflow" in item.path for item in process.memory_maps()), 60)
    order = worker_protocol.Order(uri_of(store, attempt), {"FACEFOUNDRY_WORKER_ID": "ordered"})
    worker.communicate(codec.to_json(order) + b"\n", timeout=120)
    assert worker.returncode == ExitCode.DONE
    assert read_status(store, attempt).worker == "ordered"


def test_a_waiting_worker_ends_with_its_backend(spawn: Spawn) -> None:
    worker = spawn(worker_protocol.WAIT, stdin=subprocess.PIPE, parent=os.getpid())
    worker.communicate(b"", timeout=60)
    assert worker.returncode == ExitCode.DONE


@pytest.fixture
def silent_keyboard() -> Iterator[None]:
    """A standard input that stays open and empty, for the processes that the test starts."""
    reading, writing = os.pipe()
    own = os.dup(0)
    os.dup2(reading, 0)
    yield
    os.dup2(own, 0)
    for descriptor in (reading, writing, own):
        os.close(descriptor)


def test_b10_a_worker_with_bad_input_ends_by_itself_with_an_exit_code_for_it(
    store: Store, spawn: Spawn, put_attempt: Callable[..., Attempt], silent_keyboard: None, tmp_path: Path
) -> None:
    attempt = put_attempt()
    store.delete(store.list(attempt.extraction_b))
    assert spawn(uri_of(store, attempt)).wait(90) == ExitCode.BAD_INPUT
    report = exit_report(tmp_path)
    assert report.reason == "NOT_COMMITTED"
    assert attempt.extraction_b in report.message


def test_a_worker_that_needs_a_gpu_and_whose_tensorflow_has_no_cuda_reports_it_and_ends_for_good(
    store: Store, spawn: Spawn, put_attempt: Callable[..., Attempt], tmp_path: Path
) -> None:
    worker = spawn(uri_of(store, put_attempt()), {"CUDA_VISIBLE_DEVICES": ""}, require_gpu=True)
    assert worker.wait(90) == ExitCode.BAD_INPUT
    report = exit_report(tmp_path)
    assert report.reason == "NO_GPU"
    assert "built without CUDA" in report.message


def test_a_damaged_attempt_is_bad_input(store: Store, spawn: Spawn, tmp_path: Path) -> None:
    prefix = "trainings/" + "0" * 40
    store.put_bytes(f"{prefix}/attempt.json", b"{}")
    assert spawn(store.uri(f"{prefix}/attempt.json")).wait(30) == ExitCode.BAD_INPUT
    assert exit_report(tmp_path).reason == "BAD_DOCUMENT"


def test_a_worker_without_a_store_may_run_again(store: Store, spawn: Spawn, tmp_path: Path) -> None:
    uri = store.uri("trainings/" + "0" * 40 + "/attempt.json")
    dead = {"FACEFOUNDRY_STORE_ENDPOINT": "127.0.0.1:1", "FACEFOUNDRY_STORE_ATTEMPTS": "1"}
    assert spawn(uri, dead).wait(30) == ExitCode.INTERRUPTED
    assert exit_report(tmp_path).reason == "STORE_UNAVAILABLE"


def test_a_worker_whose_parent_is_gone_does_nothing(store: Store, spawn: Spawn, tmp_path: Path) -> None:
    uri = store.uri("trainings/" + "0" * 40 + "/attempt.json")
    assert spawn(uri, parent=1).wait(30) == ExitCode.INTERRUPTED
    assert not (tmp_path / "exit-report").exists()


def test_a_worker_that_fills_its_scratch_ends_for_good_and_says_what_to_raise(
    store: Store, spawn: Spawn, put_attempt: Callable[..., Attempt], tmp_path: Path
) -> None:
    full = tmp_path / "scratch"
    full.mkdir()
    (full / "core").write_bytes(b"x" * 20_000)
    worker = spawn(uri_of(store, put_attempt()), scratch_dir=full, scratch_bytes=10_000)
    assert worker.wait(90) == ExitCode.BAD_INPUT
    report = exit_report(tmp_path)
    assert report.reason == "SCRATCH_FULL" and "worker.scratch" in report.message


def test_a_worker_without_progress_ends_as_interrupted(
    store: Store, spawn: Spawn, put_attempt: Callable[..., Attempt], tmp_path: Path
) -> None:
    attempt = put_attempt()
    assert spawn(uri_of(store, attempt), idle_seconds=0.5).wait(60) == ExitCode.INTERRUPTED
    assert exit_report(tmp_path).reason == "IDLE"
