"""Conversions and transcodings are made of what their digests say, whatever a manifest claims: a real converter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from facefoundry.errors import DataLoss, FaceFoundryError, InvalidInput
from facefoundry.model.architecture import unpack
from facefoundry.model.weights import content_digest, from_bytes, to_bytes
from facefoundry.rpc.status import from_rpc_error
from facefoundry.settings import read
from facefoundry.storage import keys, manifest
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.store import Store
from facefoundry.v1 import common_pb2, converter_pb2, converter_pb2_grpc, recipe_pb2
from services.converter.__main__ import build
from services.converter.plan import plan_transcoding
from services.converter.settings import ConverterSettings
from tests.sources import put_source

RECIPE = recipe_pb2.Recipe(name="preview")


@pytest.fixture
def stub(store: Store, tmp_path: Path) -> Iterator[converter_pb2_grpc.ConverterServiceStub]:
    """Calls to a running converter."""
    server, runner = build(read(ConverterSettings, listen="127.0.0.1:0", scratch_dir=tmp_path / "scratch"), store)
    with grpc.insecure_channel(f"127.0.0.1:{server.start()}") as channel:
        yield converter_pb2_grpc.ConverterServiceStub(channel)
    server.stop()
    runner.close()


def committed(store: Store, prefix: str, name: str, data: bytes, claimed: str, source: str = "") -> str:
    """Commit a result whose manifest claims a content digest, and return its URI."""
    part = manifest.put_part(store, prefix, name, data)
    inputs = {"source": source} if source else {}
    manifest.commit(store, prefix, Manifest("claimed", inputs, {}, (part,), {}, claimed))
    return store.uri(prefix)


def refusal(stream: Any) -> FaceFoundryError:
    with pytest.raises(grpc.RpcError) as caught:
        list(stream)
    return from_rpc_error(caught.value, "converter")


@pytest.mark.parametrize("planted", ["model", "target"])
def test_no_conversion_is_made_of_a_model_or_target_with_other_content_than_its_manifest_claims(
    store: Store, stub: Any, clip: Any, weights: Path, planted: str
) -> None:
    source = put_source(store, clip.path)
    tensors, metadata = from_bytes(weights.read_bytes(), "facefoundry.weights/1")
    other = to_bytes({name: tensor + np.float32(0.1) for name, tensor in tensors.items()}, metadata)
    moved = replace(clip.alignments, landmarks=clip.alignments.landmarks + np.float32(3))
    model = committed(
        store,
        keys.model("0" * 40, 100),
        "weights.safetensors",
        other if planted == "model" else weights.read_bytes(),
        content_digest(unpack(weights)[1]),
    )
    target = committed(
        store,
        keys.extraction("0" * 40),
        "alignments.safetensors",
        (moved if planted == "target" else clip.alignments).to_bytes(),
        clip.alignments.content_digest(),
        source,
    )
    request = converter_pb2.ConvertRequest(
        model_uri=model,
        target_extraction_uri=target,
        target_side=common_pb2.SIDE_A,
        target_id="033",
        source_id="097",
        recipe=RECIPE,
    )
    error = refusal(stub.Convert(request, timeout=120))
    assert isinstance(error, DataLoss)
    assert (error.reason, error.resource) == ("DIGEST_MISMATCH", model if planted == "model" else target)
    assert not [key for key in store.list("conversions/") if key.endswith("manifest.json")]


def test_no_transcoding_is_made_of_a_clip_below_the_digest_of_another(
    store: Store, stub: Any, clip: Any, tmp_path: Path
) -> None:
    uri = put_source(store, clip.path)
    prefix = keys.prefix_of(store.bucket, uri, "sources")
    part = manifest.put_part(store, prefix, "source.mp4", b"another clip")
    right = manifest.load(store, prefix)
    manifest.commit(store, prefix, replace(right, parts=(part,)), replace=True)
    error = refusal(stub.Transcode(converter_pb2.TranscodeRequest(source_uri=uri, sequence_id="033", recipe=RECIPE)))
    assert isinstance(error, DataLoss) and (error.reason, error.resource) == ("BAD_MANIFEST", uri)
    assert store.objects("conversions/") == ()


def test_a_fake_is_not_transcoded_as_a_real_video(store: Store, stub: Any, clip: Any) -> None:
    prefix = keys.conversion("a" * 40)
    part = manifest.put_part(store, prefix, "raw.mp4", clip.path)
    manifest.commit(store, prefix, Manifest("conversion", {}, {}, (part,), {"synthetic": True}, "a" * 64))
    request = converter_pb2.TranscodeRequest(source_uri=store.uri(prefix), sequence_id="033", recipe=RECIPE)
    error = refusal(stub.Transcode(request))
    assert isinstance(error, InvalidInput) and [each.field for each in error.violations] == ["source_uri"]
    with pytest.raises(InvalidInput, match="label `synthetic`") as caught:  # whatever the contract says of the URI
        plan_transcoding(store, request)
    assert (caught.value.reason, caught.value.violations[0].field) == ("SYNTHETIC", "source_uri")
    assert [key for key in store.list("conversions/") if prefix not in key] == []
