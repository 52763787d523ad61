"""Calls are charged the pixels of all frames of a clip, which they decode, whatever range of frames they ask for."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack, contextmanager

import grpc
import pytest

from facefoundry import codec
from facefoundry.errors import Unusable
from facefoundry.rpc.status import from_rpc_error
from facefoundry.storage import keys, manifest
from facefoundry.storage.info import ExtractionInfo, FrameRate
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.models import prefix_of_import
from facefoundry.v1 import common_pb2, converter_pb2, converter_pb2_grpc, extractor_pb2, recipe_pb2
from services.converter.__main__ import build
from services.converter.settings import ConverterSettings
from tests.clips import drifting_face, encode
from tests.services.extractor.importing import Extractor
from tests.sources import put_source

FRAMES, SIDE = 1000, 4000
PIXELS = FRAMES * SIDE * SIDE
FIRST = recipe_pb2.FrameRange(first=0, last=0)


@pytest.fixture
def source(store, tmp_path):
    """A clip of a thousand large frames, as its manifest says; nothing reads it."""
    clip = tmp_path / "033.mp4"
    clip.write_bytes(b"never decoded")
    return put_source(store, clip, frame_count=FRAMES, width=SIDE, height=SIDE)


@pytest.fixture
def convert(store, source):
    """A request to swap one frame of the clip."""
    prefix = keys.extraction("2" * 40)
    facts = ExtractionInfo(
        content_digest="2" * 64,
        frame_count=FRAMES,
        face_count=FRAMES,
        missing=[],
        frame_rate=FrameRate(25, 1),
        width=SIDE,
        height=SIDE,
        engine="dlib",
    )
    part = manifest.put_part(store, prefix, "alignments.safetensors", b"none")
    made = Manifest("extraction", {"source": source}, {}, (part,), codec.to_values(facts), "2" * 64)
    manifest.commit(store, prefix, made)
    digest = hashlib.sha256(b"a model").hexdigest()
    model = prefix_of_import(digest)
    weights = manifest.put_part(store, model, "weights.safetensors", b"none")
    manifest.commit(store, model, Manifest("model", {}, {}, (weights,), {"iterations": 0, "pair_id": "a_b"}, digest))
    recipe = recipe_pb2.Recipe(name="preview")
    recipe.conversion.frame_ranges.append(FIRST)
    recipe.conversion.discard = True
    return converter_pb2.ConvertRequest(
        model_uri=store.uri(model),
        target_extraction_uri=store.uri(prefix),
        target_side=common_pb2.SIDE_A,
        target_id="033",
        source_id="097",
        recipe=recipe,
    )


@contextmanager
def refused(server):
    """Expect a call to be refused for its pixels while every slot is in use, so before it has one."""
    with ExitStack() as taken, pytest.raises(grpc.RpcError) as caught:
        for _ in range(server.slots.number):
            taken.enter_context(server.slots.take())
        yield
    error = from_rpc_error(caught.value, server.name)
    assert (type(error), error.reason) == (Unusable, "TOO_LARGE"), error
    assert str(PIXELS) in error.message and str(PIXELS - 1) in error.message


def test_a_conversion_of_one_frame_is_charged_what_it_decodes(store, tmp_path, convert, source):
    settings = ConverterSettings(listen="127.0.0.1:0", scratch_dir=tmp_path, converter_max_pixels=PIXELS - 1)
    server, runner = build(settings, store)
    transcode = converter_pb2.TranscodeRequest(
        source_uri=source, sequence_id="033", recipe=recipe_pb2.Recipe(name="preview")
    )
    with grpc.insecure_channel(f"127.0.0.1:{server.start()}") as channel:
        stub = converter_pb2_grpc.ConverterServiceStub(channel)
        with refused(server):
            list(stub.Convert(convert))
        with refused(server):
            list(stub.Transcode(transcode))
    server.stop()
    runner.close()


def test_an_extraction_that_leaves_out_frames_and_an_inspection_are_charged_what_they_decode(store, tmp_path, source):
    extractor = Extractor(store, tmp_path, None, extractor_max_pixels=PIXELS - 1)
    extract = extractor_pb2.ExtractRequest(
        source_uri=source,
        sequence_id="033",
        recipe=recipe_pb2.Recipe(name="preview"),
        excluded_frames=[recipe_pb2.FrameRange(first=1, last=FRAMES - 1)],
    )
    with refused(extractor.server):
        list(extractor.stub.Extract(extract))
    with refused(extractor.server):
        extractor.stub.Inspect(extractor_pb2.InspectRequest(source_uri=source, sample_frames=1))
    extractor.close()


def test_an_import_ends_at_the_first_frame_that_is_too_much(store, tmp_path):
    clip = encode(tmp_path / "clip.mp4", drifting_face(8), 30)
    store.put_bytes("incoming/a.mp4", clip.read_bytes())
    extractor = Extractor(store, tmp_path / "scratch", None, extractor_max_pixels=7 * 192 * 192)
    error = extractor.refusal(store.uri("incoming/a.mp4"))
    assert error.reason == "TOO_LARGE" and "more than 258048 pixels in all its frames" in error.message
    extractor.close()
