"""What tests of dataset runs share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facefoundry.dataset.layouts import GROUP
from facefoundry.dataset.progress import Event
from facefoundry.dataset.record import RunRecord
from facefoundry.dataset.recorder import RunRecorder
from facefoundry.dataset.run_folder import RunFolder
from tests.facefoundry.dataset.flat_layout import FlatLayout


@pytest.fixture
def run_folder(tmp_path: Path) -> RunFolder:
    """A folder for the run record."""
    return RunFolder(tmp_path / "out" / "misc" / "report")


@pytest.fixture
def events() -> list[Event]:
    """What a run reported."""
    return []


@pytest.fixture
def make_recorder(run_folder: RunFolder, events: list[Event]) -> Callable[..., RunRecorder]:
    """Makes a recorder in that folder, which reports to `events`."""

    def make(**options: Any) -> RunRecorder:
        return RunRecorder(RunRecord("test", "facefoundry ...", {"name": "ffpp"}), run_folder, events.append, **options)

    return make


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until a test moves it."""
    return Clock()


@pytest.fixture
def flat_package(tmp_path, monkeypatch) -> None:
    """Installs a package that adds the layout `flat`."""
    facts = tmp_path / "site" / "flat-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: flat\nVersion: 1.0\n")
    module = f"{FlatLayout.__module__}:FlatLayout"
    (facts / "entry_points.txt").write_text(f"[{GROUP.name}]\nflat = {module}\nbroken = {module}\nffpp = {module}\n")
    monkeypatch.syspath_prepend(facts.parent)
