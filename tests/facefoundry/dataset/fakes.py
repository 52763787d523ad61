"""Stages and services that answer at once, for tests of what is around them."""

from __future__ import annotations

import hashlib
import json
import queue
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np

from facefoundry import archive
from facefoundry.client import Client, OnProgress
from facefoundry.codec import to_values
from facefoundry.dataset.plan import Clip
from facefoundry.dataset.record import FakeRecord, PairRecord
from facefoundry.dataset.stages import ExtractedSequence, Stages
from facefoundry.dataset.transfer import Transfers
from facefoundry.faces.alignments import Alignments
from facefoundry.rpc.files import StoredFiles
from facefoundry.storage import keys, manifest, parts
from facefoundry.storage.info import ConversionInfo, SourceInfo
from facefoundry.storage.store import Store
from facefoundry.storage.uploads import Uploads
from facefoundry.storage.usage import Usage
from facefoundry.v1 import common_pb2, converter_pb2, extractor_pb2, files_pb2, recipe_pb2, trainer_pb2

FRAMES = 3
JPEG = b"\xff\xd8\xff a picture"


class FakeStages(Stages):
    """Stages that return at once. A test replaces what it needs by passing functions of the same name."""

    def __init__(self, **replaced: Callable[..., object]) -> None:
        self.stopped = False
        for name, function in replaced.items():
            assert hasattr(Stages, name), f"{name} is no stage"
            setattr(self, name, function)

    def raise_if_stopped(self) -> None:
        pass

    def stop(self) -> None:
        self.stopped = True

    def extract(self, clip: Clip) -> ExtractedSequence:
        return extracted(clip.id)

    async def train(self, pair: PairRecord, a: ExtractedSequence, b: ExtractedSequence, *, again: bool = False) -> str:
        return f"s3://bucket/models/{pair.id}{'-again' if again else ''}"

    def upload_model(self, folder: Path) -> str:
        return f"s3://bucket/models/{folder.name}"

    def fetch_model(self, pair: PairRecord, model_uri: str, given: Path | None = None) -> None:
        pass

    def convert(self, fake: FakeRecord, *_: object) -> None:
        fake.frames = fake.swapped = FRAMES
        fake.labels = [1] * FRAMES

    def take(self, fake: FakeRecord, source: ExtractedSequence) -> None:
        pass

    def transcode(self, sequence: ExtractedSequence) -> None:
        pass

    def finish(self, pair: PairRecord) -> None:
        pass

    def compare(self, *_: object) -> None:
        pass


def extracted(name: str, content: str | None = None) -> ExtractedSequence:
    """A sequence whose content is its name, unless another content is given."""
    return ExtractedSequence(name, "", extractor_pb2.Extraction(content_digest=content or name))


