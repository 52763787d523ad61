"""Objects that another program puts in the place of results: each call on them must be refused, and name what is wrong.

Whoever holds keys of the bucket can write them; no service may take them for what their digests say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from google.protobuf.message import Message

from facefoundry import recipes
from facefoundry.storage import keys, manifest
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.sources import prefix_of_source
from facefoundry.storage.store import Store
from facefoundry.v1 import common_pb2, extractor_pb2, files_pb2, recipe_pb2
from facefoundry.v1.converter_pb2 import ConvertRequest, TranscodeRequest
from facefoundry.v1.trainer_pb2 import StartTrainingRequest
from services.trainer.worker_protocol import training_digest
from tests.extractions import alignments_of
from tests.sources import put_source

__all__ = ["Planted", "plant", "training_with_model"]

_PREVIEW = recipe_pb2.Recipe(name="preview")
_OTHERS = hashlib.sha256(b"the content of another result").hexdigest()


@dataclass(frozen=True)
class Planted:
    """A call on a planted object.

    Attributes:
        name: What was planted.
        service: Name of the service.
        method: Name of the call.
        request: Its request.
        reasons: Reasons with which it may be refused.
    """

    name: str
    service: str
    method: str
    request: Message
    reasons: tuple[str, ...]


def plant(store: Store, folder: Path, model_uri: str) -> Iterator[Planted]:
    """Put objects in the place of others, and yield the calls on them.

    Args:
        store: The bucket of the services.
        folder: An empty folder.
        model_uri: URI of a model.
    """
    for name, uri, reasons in _sources(store, folder):
        extract = extractor_pb2.ExtractRequest(source_uri=uri, sequence_id="033", recipe=_PREVIEW)
        transcode = TranscodeRequest(source_uri=uri, sequence_id="033", recipe=_PREVIEW)
        yield Planted(name, "extractor", "Extract", extract, reasons)
        yield Planted(name, "extractor", "Inspect", extractor_pb2.InspectRequest(source_uri=uri), reasons)
        yield Planted(name, "converter", "Transcode", transcode, reasons)
    request = ConvertRequest(
        model_uri=model_uri,
        target_extraction_uri=_target(store, folder),
        target_side=common_pb2.SIDE_A,
        target_id="033",
        source_id="097",
        recipe=_PREVIEW,
    )
    name = "an extraction that claims the content of another"
    yield Planted(name, "converter", "Convert", request, ("DIGEST_MISMATCH",))
    prefix = keys.imported(keys.digest_of({"planted": "model"}))
    part = manifest.put_part(store, prefix, "weights.safetensors", b"planted")
    manifest.commit(store, prefix, Manifest("model", {}, {}, (part,), {"iterations": 0}, _OTHERS))
    convert = ConvertRequest()
    convert.CopyFrom(request)
    convert.model_uri = store.uri(prefix)
    yield Planted("a model below the digest of another", "converter", "Convert", convert, ("BAD_MANIFEST",))
    elsewhere = "a part below another prefix"
    for kind, service in (("sources", "extractor"), ("imports", "trainer"), ("conversions", "converter")):
        prefix = f"{kind}/{keys.digest_of({'planted': kind})}"
        part = manifest.put_part(store, keys.training("1" * 40), "0000001.safetensors", b"a checkpoint")
        manifest.commit(store, prefix, Manifest(kind, {}, {}, (part,), {}, _OTHERS))
        yield Planted(
            elsewhere, service, "ListFiles", files_pb2.ListFilesRequest(uri=store.uri(prefix)), ("BAD_MANIFEST",)
        )


def _sources(store: Store, folder: Path) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for name, claimed, prefix_digest in (
        ("a video below the digest of another", _OTHERS, _OTHERS),
        ("a video below a digest that its manifest does not claim", hashlib.sha256(b"planted").hexdigest(), "0" * 64),
    ):
        prefix = prefix_of_source({"video": prefix_digest}, None, tolerate_damage=False)
        part = manifest.put_part(store, prefix, "source.mp4", b"planted")
        manifest.commit(store, prefix, Manifest("source", {}, {}, (part,), {"kind": "video"}, claimed))
        yield name, store.uri(prefix), ("BAD_MANIFEST",)
    frames = folder / "frames"
    frames.mkdir()
    for number in range(3):
        cv2.imwrite(str(frames / f"{number}.png"), np.full((16, 24, 3), 40 * number, np.uint8))
    uri = put_source(store, frames)
    prefix = keys.prefix_of(store.bucket, uri, "sources")
    right = manifest.load(store, prefix)
    cv2.imwrite(str(frames / "1.png"), np.full((16, 24, 3), 99, np.uint8))
    other = keys.prefix_of(store.bucket, put_source(store, frames), "sources")
    (part,) = manifest.load(store, other).parts
    put = manifest.put_part(store, prefix, part.name, manifest.read_part(store, part))
    manifest.commit(store, prefix, replace(right, parts=(put,)), replace=True)
    yield "frames below the digest of others", uri, ("DIGEST_MISMATCH",)


def _target(store: Store, folder: Path) -> str:
    """Commit an extraction that claims the content of another, and return its URI."""
    clip = folder / "target.mp4"
    clip.write_bytes(b"never decoded")
    prefix = keys.extraction(keys.digest_of({"planted": "target"}))
    alignments = alignments_of(np.full((3, 64, 64, 3), 99, np.uint8)).to_bytes()
    part = manifest.put_part(store, prefix, "alignments.safetensors", alignments)
    manifest.commit(
        store, prefix, Manifest("extraction", {"source": put_source(store, clip)}, {}, (part,), {}, _OTHERS)
    )
    return store.uri(prefix)


def training_with_model(store: Store, extractions: Sequence[str]) -> StartTrainingRequest:
    """Put a model in the place of that of a training, and return the request that starts the training."""
    recipe = recipes.resolve(_PREVIEW)
    recipe.training.seed = 7
    a, b = (
        manifest.load(store, keys.prefix_of(store.bucket, uri, "extractions")).content_digest for uri in extractions
    )
    digest = training_digest(a, b, recipe.training, recipe.version)
    prefix = keys.model(digest, recipe.training.iterations)
    part = manifest.put_part(store, prefix, "weights.safetensors", b"planted")
    made = Manifest("model", {}, {}, (part,), {"iterations": 1}, _OTHERS, signature="0" * 64)
    manifest.commit(store, prefix, made)
    return StartTrainingRequest(
        extraction_a_uri=extractions[0], extraction_b_uri=extractions[1], pair_id="033_097", recipe=recipe
    )
