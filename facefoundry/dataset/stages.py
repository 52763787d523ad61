"""What one stage of a run does: a call to a service, its result in the record, its files in the dataset's folders.

Who owns what: `run` decides order and concurrency and catches failures; a stage raises them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from facefoundry.client import Client
from facefoundry.dataset import comparison, fetch, models, sources
from facefoundry.dataset.ffpp_layout import Layout
from facefoundry.dataset.plan import Clip
from facefoundry.dataset.progress import Event, OnEvent
from facefoundry.dataset.record import FakeRecord, PairRecord, RunRecord, SequenceRecord
from facefoundry.errors import Cancelled, DataLoss, FaceFoundryError, Unusable
from facefoundry.faces.alignments import Alignments
from facefoundry.storage import manifest
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.store import Store
from facefoundry.v1 import common_pb2, converter_pb2, extractor_pb2, recipe_pb2, trainer_pb2

__all__ = ["ExtractedSequence", "Stages"]

Counts = Callable[[int, int], None]

# A trainer that was restarted may have lost its jobs; asking again resumes them.
_LOST_JOBS = 5
_WAITING = {
    trainer_pb2.TRAINING_STATE_QUEUED: "queued",
    trainer_pb2.TRAINING_STATE_STALLED: "its worker has said nothing for a while",
}


@dataclass(frozen=True)
class ExtractedSequence:
    """A sequence that is in the store and extracted."""

    id: str
    source_uri: str
    extraction: extractor_pb2.Extraction
    samples: list[str]


class Stages:
    """The stages over one client, store, recipe and output folder; safe to use from many threads."""

    def __init__(
        self,
        client: Client,
        store: Store,
        recipe: recipe_pb2.Recipe,
        layout: Layout,
        record: RunRecord,
        on_event: OnEvent,
    ) -> None:
        self.client, self.store, self.recipe = client, store, recipe
        self.layout, self.record, self.on_event = layout, record, on_event

    def sequence(self, clip: Clip, frame_rate: Fraction, keep_faces: bool) -> ExtractedSequence:
        """Upload and extract a clip."""
        with self._stage(clip.id, "upload", "bytes") as (counts, _):
            source_uri = sources.upload(clip.path, frame_rate, store=self.store, on_bytes=counts)
        with self._stage(clip.id, "extract", "frames") as (_, progress):
            extraction = self.client.extract(source_uri, clip.id, self.recipe, progress)
            committed = self._manifest(extraction.uri, "extractions")
            found = fetch.fetch_samples(self.store, committed, self.layout, clip.id)
            samples = [views[""] for views in found.values()]
            if keep_faces:
                fetch.fetch_faces(self.store, committed, self.layout, clip.id)
        with self.record.lock:
            self.record.sequences[clip.id] = SequenceRecord(
                source_uri=source_uri,
                frames=extraction.frame_count,
                fps=f"{extraction.frame_rate.numerator}/{extraction.frame_rate.denominator}",
                width=extraction.width,
                height=extraction.height,
                faces=extraction.face_count,
                missing=_counts(extraction.missing),
                extraction_uri=extraction.uri,
                content_digest=extraction.content_digest,
                samples=samples,
            )
        return ExtractedSequence(clip.id, source_uri, extraction, samples)

    def train(self, pair: PairRecord, a: ExtractedSequence, b: ExtractedSequence) -> str:
        """Train a pair and return the model's URI."""
        request = trainer_pb2.StartTrainingRequest(
            extraction_a_uri=a.extraction.uri,
            extraction_b_uri=b.extraction.uri,
            pair_id=pair.id,
            dataset=self.record.name,
            recipe=self.recipe,
        )
        with self._stage(pair.id, "train", "iterations") as (counts, _):
            training = self._follow(pair, request, counts)
            for _ in range(_LOST_JOBS):
                if training.failure.reason != "JOB_LOST":
                    break
                training = self._follow(pair, request, counts)
            if training.state == trainer_pb2.TRAINING_STATE_FAILED:
                raise Unusable(training.failure.message, reason=training.failure.reason, resource=training.uri)
            if training.state == trainer_pb2.TRAINING_STATE_CANCELLED:
                message = "The training was cancelled; run the same command to go on."
                raise Cancelled(message, reason="TRAINING_CANCELLED")
        return training.model_uri

    def _follow(
        self, pair: PairRecord, request: trainer_pb2.StartTrainingRequest, counts: Counts
    ) -> trainer_pb2.Training:
        """Start a training and watch it to its end."""
        training = self.client.start_training(request)
        for training in self.client.watch_training(training.uri):  # noqa: B020 (the stream starts from its name)
            self._note_training(pair, training)
            counts(training.iteration, training.iterations)
            word = _WAITING.get(training.state)
            if word:
                word = training.diagnosis.message or word
                self._tell(pair.id, "train", "waiting", training.iteration, training.iterations, "iterations", word)
        return training

    def fetch_model(self, pair: PairRecord, model_uri: str) -> None:
        """Bring a model to the dataset's folders, and its losses and previews to the record."""
        with self._stage(pair.id, "fetch", ""):
            model = models.download(self.store, model_uri, self.layout.model(pair.id))
            previews = []
            for preview in model.info.get("previews", ()):
                relative = f"{pair.id}/preview-{int(preview['iteration']):07d}.jpg"
                path = self.layout.report() / relative
                path.parent.mkdir(exist_ok=True)
                try:
                    manifest.fetch_part(self.store, manifest.part_of_key(str(preview["key"])), path)
                except DataLoss:
                    continue  # a picture of the way there: the model itself is whole
                previews.append({"iteration": int(preview["iteration"]), "file": relative})
        with self.record.lock:
            pair.training.model_uri = model_uri
            pair.training.iteration = pair.training.iterations = int(model.info.get("iterations", 0))
            pair.training.losses = model.info.get("losses", [])
            pair.training.seconds = float(model.info.get("seconds", 0.0))
            pair.training.previews = previews

    def convert(
        self, fake: FakeRecord, model_uri: str, side: int, target: ExtractedSequence, source: ExtractedSequence
    ) -> Manifest:
        """Make one manipulated sequence and fetch it."""
        conversion = self._convert(fake.id, "convert", model_uri, side, target, source, control=False)
        committed = self._manifest(conversion.uri, "conversions")
        with self._stage(fake.id, "fetch", ""):
            labels = fetch.fetch_fake(self.store, committed, self.layout, fake.id)
            found = fetch.fetch_samples(self.store, committed, self.layout, fake.id)
        with self.record.lock:
            fake.uri, fake.content_digest = conversion.uri, conversion.content_digest
            fake.reused = conversion.reused
            fake.frames, fake.swapped = conversion.frame_count, conversion.swapped_count
            fake.reasons = _counts(conversion.unswapped)
            fake.labels = [int(row["swapped"]) for row in labels["frames"]]
            fake.quality = committed.info.get("quality", {})
            fake.samples = [
                {
                    "frame": frame,
                    **views,
                    "source": source.samples[index % len(source.samples)] if source.samples else None,
                }
                for index, (frame, views) in enumerate(found.items())
            ]
        return committed

    def compare(
        self, fake: FakeRecord, model_uri: str, side: int, target: ExtractedSequence, source: ExtractedSequence
    ) -> None:
        """Measure whose face a fake shows, against the control."""
        control = self._convert(fake.id, "control", model_uri, side, target, source, control=True)
        found: dict[str, Alignments] = {}
        for name, uri in (("swap", fake.uri), ("control", control.uri)):
            with self._stage(fake.id, f"compare {name}", "frames") as (_, progress):
                extraction = self._extract_fake(uri, fake.id, progress)
            if extraction is None:
                return
            found[name] = self._alignments(extraction)
        of_source, of_target = self._alignments(source.extraction), self._alignments(target.extraction)
        shown = comparison.shown(of_target, self.recipe.conversion)
        swapped = np.asarray(fake.labels, dtype=bool)
        with self.record.lock:
            fake.identity = comparison.identity(found["swap"], found["control"], of_source, of_target, swapped)
            fake.mouth_correlation = comparison.mouth_correlation(found["swap"], shown, swapped)

    def _extract_fake(self, uri: str, name: str, progress: Callable[[Any], None]) -> extractor_pb2.Extraction | None:
        """Extraction of a fake; none where too little of a face came out of a short training to be found."""
        try:
            return self.client.extract(uri, name, self.recipe, progress)
        except Unusable as error:
            if error.reason != "NO_FACE_FOUND":
                raise
            return None

    def transcode(self, sequence: ExtractedSequence) -> None:
        """Encode a real sequence at every compression level and fetch it."""
        with self._stage(sequence.id, "transcode", "frames") as (_, progress):
            transcoding = self.client.transcode(sequence.source_uri, sequence.id, self.recipe, progress)
            fetch.fetch_real(self.store, self._manifest(transcoding.uri, "conversions"), self.layout, sequence.id)

    def _convert(
        self,
        item: str,
        stage: str,
        model_uri: str,
        side: int,
        target: ExtractedSequence,
        source: ExtractedSequence,
        *,
        control: bool,
    ) -> converter_pb2.Conversion:
        request = converter_pb2.ConvertRequest(
            model_uri=model_uri,
            target_extraction_uri=target.extraction.uri,
            target_side=common_pb2.Side.ValueType(side),
            target_id=target.id,
            source_id=source.id,
            recipe=self.recipe,
            control=control,
        )
        with self._stage(item, stage, "frames") as (_, progress):
            return self.client.convert(request, progress)

    def _note_training(self, pair: PairRecord, training: trainer_pb2.Training) -> None:
        with self.record.lock:
            note = pair.training
            note.uri, note.attempt = training.uri, training.attempt
            note.iteration, note.iterations = training.iteration, training.iterations
            note.iterations_per_second = round(training.iterations_per_second, 3) or note.iterations_per_second

    def _manifest(self, uri: str, kind: str) -> Manifest:
        return manifest.load(self.store, self.store.prefix_of(uri, kind))

    def _alignments(self, extraction: extractor_pb2.Extraction) -> Alignments:
        return fetch.read_alignments(self.store, self._manifest(extraction.uri, "extractions"))

    def _tell(
        self, item: str, stage: str, state: str, done: int = 0, total: int = 0, unit: str = "", message: str = ""
    ) -> None:
        self.on_event(Event(item, stage, state, done, total, unit, message))

    @contextmanager
    def _stage(self, item: str, stage: str, unit: str) -> Iterator[tuple[Counts, Callable[[Any], None]]]:
        """Tell start, progress and end of a stage, and note its time where the item is a pair or fake of the record."""

        def counts(done: int, total: int) -> None:
            self._tell(item, stage, "running", done, total, unit)

        def progress(message: common_pb2.Progress) -> None:
            self._tell(item, stage, "running", message.done, message.total, message.unit, message.stage)

        self._tell(item, stage, "running", unit=unit)
        start = time.monotonic()
        try:
            yield counts, progress
        except FaceFoundryError:
            self._tell(item, stage, "failed", unit=unit)  # the pair's end says why
            raise
        seconds = round(time.monotonic() - start, 2)
        with self.record.lock:
            for pair in self.record.pairs:
                if pair.ended:
                    continue
                if item in (pair.id, pair.a, pair.b) or any(item == fake.id for fake in pair.fakes):
                    pair.stages.append({"stage": f"{stage} {item}" if item != pair.id else stage, "seconds": seconds})
        self._tell(item, stage, "done", unit=unit)


def _counts(reasons: Any) -> list[dict[str, Any]]:
    return [{"reason": row.reason, "frames": row.frames} for row in reasons]
