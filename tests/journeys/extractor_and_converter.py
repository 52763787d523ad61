"""An extractor and a converter in front of one store, over loopback gRPC, and calls to them."""

from __future__ import annotations

import contextlib

import grpc

from facefoundry.rpc.status import from_rpc_error
from facefoundry.settings import read
from facefoundry.v1 import (
    common_pb2,
    converter_pb2,
    converter_pb2_grpc,
    extractor_pb2,
    extractor_pb2_grpc,
    recipe_pb2,
)
from services.converter.__main__ import build as build_converter
from services.converter.settings import ConverterSettings
from services.extractor.__main__ import build as build_extractor
from services.extractor.settings import ExtractorSettings
from tests.scratch import files_in
from tests.sources import put_source
from tests.waiting import wait_until

QUICK = recipe_pb2.CompressionOptions(
    name="quick",
    levels=[recipe_pb2.Level(name="raw", codec="libx264rgb", crf=0, pixel_format="gbrp", preset="ultrafast")],
)


class Services:
    """An extractor and a converter in front of one store."""

    def __init__(self, store, folder, **limits):
        self.store = store
        self.scratch = folder / "scratch"
        common = {"listen": "127.0.0.1:0", "scratch_dir": self.scratch, "slots": 4, **limits}
        self._open = contextlib.ExitStack()
        extractor = self._start(*build_extractor(read(ExtractorSettings, **common), self.store))
        converter = self._start(*build_converter(read(ConverterSettings, **common), self.store))
        self._extractor = extractor_pb2_grpc.ExtractorServiceStub(extractor)
        self._converter = converter_pb2_grpc.ConverterServiceStub(converter)

    def _start(self, server, runner):
        """Start a server and return a channel to it."""
        self._open.callback(runner.close)
        self._open.callback(server.stop)
        return self._open.enter_context(grpc.insecure_channel(f"127.0.0.1:{server.start()}"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._open.close()

    def upload(self, path, **reading):
        return put_source(self.store, path, **reading)

    def inspect(self, uri):
        request = extractor_pb2.InspectRequest(source_uri=uri, sample_frames=2)
        return _raised(lambda: self._extractor.Inspect(request, timeout=120))

    def extract(self, uri):
        request = extractor_pb2.ExtractRequest(
            source_uri=uri, sequence_id="clip-1", recipe=recipe_pb2.Recipe(name="ffpp")
        )
        return _raised(lambda: list(self._extractor.Extract(request, timeout=120))[-1].extraction)

    def transcode(self, uri):
        recipe = recipe_pb2.Recipe(name="preview", compression=QUICK)
        request = converter_pb2.TranscodeRequest(source_uri=uri, sequence_id="clip-1", recipe=recipe)
        return _raised(lambda: list(self._converter.Transcode(request, timeout=120))[-1].transcoding)

    def convert(self, uri):
        request = converter_pb2.ConvertRequest(
            model_uri=uri and uri.replace("sources", "models") + "/1",
            target_extraction_uri=uri.replace("sources", "extractions"),
            target_side=common_pb2.SIDE_A,
            target_id="a",
            source_id="b",
            recipe=recipe_pb2.Recipe(name="preview"),
        )
        return _raised(lambda: list(self._converter.Convert(request, timeout=120))[-1].conversion)

    def committed(self):
        """Return the keys of all manifests: what readers can see."""
        return {key for key in self.store.list("") if key.endswith("manifest.json")}

    def leave_nothing(self):
        """Wait until scratch is empty; services clean up just after the last message."""
        wait_until(lambda: not files_in(self.scratch), 30, failure=lambda: files_in(self.scratch))


def _raised(call):
    try:
        return call()
    except grpc.RpcError as error:
        raise from_rpc_error(error, "service") from error


def code_of(error):
    """Return the status code of the answer that became this error of the client."""
    assert isinstance(error.__cause__, grpc.RpcError)
    return error.__cause__.code()
