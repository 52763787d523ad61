"""A worker trains on what the digest of its training says, or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from facefoundry.errors import DataLoss, InvalidInput, NotFound
from facefoundry.model import weights
from facefoundry.model.weights import NETWORK_FORMAT
from facefoundry.settings import read
from facefoundry.storage import keys, manifest
from facefoundry.storage.store import Store
from services.trainer import signing
from services.trainer.settings import WorkerSettings
from services.trainer.training_store import TrainingStore
from services.trainer.worker import checkpoint, faces
from services.trainer.worker.attempt_runner import AttemptRunner
from services.trainer.worker_protocol import Attempt
from tests.extractions import alignments_of, put_extraction

PREFIX = keys.extraction("1" * 40)


def plant(store: Store, claimed: str, **parts: bytes) -> None:
    """Put other parts into the committed extraction, and claim a content digest."""
    committed = manifest.load(store, PREFIX)
    kept = [part for part in committed.parts if part.name.partition(".")[0].replace("-", "_") not in parts]
    names = {"faces_00000": "faces-00000.tar", "alignments": "alignments.safetensors"}
    put = [manifest.put_part(store, PREFIX, names[name], data) for name, data in parts.items()]
    changed = replace(committed, parts=(*kept, *put), content_digest=claimed)
    manifest.commit(store, PREFIX, changed, replace=True)


@pytest.mark.parametrize("planted", ["faces", "alignments", "both", "fewer faces"])
def test_faces_with_other_content_than_the_manifest_claims_are_data_loss(
    store: Store, draw_faces: Callable[..., Any], planted: str
) -> None:
    crops, others = draw_faces(4, 1), draw_faces(4, 2)
    own = put_extraction(store, PREFIX, crops).content_digest
    tar = {part.name: manifest.read_part(store, part) for part in put_extraction(store, "other", others).parts}
    fewer = {part.name: manifest.read_part(store, part) for part in put_extraction(store, "fewer", crops[:3]).parts}
    made = alignments_of(others).to_bytes()
    changes = {
        "faces": {"faces_00000": tar["faces-00000.tar"]},
        "alignments": {"alignments": made},
        "both": {"faces_00000": tar["faces-00000.tar"], "alignments": made},
        "fewer faces": {"faces_00000": fewer["faces-00000.tar"]},
    }
    plant(store, own, **changes[planted])
    with pytest.raises(DataLoss) as caught:
        faces.fetch(store, PREFIX)
    assert (caught.value.reason, caught.value.resource) == ("DIGEST_MISMATCH", store.uri(PREFIX))


@pytest.mark.parametrize("change", ["the digest", "an option", "an extraction"])
def test_an_attempt_below_the_digest_of_another_training_is_refused(
    store: Store, make_attempt: Callable[..., Attempt], put_extraction: Callable[..., str], change: str
) -> None:
    attempt = make_attempt()
    planted = {
        "the digest": replace(attempt, training="f" * 40),
        "an option": replace(attempt, options={**attempt.options, "batch_size": 2}),
        "an extraction": replace(attempt, extraction_b=put_extraction(3)),
    }[change]
    signing.make(store, planted.training)
    with pytest.raises(InvalidInput, match="to train what this digest says") as caught:
        AttemptRunner(store, planted, read(WorkerSettings, id="worker"), threading.Event()).run()
    assert (caught.value.reason, caught.value.resource) == ("ATTEMPT", f"{planted.prefix}/attempt.json")
    assert [key for key in store.list("") if key.startswith(("models/", "trainings/"))] == []


@pytest.mark.parametrize("planted", ["checkpoint", "model"])
def test_no_worker_resumes_from_what_no_worker_of_the_training_has_signed(
    store: Store, put_attempt: Callable[..., Attempt], planted: str
) -> None:
    attempt, other = put_attempt(), put_attempt(faces=5)
    state = checkpoint.State(3, {"x": np.ones(2, np.float32)}, {})
    if planted == "checkpoint":
        writer = checkpoint.Checkpoints(store, other, "worker")
        writer.begin(state)
        writer.finish()
        source, target = (f"{each.prefix}/checkpoints/worker" for each in (other, attempt))
    else:
        reached = replace(other, iterations=3)
        network = weights.to_bytes(state.weights, {"format": NETWORK_FORMAT})
        checkpoint.commit_model(store, reached, state, network, {})
        source, target = (replace(each, iterations=3).model_prefix for each in (other, attempt))
    assert checkpoint.find_newest(store, other) is not None
    for key in [*store.list(source)]:
        store.put_bytes(target + key.removeprefix(source), store.get_bytes(key))
    copied = manifest.load(store, source)
    parts = tuple(replace(part, key=target + part.key.removeprefix(source)) for part in copied.parts)
    manifest.commit(store, target, replace(copied, parts=parts), replace=True)
    assert checkpoint.find_newest(store, attempt) is None


def test_a_worker_writes_its_model_over_one_that_no_worker_signed(
    store: Store, put_attempt: Callable[..., Attempt]
) -> None:
    attempt = put_attempt()
    part = manifest.put_part(store, attempt.model_prefix, "weights.safetensors", b"planted")
    planted = manifest.Manifest("model", {}, {}, (part,), {}, "content")
    manifest.commit(store, attempt.model_prefix, planted)
    state = checkpoint.State(attempt.iterations, {"x": np.ones(2, np.float32)}, {})
    network = weights.to_bytes(state.weights, {"format": NETWORK_FORMAT})
    checkpoint.commit_model(store, attempt, state, network, {})
    assert TrainingStore(store).has_model(attempt)
    assert manifest.load(store, attempt.model_prefix).content_digest == weights.content_digest(state.weights)


def test_a_worker_without_a_signing_key_ends_before_it_trains(
    store: Store, put_attempt: Callable[..., Attempt]
) -> None:
    attempt = put_attempt()
    store.delete([keys.signing(attempt.training)])
    with pytest.raises(NotFound) as caught:
        AttemptRunner(store, attempt, read(WorkerSettings, id="worker"), threading.Event()).run()
    assert caught.value.reason == "NO_SIGNING_KEY"
