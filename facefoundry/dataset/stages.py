"""What a dataset run needs from its stages. `ServiceStages` implements it; tests and benchmarks have fakes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from facefoundry.dataset.plan import Clip
from facefoundry.dataset.record import FakeRecord, PairRecord
from facefoundry.v1 import common_pb2, extractor_pb2

__all__ = ["ExtractedSequence", "Stages"]


@dataclass(frozen=True)
class ExtractedSequence:
    """A sequence whose clip and extraction are stored.

    Attributes:
        id: Of the sequence.
        source_uri: The stored clip.
        extraction: The extractor's answer.
        samples: Sample pictures, relative to the run's folder.
    """

    id: str
    source_uri: str
    extraction: extractor_pb2.Extraction
    samples: tuple[str, ...] = ()


class Stages(Protocol):
    """The work of each stage. Methods are called from many threads and raise where the work fails.

    `DatasetRun` owns order, concurrency and failures. A stage does its work, records the
    results and writes the files of the dataset.
    """

    def raise_if_stopped(self) -> None:
        """Raise Cancelled after `stop`."""

    def stop(self) -> None:
        """End every running and later call of all threads."""

    def extract(self, clip: Clip) -> ExtractedSequence:
        """Upload a clip and extract its faces."""

    def train(self, pair: PairRecord, a: ExtractedSequence, b: ExtractedSequence) -> str:
        """Train a pair and return the URI of its model."""

    def upload_model(self, folder: Path) -> str:
        """Upload a model from disk and return its URI."""

    def fetch_model(self, pair: PairRecord, model_uri: str) -> None:
        """Download a pair's model to the dataset."""

    def convert(
        self,
        fake: FakeRecord,
        model_uri: str,
        side: common_pb2.Side.ValueType,
        target: ExtractedSequence,
        source: ExtractedSequence,
    ) -> None:
        """Make a manipulated sequence and download it; `side` is the side of the model that the target is on."""

    def transcode(self, sequence: ExtractedSequence) -> None:
        """Encode a real sequence at every compression level and download it."""

    def compare(
        self,
        fake: FakeRecord,
        model_uri: str,
        side: common_pb2.Side.ValueType,
        target: ExtractedSequence,
        source: ExtractedSequence,
    ) -> None:
        """Measure whose face a converted fake shows."""
