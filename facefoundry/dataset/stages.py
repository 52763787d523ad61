"""Defines the interface of a run's stages. `ServiceStages` implements it; tests have implementations of their own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from facefoundry.dataset.plan import Clip
from facefoundry.dataset.record import FakeRecord, PairRecord
from facefoundry.dataset.rights import UNSTATED
from facefoundry.v1 import common_pb2, extractor_pb2

__all__ = ["ExtractedSequence", "Stages"]


@dataclass(frozen=True)
class ExtractedSequence:
    """A sequence whose clip and extraction are stored.

    Attributes:
        id: Id of the sequence.
        source_uri: URI of the stored clip.
        extraction: The result of the extractor.
        samples: Paths of the sample pictures, relative to the run's folder.
        rights: SHA-256 of the record of the rights to the clip; or `unstated`.
    """

    id: str
    source_uri: str
    extraction: extractor_pb2.Extraction
    samples: tuple[str, ...] = ()
    rights: str = UNSTATED


class Stages(Protocol):
    """Does the work of each stage of a pair. Many threads call its methods at once; an event loop calls `train`.

    Each method does its work, records the result and writes the files of the dataset. If the work fails, it raises an
    error. `DatasetRun` decides about order, concurrency and failures.
    """

    def raise_if_stopped(self) -> None:
        """Raise Cancelled if `stop` was called."""

    def stop(self) -> None:
        """Make all running and later calls, in all threads, end with Cancelled."""

    def extract(self, clip: Clip) -> ExtractedSequence:
        """Upload a clip and extract its faces."""

    async def train(self, pair: PairRecord, a: ExtractedSequence, b: ExtractedSequence, *, again: bool = False) -> str:
        """Train a pair, `again` with another seed, and return the URI of its model.

        Thousands of pairs wait for their trainings at the same time, so this method holds no thread meanwhile. What it
        calls in a thread, by `asyncio.to_thread`, ends after `stop` was called.
        """

    def upload_model(self, folder: Path) -> str:
        """Upload a model from disk and return its URI."""

    def fetch_model(self, pair: PairRecord, model_uri: str, given: Path | None = None) -> None:
        """Take the model of a pair.

        Args:
            pair: The record to fill.
            model_uri: URI of the model.
            given: Folder from which the model was uploaded; None if it was trained.
        """

    def convert(
        self,
        fake: FakeRecord,
        model_uri: str,
        side: common_pb2.Side.ValueType,
        target: ExtractedSequence,
        source: ExtractedSequence,
    ) -> None:
        """Make a fake. None of its files becomes part of the dataset.

        Args:
            fake: The record to fill.
            model_uri: URI of the model.
            side: The target's side of the pair; the face comes from the other side.
            target: The sequence whose frames the fake keeps.
            source: The sequence that gives the face.
        """

    def take(self, fake: FakeRecord, source: ExtractedSequence) -> None:
        """Take the files of a fake, or remove those that are there if it is dropped.

        Args:
            fake: The record of the fake, which `convert` has made.
            source: The sequence that gives the face.
        """

    def transcode(self, sequence: ExtractedSequence) -> None:
        """Encode a real video at every compression level and take its files."""

    def finish(self, pair: PairRecord) -> None:
        """Take note that all stages of a pair are done."""

    def compare(
        self,
        fake: FakeRecord,
        model_uri: str,
        side: common_pb2.Side.ValueType,
        target: ExtractedSequence,
        source: ExtractedSequence,
    ) -> None:
        """Measure whose face a fake shows, after `convert` has made it. Arguments are as in `convert`."""
