"""The stage that trains a pair: what it tells and records."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import cast

from facefoundry.client import Client
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.output import FolderOutput
from facefoundry.dataset.progress import Event
from facefoundry.dataset.record import PairRecord
from facefoundry.dataset.recorder import RunRecorder
from facefoundry.dataset.service_stages import ServiceStages
from facefoundry.dataset.stages import ExtractedSequence
from facefoundry.dataset.transfer import Transfers
from facefoundry.storage.store import Store
from facefoundry.v1 import extractor_pb2, recipe_pb2, trainer_pb2
from tests.facefoundry.dataset.fakes import FakeServices

SENTENCE = "The training collapsed by iteration 40."


class RestartedTraining(FakeServices):
    """Services whose trainings restart after a collapse."""

    def states(self, training_uri: str) -> Iterator[trainer_pb2.Training]:
        restart = trainer_pb2.Training.Restart(collapsed_at=40, learning_rate=0.003, message=SENTENCE)
        yield trainer_pb2.Training(uri=training_uri, iteration=40, iterations=70)
        for iteration in (0, 5):
            yield trainer_pb2.Training(uri=training_uri, iteration=iteration, iterations=70, restart=restart)
        yield from super().states(training_uri)


def test_a_restart_is_told_once_and_recorded(store: Store, tmp_path, make_recorder: Callable[[], RunRecorder]) -> None:
    events: list[Event] = []
    transfers = Transfers(cast(Client, RestartedTraining(store)), store.settings)
    stages = ServiceStages(
        transfers, recipe_pb2.Recipe(), FolderOutput(FfppLayout(tmp_path)), make_recorder(), events.append
    )
    pair = PairRecord("a_b", "a", "b")
    a, b = (ExtractedSequence(name, "", extractor_pb2.Extraction(uri=f"s3://bucket/{name}"), ()) for name in "ab")
    asyncio.run(stages.train(pair, a, b))
    assert events.count(Event("a_b", "train", "doubt", message=SENTENCE)) == 1
    assert pair.training.restart == SENTENCE
