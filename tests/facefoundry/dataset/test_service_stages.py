"""The stages of a run, over services that answer at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.output import FolderOutput
from facefoundry.dataset.progress import Event
from facefoundry.dataset.record import PairRecord
from facefoundry.dataset.recorder import RunRecorder
from facefoundry.dataset.service_stages import ServiceStages
from facefoundry.storage.store import Store
from facefoundry.v1 import recipe_pb2
from tests.facefoundry.dataset.fakes import extracted, transfers_of


def test_a_warning_of_a_running_training_is_told_once_and_recorded(
    store: Store, make_recorder: Callable[[], RunRecorder], tmp_path: Path
) -> None:
    events: list[Event] = []
    recorder = make_recorder()
    stages = ServiceStages(
        transfers_of(store), recipe_pb2.Recipe(), FolderOutput(FfppLayout(tmp_path)), recorder, events.append
    )
    pair = PairRecord("a_b", "a", "b")
    asyncio.run(stages.train(pair, extracted("a"), extracted("b")))
    states = [(event.state, event.message) for event in events if event.state in ("doubt", "done")]
    assert states == [("doubt", "The training stagnates. [STAGNATES]"), ("done", "")]
    assert pair.training.warnings == ["The training stagnates."]
