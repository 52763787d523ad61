"""Results are deleted when every run that names them has ended and keeps them no longer, and no others."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest

from facefoundry import codec
from facefoundry.dataset.record import Failure, FakeRecord, PairRecord, RunRecord, SequenceRecord, TrainingRecord
from facefoundry.dataset.retention import KINDS, expire_results
from facefoundry.errors import DataLoss, Unusable
from facefoundry.storage import document, keys
from facefoundry.storage.store import Store

SHARED = keys.source("0" * 40)


def in_days(days: float) -> Callable[[], datetime]:
    return lambda: datetime.now(timezone.utc) + timedelta(days=days)


def results_of(number: int) -> dict[str, str]:
    """Prefixes of the results of a run, by kind."""
    digest = f"{number:040x}"
    return {
        "sources": keys.source(digest),
        "extractions": keys.extraction(digest),
        "trainings": keys.training(digest),
        "models": keys.model(digest, 300),
        "conversions": keys.conversion(digest),
    }


def save_run(store: Store, name: str, number: int, *, ended: bool = True, **retention: int) -> dict[str, str]:
    """Save the record of a run of one pair, and its results; return their prefixes by kind."""
    made = results_of(number)
    for prefix in (*made.values(), SHARED):
        for part in ("manifest.json", "part"):
            store.put_bytes(f"{prefix}/{part}", b"x")
    uris = {kind: store.uri(prefix) for kind, prefix in made.items()}
    record = RunRecord(name, "", {}, pairs=["a_b"], retention=retention, done=int(ended))
    record.sequences["a"] = SequenceRecord(source_uri=uris["sources"], extraction_uri=uris["extractions"])
    record.sequences["b"] = SequenceRecord(source_uri=store.uri(SHARED))
    training = TrainingRecord(uri=uris["trainings"], model_uri=uris["models"])
    pair = PairRecord("a_b", "a", "b", training=training, fakes=[FakeRecord("a_b", "a", "b", uri=uris["conversions"])])
    document.put(store, f"{keys.run(name)}/run.json", codec.to_standard_json(record))
    if ended:
        document.put(store, f"{keys.run(name)}/pairs/a_b.json", codec.to_standard_json(pair))
    return made


def remaining(store: Store) -> set[str]:
    return {key.rpartition("/")[0] for key in store.list("") if not key.startswith("runs/")}


def test_each_kind_is_deleted_after_its_days_and_a_kind_without_days_stays(store: Store) -> None:
    made = save_run(store, "one", 1, extractions=3, trainings=1, conversions=9)
    store.put_bytes("trainings/index/all/x", b"")
    assert sum(expire_results(store, in_days(0.9)).values()) == 0
    assert expire_results(store, in_days(4)) == {
        **dict.fromkeys(KINDS, 0),
        "extractions": 1,
        "trainings": 1,
    }
    expected = {made["sources"], made["models"], made["conversions"], SHARED, "trainings/index/all"}
    assert remaining(store) == expected
    assert expire_results(store, in_days(10))["conversions"] == 1
    assert expire_results(store, in_days(10_000)) == dict.fromkeys(KINDS, 0)


def test_what_another_run_keeps_or_names_before_it_has_ended_stays(store: Store) -> None:
    first = save_run(store, "first", 1, sources=1, extractions=1, trainings=1, models=1, conversions=1)
    save_run(store, "same-pair", 1, sources=1, extractions=8, models=1)
    save_run(store, "under-way", 2, ended=False, sources=1, extractions=1)
    expire_results(store, in_days(5))
    assert remaining(store) == {
        *(first[kind] for kind in ("extractions", "trainings", "conversions")),
        *results_of(2).values(),
        SHARED,
    }


def test_a_training_that_another_run_goes_on_with_stays(store: Store) -> None:
    made = save_run(store, "one", 1, trainings=1)
    late = max(each.modified for each in store.objects(made["trainings"]) if each.modified)
    assert expire_results(store, lambda: late + timedelta(days=1))["trainings"] == 0
    assert expire_results(store, lambda: late + timedelta(days=2))["trainings"] == 1


def test_a_run_with_failed_pairs_has_ended(store: Store) -> None:
    made = save_run(store, "one", 1, ended=False, extractions=1)
    record = document.get(store, "runs/one/run.json", RunRecord)
    record.failures = {"a_b": Failure("train", "COLLAPSED", "")}
    document.put(store, "runs/one/run.json", codec.to_standard_json(record))
    document.put(store, "runs/one/pairs/a_b.json", codec.to_standard_json(PairRecord("a_b", "a", "b", "failed")))
    assert expire_results(store, in_days(2))["extractions"] == 1
    assert made["extractions"] not in remaining(store)


@pytest.mark.parametrize(
    ("text", "error"), [(b"{", DataLoss), (b'{"format": "facefoundry.run/99", "name": "later"}', Unusable)]
)
def test_nothing_is_deleted_while_a_record_cannot_be_read(store: Store, text: bytes, error: type[Exception]) -> None:
    save_run(store, "one", 1, sources=1, models=1)
    document.put(store, "runs/other/run.json", text)
    before = remaining(store)
    with pytest.raises(error, match=r"runs/other/run\.json"):
        expire_results(store, in_days(9))
    assert remaining(store) == before


def test_nothing_is_deleted_while_an_ended_run_lacks_the_record_of_a_pair(store: Store) -> None:
    save_run(store, "one", 1, conversions=1)
    save_run(store, "same-pair", 1)
    store.delete(["runs/same-pair/pairs/a_b.json"])
    before = remaining(store)
    with pytest.raises(DataLoss, match=r"Expected runs/same-pair/pairs/a_b\.json"):
        expire_results(store, in_days(9))
    assert remaining(store) == before


def test_a_record_can_name_nothing_but_results(store: Store) -> None:
    save_run(store, "one", 1, sources=1)
    record = document.get(store, "runs/one/run.json", RunRecord)
    for number, uri in enumerate(("s3://elsewhere/sources/" + "1" * 40, store.uri("runs/other"), store.uri("sources"))):
        record.sequences[f"c{number}"] = SequenceRecord(source_uri=uri)
    document.put(store, "runs/one/run.json", codec.to_standard_json(record))
    store.put_bytes("runs/other/keep", b"x")
    expire_results(store, in_days(2))
    assert store.exists("runs/other/keep") and store.exists("runs/one/run.json")