class FakeServices:
    """A client of services that commit tiny results to a real store, without looking at their input.

    `video` makes a video of its name and level.
    """

    def __init__(self, store: Store, levels: Sequence[str] = (), video: Callable[[str], bytes] = str.encode) -> None:
        self._store, self._levels, self._video = store, levels, video
        self._uploads = Uploads(store, max_bytes=1 << 20)
        self._started: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._extractions: dict[str, tuple[str, str]] = {}

    def raise_if_stopped(self) -> None:
        pass

    def wait(self, seconds: float) -> bool:
        return False

    def create_upload(self, service: str, request: files_pb2.CreateUploadRequest) -> files_pb2.CreateUploadResponse:
        return self._uploads.create(request)

    def import_source(
        self, request: extractor_pb2.ImportSourceRequest, on_progress: OnProgress
    ) -> extractor_pb2.Source:
        prefix = keys.source(_digest(request.object_uri))
        info = to_values(SourceInfo(rights=request.rights or "unstated"))
        made = manifest.Manifest("source", {}, {}, (), info, hashlib.sha256(prefix.encode()).hexdigest())
        manifest.commit(self._store, prefix, made)
        return extractor_pb2.Source(uri=self._store.uri(prefix))

    def list_files(self, uri: str) -> Iterator[files_pb2.StoredFile]:
        service = next(name for name, kinds in keys.LISTED.items() if keys.kind_of(uri) in kinds)
        yield from StoredFiles(service, self._store).list(files_pb2.ListFilesRequest(uri=uri)).files

    def stop(self) -> None:
        pass

    def extract(
        self,
        source_uri: str,
        sequence_id: str,
        recipe: recipe_pb2.Recipe,
        on_progress: OnProgress,
        subject: extractor_pb2.Subject | None = None,
        excluded_frames: Sequence[recipe_pb2.FrameRange] = (),
    ) -> extractor_pb2.Extraction:
        on_progress(common_pb2.Progress(stage="extract", done=FRAMES, total=FRAMES, unit="frames"))
        faces = archive.pack({f"{frame:06d}.png": b"a crop" for frame in range(FRAMES)})
        files = {
            parts.ALIGNMENTS: _alignments().to_bytes(),
            parts.SAMPLES: archive.pack({"000000.jpg": JPEG}),
            parts.FACES.name(0): faces,
        }
        prefix = keys.extraction(_digest("extraction", sequence_id))
        uri = self._commit(prefix, "extraction", files, {}, source=source_uri)
        return extractor_pb2.Extraction(
            uri=uri,
            content_digest=_digest(sequence_id),
            frame_count=FRAMES,
            face_count=FRAMES - 1,
            missing=[common_pb2.ReasonCount(reason="NO_FACE", frames=1)],
            frame_rate=common_pb2.FrameRate(numerator=25, denominator=1),
            width=64,
            height=48,
        )

    def start_training(self, request: trainer_pb2.StartTrainingRequest) -> trainer_pb2.Training:
        uri = f"s3://bucket/trainings/{request.pair_id}"
        self._extractions[request.pair_id] = request.extraction_a_uri, request.extraction_b_uri
        self._started.put(uri)
        return trainer_pb2.Training(uri=uri, pair_id=request.pair_id)

    def watch_trainings(self, dataset: str) -> Generator[trainer_pb2.Training, None, None]:
        while True:
            yield from self.states(self._started.get())

    def states(self, training_uri: str) -> Iterator[trainer_pb2.Training]:
        pair = training_uri.rpartition("/")[2]
        preview = manifest.put_part(self._store, f"{keys.training(_digest(pair))}/previews", "preview.jpg", JPEG)
        info = {
            "iterations": 7,
            "seconds": 1.5,
            "losses": [[1, 0.5, 0.4], [7, 0.2, 0.1]],
            "previews": [{"iteration": 7, "key": preview.key}],
        }
        files = {parts.WEIGHTS: b"weights", "optimizer.safetensors": b"moments"}
        a, b = self._extractions.get(pair, ("", ""))
        uri = self._commit(keys.model(_digest(pair), 7), "model", files, info, extraction_a=a, extraction_b=b)
        training = trainer_pb2.Training(
            uri=training_uri,
            state=trainer_pb2.Training.STATE_RUNNING,
            iteration=3,
            iterations=7,
            attempt=1,
            iterations_per_second=4,
            warnings=[common_pb2.Warning(reason="STAGNATES", message="The training stagnates.")],
        )
        yield training
        training.state, training.iteration, training.model_uri = trainer_pb2.Training.STATE_SUCCEEDED, 7, uri
        yield training

    def convert(self, request: converter_pb2.ConvertRequest, on_progress: OnProgress) -> converter_pb2.Conversion:
        name = f"{request.target_id}_{request.source_id}"
        labels = {"frames": [{"frame": frame, "swapped": frame > 0} for frame in range(FRAMES)]}
        samples = {f"000001/{view}.jpg": JPEG for view in ("target", "swap", *parts.MASKS)}
        files = {parts.video(stem): self._video(f"{name} {stem}") for stem in (*self._levels, *parts.MASKS)}
        files |= {parts.LABELS: json.dumps(labels).encode(), parts.SAMPLES: archive.pack(samples)}
        made_of = {"model": request.model_uri, "target": request.target_extraction_uri}
        info = to_values(_conversion_info(request))
        uri = self._commit(keys.conversion(_digest(name)), "conversion", files, info, **made_of)
        return converter_pb2.Conversion(
            uri=uri, content_digest=_digest(name), frame_count=FRAMES, swapped_count=FRAMES - 1
        )

    def transcode(
        self, source_uri: str, sequence_id: str, recipe: recipe_pb2.Recipe, on_progress: OnProgress
    ) -> converter_pb2.Transcoding:
        files = {parts.video(level): self._video(f"{sequence_id} {level}") for level in self._levels}
        prefix = keys.conversion(_digest("real", sequence_id))
        uri = self._commit(prefix, "transcoding", files, {}, source=source_uri)
        return converter_pb2.Transcoding(uri=uri)

    def _commit(self, prefix: str, kind: str, files: dict[str, bytes], info: dict, **inputs: str) -> str:
        put = tuple(manifest.put_part(self._store, prefix, name, data) for name, data in files.items())
        made = manifest.Manifest(kind, {**inputs}, {}, put, info, "digest", usage=Usage(1.5))
        manifest.commit(self._store, prefix, made)
        return self._store.uri(prefix)


def transfers_of(store: Store, levels: Sequence[str] = ()) -> Transfers:
    """Transfers with such a client; files come and go by real URLs of the store."""
    return Transfers(cast(Client, FakeServices(store, levels)), store.settings)


def _conversion_info(request: converter_pb2.ConvertRequest) -> ConversionInfo:
    return ConversionInfo(
        frame_count=FRAMES,
        frame_rate="25/1",
        width=64,
        height=48,
        decoder="none",
        rights="unstated",
        synthetic=True,
        target_id=request.target_id,
        source_id=request.source_id,
        target_side="a",
        decoder_side="b",
        control=False,
        trained_on_target=True,
        swapped_count=FRAMES - 1,
        unswapped={"NO_FACE": 1},
        quality={"mean_change": 2.5},
        samples=[1],
    )


def _digest(*names: str) -> str:
    return keys.digest_of({"names": list(names)})


def _alignments() -> Alignments:
    return Alignments(
        boxes=np.zeros((FRAMES, 4), np.int32),
        landmarks=np.zeros((FRAMES, 68, 2), np.float32),
        matrices=np.zeros((FRAMES, 2, 3)),
        reasons=np.zeros(FRAMES, np.uint8),
        frame_digests=np.zeros(FRAMES, np.uint64),
        crop_digests=np.zeros(FRAMES, np.uint64),
        frame_rate=(25, 1),
        width=64,
        height=48,
        decoder="none",
        engine="none",
        embeddings=np.eye(FRAMES, 128, dtype=np.float32),
    )
