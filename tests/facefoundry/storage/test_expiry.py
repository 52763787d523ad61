"""An expiry deletes what the rules of the bucket say, and nothing else."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from facefoundry.storage.expiry import expire
from facefoundry.storage.store import Store
from tests.faults.proxy import Fault, Proxy


def in_days(days: float):
    return lambda: datetime.now(timezone.utc) + timedelta(days=days)


def test_it_deletes_old_uploads_and_leaves_young_ones_and_results(store):
    for key in ("uploads/a/clip.mp4", "models/a/1/manifest.json", "trainings/a/status.json"):
        store.put_bytes(key, b"x")
    assert expire(store, in_days(6)) == {
        "unfinished-uploads": 0,
        "uploads": 0,
        "checkpoints-of-abandoned-trainings": 0,
    }
    assert expire(store, in_days(8))["uploads"] == 1
    assert sorted(store.list("")) == ["models/a/1/manifest.json", "trainings/a/status.json"]
    assert expire(store, in_days(181))["checkpoints-of-abandoned-trainings"] == 1
    assert list(store.list("")) == ["models/a/1/manifest.json"]


def test_it_ends_uploads_in_parts_that_nobody_finished(store):
    def begin(client) -> None:
        for key in ("models/a/1/weights", "uploads/b/clip.mp4"):
            client._create_multipart_upload(store.bucket, key, {})

    store.request("an upload", begin)
    assert expire(store, in_days(1))["unfinished-uploads"] == 0
    assert expire(store, in_days(3))["unfinished-uploads"] == 2
    assert expire(store, in_days(3))["unfinished-uploads"] == 0


def written(store: Store, key: str) -> datetime:
    modified = store.stat(key).modified
    assert modified
    return modified


def test_an_object_that_was_written_again_after_it_was_listed_stays(store: Store) -> None:
    again, old, gone = "uploads/a/again", "uploads/a/old", "uploads/a/gone"
    for key in (again, old, gone):
        store.put_bytes(key, b"x")
    before = max(written(store, key) for key in (again, old, gone)) + timedelta(seconds=1)

    def change() -> bool:
        store.delete([gone])
        while written(store, again) < before:
            store.put_bytes(again, b"y")
        return False

    def rule(request) -> Fault | None:
        return Fault(after=change) if (request.kind, request.key) == ("LIST", "uploads/") else None

    with Proxy(store.settings.endpoint, rule=rule) as proxy:
        through = Store(store.settings.model_copy(update={"endpoint": proxy.endpoint}))
        counts = expire(through, lambda: before + timedelta(days=7))
    assert counts["uploads"] == 1
    assert list(store.list("uploads/")) == [again] and store.get_bytes(again) == b"y"
