"""Conversions with an imported model, over real gRPC and a real S3 server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest

from facefoundry.model.architecture import unpack
from facefoundry.model.weights import content_digest
from facefoundry.settings import read
from facefoundry.storage import keys, manifest
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.models import prefix_of_import
from facefoundry.storage.store import Store
from facefoundry.v1 import common_pb2, converter_pb2, converter_pb2_grpc, recipe_pb2
from services.converter.__main__ import build
from services.converter.settings import ConverterSettings
from tests.sources import put_source

DIGEST = "0" * 40


def committed(
    store: Store, kind: str, prefix: str, name: str, data: bytes | Path, content: str, source: str = ""
) -> str:
    """Commit a result of one part as its service does, and return its URI."""
    part = manifest.put_part(store, prefix, name, data)
    inputs = {"source": source} if source else {}
    manifest.commit(store, prefix, Manifest(kind, inputs, {}, (part,), {}, content))
    return store.uri(prefix)


def test_equal_tensors_make_the_same_fake_whether_trained_or_imported(
    store: Store, clip: Any, weights: Path, tmp_path: Path
) -> None:
    source = put_source(store, clip.path)
    alignments, faces = clip.alignments.to_bytes(), clip.alignments.content_digest()
    extraction = committed(
        store,
        "extraction",
        keys.extraction(DIGEST),
        "alignments.safetensors",
        alignments,
        faces,
        source,
    )
    digest = content_digest(unpack(weights)[1])
    prefixes = keys.model(DIGEST, 100), prefix_of_import(digest)
    trained, imported = (committed(store, "model", each, weights.name, weights, digest) for each in prefixes)
    recipe = recipe_pb2.Recipe(name="preview")
    server, runner = build(read(ConverterSettings, listen="127.0.0.1:0", scratch_dir=tmp_path / "scratch"), store)

    def convert(model_uri: str) -> converter_pb2.Conversion:
        request = converter_pb2.ConvertRequest(
            model_uri=model_uri,
            target_extraction_uri=extraction,
            target_side=common_pb2.SIDE_A,
            target_id="033",
            source_id="097",
            recipe=recipe,
        )
        return [*stub.Convert(request, timeout=120)][-1].conversion

    with grpc.insecure_channel(f"127.0.0.1:{server.start()}") as channel:
        stub = converter_pb2_grpc.ConverterServiceStub(channel)
        first = convert(trained)
        assert convert(imported).reused
        store.delete([*store.list("conversions/")])
        second = convert(imported)
        with pytest.raises(grpc.RpcError, match=r"models/<digest>/<iterations> or s3://<bucket>/imports/<digest>"):
            convert(source)
    server.stop()
    runner.close()
    assert (second.uri, second.content_digest, second.reused) == (first.uri, first.content_digest, False)
