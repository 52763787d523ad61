"""An expiry deletes what the rules of the bucket say, and nothing else."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from facefoundry.storage.expiry import expire


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
