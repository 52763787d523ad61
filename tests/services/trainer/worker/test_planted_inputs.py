"""A worker trains on what the digest of its training says, or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from facefoundry.errors import DataLoss, InvalidInput
from facefoundry.settings import read
from facefoundry.storage import keys, manifest
from facefoundry.storage.store import Store
from services.trainer.settings import WorkerSettings
from services.trainer.worker import faces
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
    with pytest.raises(InvalidInput, match="to train what this digest says") as caught:
        AttemptRunner(store, planted, read(WorkerSettings, id="worker"), threading.Event()).run()
    assert (caught.value.reason, caught.value.resource) == ("ATTEMPT", f"{planted.prefix}/attempt.json")
    assert [key for key in store.list("") if key.startswith(("models/", "trainings/"))] == []
