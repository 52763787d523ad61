"""The worker as a real process against a real store."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from facefoundry.model import weights
from facefoundry.storage import manifest
from facefoundry.storage.store import Store
from services.trainer import worker_protocol
from services.trainer.worker import loop
from services.trainer.worker_protocol import Attempt, ExitCode, Status

Spawn = Callable[..., "subprocess.Popen[bytes]"]
WaitFor = Callable[[Callable[[], bool]], None]


def last_words(folder: Path) -> dict[str, Any]:
    lines = (folder / "last-words").read_text().splitlines()
    assert len(lines) == 1
    return dict(json.loads(lines[0]))


def uri_of(store: Store, request: Attempt) -> str:
    return store.uri(worker_protocol.attempt_key(request.prefix))


def read_status(store: Store, request: Attempt) -> Status:
    return worker_protocol.from_json(Status, store.get_bytes(worker_protocol.status_key(request.prefix)))


def test_b11_a_stopped_training_goes_on_to_the_model_of_an_unbroken_one_in_as_many_iterations(
    store: Store,
    spawn: Spawn,
    put_attempt: Callable[..., Attempt],
    draw_faces: Callable[..., Any],
    wait_for: WaitFor,
    tmp_path: Path,
) -> None:
    request = put_attempt(iterations=120)
    first = spawn(uri_of(store, request), id="first", call_seconds=0.2)
    wait_for(
        lambda: store.exists(worker_protocol.status_key(request.prefix)) and read_status(store, request).iteration > 0
    )
    first.send_signal(signal.SIGTERM)
    assert first.wait(60) == ExitCode.INTERRUPTED
    words = last_words(tmp_path)
    stopped = read_status(store, request)
    assert words["reason"] == "INTERRUPTED"
    assert 0 < words["iteration"] == stopped.iteration == stopped.checkpoint_iteration < 120

    second = spawn(uri_of(store, request), id="second")
    assert second.wait(120) == ExitCode.DONE
    assert last_words(tmp_path)["reason"] == "DONE"
    model = manifest.load(store, request.model_prefix)
    assert model.info["pair_id"] == "A_B"
    assert model.info["iterations"] == 120
    assert [point[0] for point in model.info["losses"]] == list(range(1, 121))
    trained = manifest.read_part(store, model.part("weights.safetensors"))
    tensors, _ = weights.from_bytes(trained, weights.NETWORK_FORMAT)
    assert weights.content_digest(tensors) == model.content_digest
    status = read_status(store, request)
    assert status.worker == "second"
    assert status.iteration == status.iterations == 120
    assert all(store.get_bytes(preview.key).startswith(b"\xff\xd8") for preview in status.previews)
    assert list(store.list(worker_protocol.checkpoints_prefix(request.prefix))) == []

    loop.configure()
    unbroken = loop.Training(request.training_options(), {"a": draw_faces(12, 1), "b": draw_faces(12, 2)})
    unbroken.run(120)
    assert weights.content_digest(unbroken.network.tensors()) == model.content_digest


@pytest.fixture
def silent_keyboard() -> Iterator[None]:
    """A standard input that stays open and says nothing, for the processes that the test starts."""
    reading, writing = os.pipe()
    own = os.dup(0)
    os.dup2(reading, 0)
    yield
    os.dup2(own, 0)
    for descriptor in (reading, writing, own):
        os.close(descriptor)


def test_b10_a_worker_ends_by_itself_with_an_exit_code_that_tells_a_failure(
    store: Store, spawn: Spawn, put_attempt: Callable[..., Attempt], silent_keyboard: None, tmp_path: Path
) -> None:
    request = put_attempt()
    store.delete(store.list(request.extraction_b))
    assert spawn(uri_of(store, request)).wait(90) == ExitCode.BAD_INPUT
    words = last_words(tmp_path)
    assert words["reason"] == "NOT_COMMITTED"
    assert request.extraction_b in words["message"]


def test_a_worker_that_shall_have_a_gpu_and_sees_none_says_so_and_may_be_run_elsewhere(
    store: Store, spawn: Spawn, put_attempt: Callable[..., Attempt], tmp_path: Path
) -> None:
    worker = spawn(uri_of(store, put_attempt()), {"CUDA_VISIBLE_DEVICES": ""}, require_gpu=True)
    assert worker.wait(90) not in (ExitCode.DONE, ExitCode.BAD_INPUT)
    words = last_words(tmp_path)
    assert words["reason"] == "NO_GPU"
    assert "CUDA" in words["message"]


def test_a_request_that_is_none_is_bad_input(store: Store, spawn: Spawn, tmp_path: Path) -> None:
    prefix = "trainings/" + "0" * 40
    store.put_bytes(f"{prefix}/attempt.json", b"{}")
    assert spawn(store.uri(f"{prefix}/attempt.json")).wait(30) == ExitCode.BAD_INPUT
    assert last_words(tmp_path)["reason"] == "REQUEST"


def test_a_worker_whose_store_is_gone_asks_to_be_run_again(store: Store, spawn: Spawn, tmp_path: Path) -> None:
    uri = store.uri("trainings/" + "0" * 40 + "/attempt.json")
    dead = {"FACEFOUNDRY_STORE_ENDPOINT": "127.0.0.1:1", "FACEFOUNDRY_STORE_ATTEMPTS": "1"}
    assert spawn(uri, dead).wait(30) == ExitCode.INTERRUPTED
    assert last_words(tmp_path)["reason"] == "STORE_UNAVAILABLE"


def test_a_worker_whose_parent_is_gone_does_nothing(store: Store, spawn: Spawn, tmp_path: Path) -> None:
    uri = store.uri("trainings/" + "0" * 40 + "/attempt.json")
    assert spawn(uri, parent=1).wait(30) == ExitCode.INTERRUPTED
    assert not (tmp_path / "last-words").exists()


def test_a_worker_without_progress_ends_as_interrupted(
    store: Store, spawn: Spawn, put_attempt: Callable[..., Attempt], tmp_path: Path
) -> None:
    request = put_attempt()
    assert spawn(uri_of(store, request), idle_seconds=0.5).wait(60) == ExitCode.INTERRUPTED
    assert last_words(tmp_path)["reason"] == "IDLE"
