"""The stages of a run, over services that answer at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from facefoundry import recipes
from facefoundry.client import Client
from facefoundry.dataset import verdict
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.gates import DEFAULT_GATES
from facefoundry.dataset.output import FolderOutput
from facefoundry.dataset.plan import Pair
from facefoundry.dataset.progress import Event
from facefoundry.dataset.record import FakeRecord, PairRecord
from facefoundry.dataset.recorder import RunRecorder
from facefoundry.dataset.service_stages import ServiceStages
from facefoundry.dataset.stages import ExtractedSequence
from facefoundry.dataset.transfer import Transfers
from facefoundry.errors import Unusable
from facefoundry.storage.store import Store
from facefoundry.storage.usage import Usage
from facefoundry.v1 import common_pb2, extractor_pb2, recipe_pb2
from tests.facefoundry.dataset.fakes import FakeServices, extracted, transfers_of


class _Faceless(FakeServices):
    """Services that find no face in a fake, as after a training that collapsed."""

    def extract(self, source_uri: str, *arguments: Any, **options: Any) -> extractor_pb2.Extraction:
        if "/conversions/" in source_uri:
            raise Unusable("No frame shows a face.", reason="NO_FACE_FOUND")
        return super().extract(source_uri, *arguments, **options)


def test_a_fake_in_which_no_face_is_found_is_measured_as_such_and_fails_a_gate(
    store: Store, make_recorder: Callable[[], RunRecorder], tmp_path: Path
) -> None:
    transfers = Transfers(cast(Client, _Faceless(store)), store.settings)
    output, recorder = FolderOutput(FfppLayout(tmp_path)), make_recorder()
    stages = ServiceStages(transfers, recipes.load("preview"), output, recorder, lambda event: None)
    target = ExtractedSequence("a", "", extractor_pb2.Extraction(uri="s3://bucket/extractions/a", frame_count=3))
    fake = FakeRecord("a_b", "a", "b", labels=[0, 1, 1])
    stages.compare(fake, "s3://bucket/models/a_b", common_pb2.SIDE_A, target, extracted("b"))
    assert (fake.sampled, fake.quality, fake.identity) == (2, {"face_share": 0.0}, None)
    verdict.judge(fake, DEFAULT_GATES)
    assert fake.faults == ["shows no face in many frames (one is found in 0% of those sampled, not 50%)"]


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


def test_each_training_of_a_pair_has_its_own_cost(
    store: Store, make_recorder: Callable[[], RunRecorder], tmp_path: Path
) -> None:
    recorder = make_recorder()
    stages = ServiceStages(
        transfers_of(store), recipe_pb2.Recipe(), FolderOutput(FfppLayout(tmp_path)), recorder, lambda _: None
    )
    (pair,) = recorder.begin([Pair("a", "b")])

    async def train_twice() -> None:
        for again in (False, True):
            await stages.train(pair, extracted("a"), extracted("b"), again=again)

    asyncio.run(train_twice())
    assert [(stage.stage, stage.usage) for stage in pair.stages] == [("train", Usage(1.5))] * 2


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
