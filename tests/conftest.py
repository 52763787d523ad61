"""What all tests share: a real S3 server for the session and a fresh bucket in it for each test."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from facefoundry.local.store import ObjectStore
from facefoundry.settings import StoreSettings
from facefoundry.storage.store import Store


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreSettings]:
    """Settings of a real S3 server that lives as long as the session."""
    with ObjectStore(tmp_path_factory.mktemp("object-store")) as settings:
        yield settings


@pytest.fixture
def store_settings(object_store: StoreSettings) -> StoreSettings:
    """Settings of the session's server with a bucket name of the test's own; the bucket is not made."""
    return object_store.model_copy(update={"bucket": f"test-{uuid.uuid4().hex[:12]}"})


@pytest.fixture
def store(store_settings: StoreSettings) -> Store:
    """A store on a fresh bucket."""
    made = Store(store_settings)
    made.make_bucket()
    return made


@pytest.fixture
def weed(tmp_path: Path) -> Iterator[Callable[..., ObjectStore]]:
    """Makes S3 servers of the test's own, for tests that kill them; all are stopped in the end."""
    made: list[ObjectStore] = []

    def make(name: str = "own-store") -> ObjectStore:
        made.append(ObjectStore(tmp_path / name))
        return made[-1]

    yield make
    for server in made:
        server.stop()
