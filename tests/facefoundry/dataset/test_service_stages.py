"""The stages of a run, over services that answer at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.output import FolderOutput
from facefoundry.dataset.plan import Pair
from facefoundry.dataset.progress import Event
from facefoundry.dataset.record import FakeRecord, PairRecord
from facefoundry.dataset.recorder import RunRecorder
from facefoundry.dataset.service_stages import ServiceStages
from facefoundry.dataset.stages import ExtractedSequence
from facefoundry.storage.store import Store
from facefoundry.storage.usage import Usage
from facefoundry.v1 import common_pb2, recipe_pb2
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


def test_a_comparison_counts_what_its_conversion_and_extraction_took_and_no_videos(
    store: Store, make_recorder: Callable[[], RunRecorder], tmp_path: Path
) -> None:
    recorder, transfers, recipe = make_recorder(), transfers_of(store, ["raw"]), recipe_pb2.Recipe()
    stages = ServiceStages(transfers, recipe, FolderOutput(FfppLayout(tmp_path)), recorder, lambda _: None)
    (pair,) = recorder.begin([Pair("a", "b")])
    a, b = (
        ExtractedSequence(name, "", transfers.client.extract("", name, recipe, lambda _: None)) for name in ("a", "b")
    )
    fake = FakeRecord("a_b", "a", "b", labels=[1, 1, 1])
    stages.compare(fake, "s3://bucket/models/x", common_pb2.SIDE_A, a, b)
    assert fake.identity is not None and fake.identity.frames == 3
    took = {stage.stage: (stage.usage, stage.video_bytes, stage.stored_bytes > 0) for stage in pair.stages}
    assert took == {f"compare {name}": (Usage(3.0), 0, True) for name in ("swap", "control")}
