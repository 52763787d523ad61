"""Fixtures of all tests: an S3 server for the session, a fresh bucket for each test, lines for the end of the run."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from facefoundry.cli.env_files import settings_of
from facefoundry.local.store import ObjectStore
from facefoundry.settings import StoreSettings
from facefoundry.storage.store import Store
from tests.certificates import Authority
from tests.clips import write_pair

_SUMMARIES = pytest.StashKey[list[str]]()

# A shell ignores SIGINT in what it starts in the background, and so would every command that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreSettings]:
    """Settings of a real S3 server that lives as long as the session, or of that of the file FACEFOUNDRY_TEST_STORE."""
    if given := os.environ.get("FACEFOUNDRY_TEST_STORE"):
        yield settings_of(Path(given), StoreSettings)
        return
    with ObjectStore(tmp_path_factory.mktemp("object-store")) as settings:
        yield settings


@pytest.fixture
def store_settings(object_store: StoreSettings) -> StoreSettings:
    """Settings of the session's server with a bucket name of the test's own; the bucket is not made."""
    return object_store.model_copy(update={"bucket": f"test-{uuid.uuid4().hex[:12]}"})


@pytest.fixture(scope="session")
def new_store(object_store: StoreSettings) -> Callable[[], Store]:
    """Makes stores on fresh buckets of the session's server."""

    def make() -> Store:
        made = Store(object_store.model_copy(update={"bucket": f"test-{uuid.uuid4().hex[:12]}"}))
        made.make_bucket()
        return made

    return make


@pytest.fixture
def store(store_settings: StoreSettings) -> Store:
    """A store on a fresh bucket."""
    made = Store(store_settings)
    made.make_bucket()
    return made


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with two short clips, `astronaut.mp4` and `hopper.mp4`."""
    folder = tmp_path_factory.mktemp("clips")
    write_pair(folder)
    return folder


@pytest.fixture
def new_object_store(tmp_path: Path) -> Iterator[Callable[..., ObjectStore]]:
    """Makes S3 servers of the test's own, for tests that kill them; all are stopped in the end."""
    made: list[ObjectStore] = []

    def make(name: str = "own-store") -> ObjectStore:
        made.append(ObjectStore(tmp_path / name))
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """The authority that the test's server trusts."""
    return Authority(tmp_path, "authority")


@pytest.fixture(scope="session")
def summarize(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Prints a line at the end of the run."""
    return request.config.stash.setdefault(_SUMMARIES, []).append


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest files first, so that a parallel run does not end with one of them; skip what is for test-full."""
    items.sort(key=lambda item: "journeys" not in item.path.parts)
    if not os.environ.get("FACEFOUNDRY_TEST_FULL"):
        for item in items:
            if item.get_closest_marker("full"):
                item.add_marker(pytest.mark.skip(reason="runs with `make test-full`"))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In a process of a parallel run, pass its lines to the process that prints."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["summaries"] = session.config.stash.get(_SUMMARIES, [])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """In the process that prints, take the lines of another."""
    node.config.stash.setdefault(_SUMMARIES, []).extend(getattr(node, "workeroutput", {}).get("summaries", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(_SUMMARIES, []):
        terminalreporter.write_line(line)
