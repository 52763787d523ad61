"""What a user has set for Keras and TensorFlow does not reach a worker."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facefoundry.model import weights
from facefoundry.storage import manifest
from facefoundry.storage.store import Store
from services.trainer import worker_protocol
from services.trainer.backends.local import LocalBackend, LocalSettings
from services.trainer.worker import loop
from services.trainer.worker_environment import worker_variables
from services.trainer.worker_protocol import Attempt, ExitCode
from tests.waiting import wait_until

HOSTILE = {
    "KERAS_BACKEND": "torch",
    "KERAS_MAX_EPOCHS": "many",
    "TF_XLA_FLAGS": "--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_USE_LEGACY_KERAS": "1",
    "XLA_FLAGS": "--no_such_flag=1",
    "ONEDNN_DEFAULT_FPMATH_MODE": "BF16",
}


def test_only_the_devices_are_the_users_choice() -> None:
    kept = {"PATH": "/bin", "CUDA_VISIBLE_DEVICES": "1", "FACEFOUNDRY_WORKER_THREADS": "2", "HOME": "/home/a"}
    seen = worker_variables(HOSTILE | kept)
    assert seen == worker_variables({}) | kept
    assert seen["KERAS_BACKEND"] == "tensorflow"


def test_a_worker_in_a_hostile_environment_trains_the_same_model(
    store: Store, spawn: Callable[..., Any], put_attempt: Callable[..., Attempt], draw_faces: Any, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    (home / ".keras").mkdir(parents=True)
    configuration = {"floatx": "float16", "image_data_format": "channels_first", "backend": "torch", "epsilon": 0.1}
    (home / ".keras" / "keras.json").write_text(json.dumps(configuration))
    attempt = put_attempt(iterations=3)
    uri = store.uri(worker_protocol.attempt_key(attempt.prefix))
    assert spawn(uri, HOSTILE | {"HOME": str(home)}).wait(120) == ExitCode.DONE

    loop.configure()
    undisturbed = loop.Training(attempt.training_options(), {"a": draw_faces(12, 1), "b": draw_faces(12, 2)})
    undisturbed.run(3)
    digest = weights.content_digest(undisturbed.network.tensors())
    assert manifest.load(store, attempt.model_prefix).content_digest == digest


def test_the_local_backend_starts_its_workers_without_the_users_variables(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    backend = LocalBackend(LocalSettings(local_waiting_worker=False), tmp_path, command=("/bin/sh", "-c", 'env > "$0"'))
    seen = tmp_path / "seen"
    try:
        backend.start("job", str(seen))
        wait_until(lambda: (job := backend.get("job")) is not None and job.exit_code == 0)
    finally:
        backend.close()
    variables = dict(line.partition("=")[::2] for line in seen.read_text().splitlines())
    assert variables["KERAS_BACKEND"] == "tensorflow" and HOSTILE.keys() & variables.keys() == {"KERAS_BACKEND"}
