"""Implements the stages of a run: each calls a service, records its result and hands its files to the output."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from facefoundry.client import OnProgress
from facefoundry.dataset import comparison, models, sources
from facefoundry.dataset.output import Output, read_alignments, read_labels
from facefoundry.dataset.plan import Clip
from facefoundry.dataset.progress import Event, OnEvent
from facefoundry.dataset.reading import Reading
from facefoundry.dataset.record import FakeRecord, PairRecord, Preview, SequenceRecord
from facefoundry.dataset.recorder import RunRecorder
from facefoundry.dataset.results import StoredResult
from facefoundry.dataset.samples import samples_of
from facefoundry.dataset.stages import ExtractedSequence, Stages
from facefoundry.dataset.training_watch import TrainingWatch
from facefoundry.dataset.transfer import Transfers
from facefoundry.errors import Cancelled, DataLoss, FaceFoundryError, NotFound, Unusable
from facefoundry.faces.alignments import Alignments
from facefoundry.rpc.retries import counted_retries
from facefoundry.storage.info import ConversionInfo, ExtractionWarning, ModelInfo, ReasonCount
from facefoundry.v1 import common_pb2, converter_pb2, extractor_pb2, recipe_pb2, trainer_pb2

__all__ = ["ServiceStages"]

OnCount = Callable[[int, int], None]

_WAITING = {
    trainer_pb2.Training.STATE_QUEUED: "queued",
    trainer_pb2.Training.STATE_STALLED: "its worker has not reported for a while",
}


class ServiceStages(Stages):
    """Does the stages with the services and the object store. Many threads may use it at once.

    Args:
        transfers: The client of the services, and the connections by which files come and go.
        recipe: The recipe of the requests; `recipes.portable` makes it.
        output: Takes the files of results.
        recorder: Keeps the run record.
        on_event: Called with each event, from many threads.
        keep_faces: Whether to write face crops and alignments too.
        reading: How the clips are read.
    """

    def __init__(
        self,
        transfers: Transfers,
        recipe: recipe_pb2.Recipe,
        output: Output,
        recorder: RunRecorder,
        on_event: OnEvent,
        *,
        keep_faces: bool = False,
        reading: Reading | None = None,
    ) -> None:
        self._transfers, self._client, self._recipe = transfers, transfers.client, recipe
        self._output, self._recorder, self._on_event = output, recorder, on_event
        self._keep_faces, self._reading = keep_faces, reading or Reading()
        self._watch = TrainingWatch(self._client, recorder.record.name)

    def raise_if_stopped(self) -> None:
        """Raise Cancelled if `stop` was called."""
        self._client.raise_if_stopped()

    def stop(self) -> None:
        """End all running calls to services, and all transfers."""
        self._client.stop()

    def extract(self, clip: Clip) -> ExtractedSequence:
        """Upload a clip and extract its faces."""
        with self._stage(clip.id, "upload", "bytes") as (_, on_progress):
            source = sources.import_source(self._transfers, clip, self._reading, on_progress)
        for remark in source.remarks:
            self._on_event(Event(clip.id, "upload", "doubt", message=remark))
        with self._stage(clip.id, "extract", "frames") as (_, on_progress):
            extraction = self._client.extract(
                source.uri, clip.id, self._recipe, on_progress, clip.subject, clip.excluded_frames
            )
            result = StoredResult(self._transfers, extraction.uri)
            pictures = self._output.put_samples(result, clip.id)
            samples = tuple(views[""] for views in pictures.values())
            if self._keep_faces:
                self._output.put_faces(result, clip.id)
            made = result.manifest()
        self._recorder.add_cost(clip.id, "extract", made)
        for warning in extraction.warnings:
            self._on_event(Event(clip.id, "extract", "doubt", message=f"{warning.message} [{warning.reason}]"))
        rate = extraction.frame_rate
        self._recorder.add_sequence(
            clip.id,
            SequenceRecord(
                source_uri=source.uri,
                frames=extraction.frame_count,
                fps=f"{rate.numerator}/{rate.denominator}",
                width=extraction.width,
                height=extraction.height,
                faces=extraction.face_count,
                missing=_reasons(extraction.missing),
                extraction_uri=extraction.uri,
                content_digest=extraction.content_digest,
                samples=list(samples),
                remarks=list(extraction.remarks),
                warnings=[ExtractionWarning(warning.reason, warning.message) for warning in extraction.warnings],
                rights=clip.rights,
            ),
        )
        return ExtractedSequence(clip.id, source.uri, extraction, samples, clip.rights)

    async def train(self, pair: PairRecord, a: ExtractedSequence, b: ExtractedSequence, *, again: bool = False) -> str:
        """Train a pair, `again` with the next seed, and return the URI of its model."""
        recipe = recipe_pb2.Recipe()
        recipe.CopyFrom(self._recipe)
        recipe.training.seed += again
        with self._recorder.lock:
            pair.training.seed = recipe.training.seed
        request = trainer_pb2.StartTrainingRequest(
            extraction_a_uri=a.extraction.uri,
            extraction_b_uri=b.extraction.uri,
            pair_id=pair.id,
            dataset=self._recorder.record.name,
            recipe=recipe,
        )
        with self._stage(pair.id, "train", "iterations") as (on_count, _):
            started = await asyncio.to_thread(self._client.start_training, request)
            on_change = partial(self._on_training, pair, on_count, set[str]())
            training = await asyncio.wrap_future(self._watch.follow(started, on_change))
            if training.state == trainer_pb2.Training.STATE_FAILED:
                raise Unusable(training.failure.message, reason=training.failure.reason, resource=training.uri)
            if training.state == trainer_pb2.Training.STATE_CANCELLED:
                message = "The training was cancelled. Run the same command again to continue it."
                raise Cancelled(message, reason="TRAINING_CANCELLED")
            made = await asyncio.to_thread(StoredResult(self._transfers, training.model_uri).manifest)
        self._recorder.add_cost(pair.id, "train", made, max(0, training.attempt - 1))
        return training.model_uri

    def _on_training(
        self, pair: PairRecord, on_count: OnCount, reported: set[str], training: trainer_pb2.Training
    ) -> None:
        """Record and report a state of a pair's training; `reported` has the warnings that were reported."""
        self._record_training(pair, training)
        on_count(training.iteration, training.iterations)
        for warning in training.warnings:
            if warning.reason not in reported:
                reported.add(warning.reason)
                self._on_event(Event(pair.id, "train", "doubt", message=f"{warning.message} [{warning.reason}]"))
        waiting = _WAITING.get(training.state)
        if waiting:
            counts = (training.iteration, training.iterations, "iterations")
            message = training.diagnosis.message or waiting
            self._on_event(Event(pair.id, "train", "waiting", *counts, message))

    def upload_model(self, folder: Path) -> str:
        """Upload a model from disk and return its URI."""
        return models.upload(self._transfers, folder)

    def fetch_model(self, pair: PairRecord, model_uri: str, given: Path | None = None) -> None:
        """Take a pair's model, and its losses and previews for the record."""
        with self._stage(pair.id, "fetch", ""):
            result = StoredResult(self._transfers, model_uri)
            info = self._output.put_model(result, pair.id)
            if given is not None and models.is_native(given):
                info = models.load_verified(given).info_as(ModelInfo)  # an import knows nothing of the training
            previews = self._fetch_previews(pair, result, info)
        with self._recorder.lock:
            pair.training.model_uri = model_uri
            pair.training.iteration = pair.training.iterations = info.iterations
            pair.training.losses = [*info.losses]
            pair.training.seconds = info.seconds
            pair.training.restart = info.restart.sentence if info.restart else ""
            pair.training.previews = previews

    def _fetch_previews(self, pair: PairRecord, model: StoredResult, info: ModelInfo) -> list[Preview]:
        """Take the previews of a training that are among the files of its model."""
        previews = []
        for preview in info.previews:
            relative = f"{pair.id}/preview-{preview.iteration:07d}.jpg"
            try:
                self._output.put_preview(model, preview, pair.id, self._output.layout.run_folder() / relative)
            except (DataLoss, NotFound):
                continue  # only a picture is lost, the model is complete
            previews.append(Preview(preview.iteration, relative))
        return previews

    def convert(
        self,
        fake: FakeRecord,
        model_uri: str,
        side: common_pb2.Side.ValueType,
        target: ExtractedSequence,
        source: ExtractedSequence,
    ) -> None:
        """Make a fake; see `Stages.convert`."""
        request = _conversion_of(model_uri, side, target, source, self._recipe)
        with self._stage(fake.id, "convert", "frames") as (_, on_progress):
            conversion = self._client.convert(request, on_progress)
            result = StoredResult(self._transfers, conversion.uri)
            info, labels = result.manifest().info_as(ConversionInfo), read_labels(result)
            losses = StoredResult(self._transfers, model_uri).manifest().info_as(ModelInfo).losses
        self._recorder.add_cost(fake.id, "convert", result.manifest())
        with self._recorder.lock:
            fake.uri, fake.content_digest = conversion.uri, conversion.content_digest
            fake.reused = conversion.reused
            fake.frames, fake.swapped = conversion.frame_count, conversion.swapped_count
            fake.reasons = _reasons(conversion.unswapped)
            fake.labels = labels
            fake.quality = dict(info.quality)
            if losses:  # the source's face comes from the decoder of the other side
                fake.quality["loss"] = losses[-1][2 if side == common_pb2.SIDE_A else 1]

    def take(self, fake: FakeRecord, source: ExtractedSequence) -> None:
        """Take the files of a fake, or remove those that are there if it is dropped."""
        with self._stage(fake.id, "fetch", ""):
            result = StoredResult(self._transfers, fake.uri)
            if fake.dropped:
                self._output.leave_out(result, fake)
            else:
                self._output.put_fake(result, fake.id)
            pictures = self._output.put_samples(result, fake.id)
        with self._recorder.lock:
            fake.samples = samples_of(pictures, source.samples)

    def finish(self, pair: PairRecord) -> None:
        """Take note that all files of a pair are there."""
        self._output.finish(pair)

    def compare(
        self,
        fake: FakeRecord,
        model_uri: str,
        side: common_pb2.Side.ValueType,
        target: ExtractedSequence,
        source: ExtractedSequence,
    ) -> None:
        """Measure whose face a fake shows and how it moves, on sampled frames, which are converted into a short clip.

        The fake is compared with a control: the target's face, converted with the target's own decoder.
        """
        swapped = np.asarray(fake.labels, dtype=bool)
        frames = comparison.sampled_frames(swapped, self._recipe.conversion, target.extraction.frame_count)
        sample = comparison.sample_recipe(self._recipe, frames)
        request = _conversion_of(model_uri, side, target, source, sample)
        swap_faces = self._sampled_faces(fake, "swap", request)
        with self._recorder.lock:
            fake.sampled = len(frames)
            fake.quality["face_share"] = 0.0 if swap_faces is None else round(float(swap_faces.found.mean()), 4)
        if swap_faces is None:
            return
        request.control = True
        control_faces, target_faces = self._sampled_faces(fake, "control", request), self._alignments(target.extraction)
        with self._recorder.lock:
            fake.quality |= comparison.motion(swap_faces, target_faces.take(frames), frames)
        if control_faces is None:
            return
        found = comparison.identity(swap_faces, control_faces, self._alignments(source.extraction), target_faces)
        with self._recorder.lock:
            fake.identity = found
            fake.quality |= {"identity": found.nearer, "identity_gain": found.gain}

    def _sampled_faces(self, fake: FakeRecord, name: str, request: converter_pb2.ConvertRequest) -> Alignments | None:
        """Convert sampled frames, and extract their faces; None if no face is found, as after a very short training."""
        with self._stage(fake.id, f"compare {name}", "frames") as (_, on_progress):
            conversion = self._client.convert(request, on_progress)
            made = [StoredResult(self._transfers, conversion.uri)]
            try:
                extraction = self._client.extract(conversion.uri, fake.id, self._recipe, on_progress)
                made.append(StoredResult(self._transfers, extraction.uri))
                faces = read_alignments(made[-1])
            except Unusable as error:
                if error.reason != "NO_FACE_FOUND":
                    raise
                faces = None
        for result in made:
            self._recorder.add_cost(fake.id, f"compare {name}", result.manifest(), in_dataset=False)
        return faces

    def transcode(self, sequence: ExtractedSequence) -> None:
        """Encode a real video at every compression level and take its files."""
        with self._stage(sequence.id, "transcode", "frames") as (_, on_progress):
            transcoding = self._client.transcode(sequence.source_uri, sequence.id, self._recipe, on_progress)
            result = StoredResult(self._transfers, transcoding.uri)
            self._output.put_real(result, sequence.id)
            made = result.manifest()
        self._recorder.add_cost(sequence.id, "transcode", made)

    def _record_training(self, pair: PairRecord, training: trainer_pb2.Training) -> None:
        with self._recorder.lock:
            record = pair.training
            record.uri, record.attempt = training.uri, training.attempt
            record.iteration, record.iterations = training.iteration, training.iterations
            record.warnings = [warning.message for warning in training.warnings]
            record.iterations_per_second = round(training.iterations_per_second, 3) or record.iterations_per_second
            is_new = training.restart.message not in ("", record.restart)
            record.restart = training.restart.message or record.restart
        if is_new:
            self._on_event(Event(pair.id, "train", "doubt", message=training.restart.message))

    def _alignments(self, extraction: extractor_pb2.Extraction) -> Alignments:
        return read_alignments(StoredResult(self._transfers, extraction.uri))

    @contextmanager
    def _stage(self, item: str, stage: str, unit: str) -> Iterator[tuple[OnCount, OnProgress]]:
        """Report the start, progress and end of a stage, and record its duration and retries.

        Yields:
            (on_count, on_progress), two callbacks: the first takes (done, total), the second a service's `Progress`
            message.
        """

        def on_count(done: int, total: int) -> None:
            self._on_event(Event(item, stage, "running", done, total, unit))

        def on_progress(progress: common_pb2.Progress) -> None:
            counts = (progress.done, progress.total, progress.unit)
            self._on_event(Event(item, stage, "running", *counts, progress.stage))

        self._on_event(Event(item, stage, "running", unit=unit))
        start = time.monotonic()
        try:
            with counted_retries() as retries:
                yield on_count, on_progress
        except FaceFoundryError:
            self._on_event(Event(item, stage, "failed", unit=unit))  # the event of the pair has the reason
            raise
        self._recorder.add_time(item, stage, time.monotonic() - start, retries())
        self._on_event(Event(item, stage, "done", unit=unit))


def _conversion_of(
    model_uri: str,
    side: common_pb2.Side.ValueType,
    target: ExtractedSequence,
    source: ExtractedSequence,
    recipe: recipe_pb2.Recipe,
) -> converter_pb2.ConvertRequest:
    return converter_pb2.ConvertRequest(
        model_uri=model_uri,
        target_extraction_uri=target.extraction.uri,
        target_side=side,
        target_id=target.id,
        source_id=source.id,
        recipe=recipe,
        target_rights=target.rights,
        source_rights=source.rights,
    )


def _reasons(counts: Iterable[common_pb2.ReasonCount]) -> list[ReasonCount]:
    return [ReasonCount(count.reason, count.frames) for count in counts]
