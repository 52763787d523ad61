"""Documents of trainer and worker are read back equal, and wrong ones are refused with the field that is wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from facefoundry.errors import DataLoss, InvalidInput
from facefoundry.storage import document
from facefoundry.storage.store import Store
from services.trainer import worker_protocol
from services.trainer.training_store import TrainingStore
from services.trainer.worker_protocol import Attempt, Outcome, Preview, Status

TRAINING = "0" * 40
CREATED = "2026-01-01T00:00:00+00:00"
ATTEMPT = Attempt(TRAINING, 2, "A_B", "extractions/a", "extractions/b", {"batch_size": 4}, 6, CREATED)
STATUS = Status(2, "worker", 3, 6, 0.5, 6.0, ((1, 0.5, 0.25), (2, 0.25, 0.125)), 2, (Preview(1, "previews/1.jpg"),))
OUTCOME = Outcome(2, "FAILED", "NO_FACES", "There is no face.", 3)


KEY = "trainings/x/document.json"


@pytest.mark.parametrize("written", [ATTEMPT, STATUS, OUTCOME], ids=lambda written: type(written).__name__)
def test_a_document_is_read_back_equal(store: Store, written: Any) -> None:
    document.put(store, KEY, document.encode(written))
    assert document.get(store, KEY, type(written)) == written


def test_what_a_later_version_adds_is_ignored_and_what_it_leaves_out_has_a_default(store: Store) -> None:
    document.put(store, KEY, b'{"attempt": 1, "state": "CANCELLED", "color": "red"}')
    outcome = document.get(store, KEY, Outcome)
    assert (outcome.attempt, outcome.state, outcome.message) == (1, "CANCELLED", "")


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        (CREATED, CREATED),
        ("2026-01-01T00:00:00", CREATED),
        ("2026-01-01", CREATED),
        ("2026-01-01T02:00:00+02:00", "2026-01-01T02:00:00+02:00"),
    ],
)
def test_a_time_without_a_zone_is_read_as_utc(store: Store, written: str, moment: str) -> None:
    document.put(store, KEY, document.encode(ATTEMPT).replace(CREATED.encode(), written.encode()))
    assert document.get(store, KEY, Attempt).created == moment


@pytest.mark.parametrize(
    ("kind", "changes", "field"),
    [
        (Outcome, {"state": "LOST"}, "state"),
        (Outcome, {"attempt": "2"}, "attempt"),
        (Attempt, {"iterations": 6.5}, "iterations"),
        (Attempt, {"options": []}, "options"),
        (Status, {"losses": [[1, 0.5]]}, r"losses\.0"),
        (Status, {"previews": [{"iteration": 1}]}, r"previews\.0\.key"),
    ],
)
def test_a_wrong_field_is_named(store: Store, kind: Any, changes: dict[str, object], field: str) -> None:
    written: Any = {Outcome: OUTCOME, Attempt: ATTEMPT, Status: STATUS}[kind]
    document.put(store, KEY, json.dumps(json.loads(document.encode(written)) | changes).encode())
    with pytest.raises(DataLoss, match=field) as caught:
        document.get(store, KEY, kind)
    assert caught.value.reason == "BAD_DOCUMENT"


def test_a_damaged_document_is_named_by_its_key(store: Store) -> None:
    documents = TrainingStore(store)
    documents.save_attempt(ATTEMPT)
    assert documents.load(ATTEMPT.prefix) == ATTEMPT
    key = worker_protocol.attempt_key(ATTEMPT.prefix)
    data, metadata = store.get_with_metadata(key)
    store.put_bytes(key, data.replace(b'"A_B"', b'"A_C"'), metadata=metadata)
    with pytest.raises(DataLoss, match=r"trainings/0+/attempt\.json is damaged") as caught:
        documents.load(ATTEMPT.prefix)
    assert caught.value.resource == key


def test_options_that_were_stored_before_a_field_existed_have_its_implied_value() -> None:
    assert not {"face_size", "retry_learning_rate_factor"} & set(ATTEMPT.options)
    options = ATTEMPT.training_options()
    assert (options.face_size, options.retry_learning_rate_factor) == (64, 0)
    large = replace(ATTEMPT, options={"face_size": 128})
    assert large.training_options().face_size == 128


def test_options_of_another_recipe_are_refused() -> None:
    assert ATTEMPT.training_options().batch_size == 4
    foreign = Attempt(TRAINING, 1, "A_B", "a", "b", {"colour": "red"}, 6, CREATED)
    with pytest.raises(InvalidInput, match="colour") as caught:
        foreign.training_options()
    assert caught.value.reason == "ATTEMPT"
