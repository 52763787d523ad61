"""A worker's base: what it copies, and that it is still the one with which the training was started."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from facefoundry import codec
from facefoundry.errors import NotFound, Unusable
from facefoundry.model import weights
from facefoundry.model.network import SideName, build
from facefoundry.storage import keys, manifest
from facefoundry.storage.info import Restart
from facefoundry.storage.store import Store
from services.trainer.imports import store_model
from services.trainer.worker import base
from services.trainer.worker.loop import Training
from services.trainer.worker_protocol import Attempt, Base
from tests.services.trainer.importing import TINY, tensors_of
from tests.services.trainer.worker.test_collapse import put_checkpoint, run
from tests.services.trainer.worker.test_loop import options


@pytest.fixture
def put(store: Store) -> Base:
    """A stored base."""
    tensors = build(TINY, seed=3).tensors()
    digest = weights.content_digest(tensors)
    done = store_model(store, digest, TINY.pack(tensors), codec.to_values(TINY), {})
    return Base(keys.prefix_of(store.bucket, done.uri, "imports"), digest)


def test_the_encoder_and_one_decoder_are_copied(store: Store, put: Base) -> None:
    tensors = base.fetch(store, put)
    copied = base.on_both_sides(tensors, "b")
    assert copied.keys() == tensors.keys()
    for name, tensor in copied.items():
        assert np.array_equal(tensor, tensors[name.replace("decoder_a", "decoder_b")]), name


def test_a_training_begins_with_its_base_and_a_restart_goes_back_to_it(
    put: Base, store: Store, draw_faces: Any
) -> None:
    start = base.on_both_sides(base.fetch(store, put), "a")
    crops: dict[SideName, Any] = {"a": draw_faces(4, 1), "b": draw_faces(4, 2)}
    training = Training(options(), crops, start=lambda: start)
    assert weights.content_digest(training.network.tensors()) == weights.content_digest(start)
    assert not any(moment.any() for moment in training.moments().values()), "the optimizer starts from zero"
    training.network.assign({name: tensor + 1 for name, tensor in start.items()})
    training.restart(1e-5)
    assert weights.content_digest(training.network.tensors()) == weights.content_digest(start)


def test_a_worker_that_resumes_needs_its_base_no_more(
    store: Store, put: Base, put_attempt: Callable[..., Attempt], draw_faces: Any
) -> None:
    attempt, restart = put_attempt(iterations=6, base=put), Restart(5, 1e-5)
    chosen = attempt.training_options()
    chosen.learning_rate = restart.learning_rate
    crops: dict[SideName, Any] = {"a": draw_faces(12, 1), "b": draw_faces(12, 2)}
    unbroken = Training(chosen, crops, start=lambda: base.initial_weights(store, put, "a"))
    unbroken.run(3)
    put_checkpoint(store, attempt, "killed", unbroken, restart)
    unbroken.run(3)
    store.delete(store.list(put.prefix))
    run(store, attempt)
    model = manifest.load(store, attempt.model_prefix)
    assert model.content_digest == weights.content_digest(unbroken.network.tensors())
    assert model.inputs["base_digest"] == put.content_digest


def test_a_base_that_changed_since_the_start_is_refused(store: Store, put: Base) -> None:
    stored = manifest.load(store, put.prefix)
    with pytest.raises(Unusable, match="as it was when the training was started") as caught:
        base.fetch(store, replace(put, content_digest="0" * 64))
    assert caught.value.reason == "BASE_CHANGED"
    other = TINY.pack(tensors_of(TINY, 4))
    part = manifest.put_part(store, put.prefix, "weights.safetensors", other)
    manifest.commit(store, put.prefix, replace(stored, parts=(part,)), replace=True)
    with pytest.raises(Unusable, match="as it was when the training was started"):
        base.fetch(store, put)
    store.delete(store.list(put.prefix))
    with pytest.raises(NotFound):
        base.fetch(store, put)
