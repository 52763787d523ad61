"""Makes small datasets in a bucket, for tests of what reads them."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from facefoundry.client import Client
from facefoundry.planning.draft import plan
from facefoundry.planning.running import run
from facefoundry.storage.store import Store
from tests.facefoundry.dataset.fakes import FakeServices

LEVELS = ["raw", "c40"]


def write(folder: Path, clips: int) -> Path:
    """Write a dataset file with clips, which are texts, and return its path."""
    (folder / "clips").mkdir()
    for number in range(clips):
        (folder / "clips" / f"{number}.mp4").write_bytes(b"clip %d" % number)
    path = folder / "dataset.yaml"
    plan([folder / "clips"], path, name="six", recipe="preview", rights="unstated")
    edit(path, ("levels: []", "levels: [c40, raw]"), ("set: {}", "set: {extraction.identity: false}"))
    return path


def name_store(patch: pytest.MonkeyPatch, store: Store) -> None:
    settings = store.settings
    for name, value in {
        "ENDPOINT": settings.endpoint,
        "ACCESS_KEY": settings.access_key.get_secret_value(),
        "SECRET_KEY": settings.secret_key.get_secret_value(),
        "BUCKET": settings.bucket,
    }.items():
        patch.setenv(f"FACEFOUNDRY_STORE_{name}", value)


def make(dataset: Path, out: object, store: Store) -> None:
    records = run(dataset, str(out), cast(Client, FakeServices(store, LEVELS)))
    assert {pair.state for pair in records} == {"done"}, [pair.failure for pair in records]


def edit(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
