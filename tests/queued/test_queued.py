"""A run with many trainings that wait costs few threads, little memory, and one open call."""

from __future__ import annotations

from pathlib import Path

from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.settings import StoreSettings
from facefoundry.storage.store import Store
from tests.queued.measuring import MAX_BYTES, MAX_THREADS, measure

PAIRS = 100


def test_a_run_holds_its_waiting_trainings_by_one_stream(
    store: Store, store_settings: StoreSettings, tmp_path: Path
) -> None:
    found = measure(store_settings, PAIRS, 1.0, tmp_path)
    assert found.trainings == PAIRS
    assert found.threads <= MAX_THREADS
    assert found.bytes <= MAX_BYTES
    assert found.calls == {"StartTraining": PAIRS, "WatchTrainings": 1}
    assert {pair.state for pair in RunFolder(FfppLayout(tmp_path / "out").run_folder()).load_pairs()} == {"pending"}
