"""A running extractor, and calls to it that import clips."""

from __future__ import annotations

import hashlib

import grpc
import pytest
import urllib3

from facefoundry.errors import Unusable
from facefoundry.rpc.status import from_rpc_error
from facefoundry.v1 import extractor_pb2, extractor_pb2_grpc, files_pb2
from services.extractor.__main__ import build
from services.extractor.settings import ExtractorSettings
from tests.scratch import files_in
from tests.waiting import wait_until

http = urllib3.PoolManager(retries=False)


class Extractor:
    """A running extractor, and calls to it."""

    def __init__(self, store, scratch, pool, part_bytes=64 << 20, **settings):
        self.store, self.scratch = store, scratch
        values = ExtractorSettings(listen="127.0.0.1:0", scratch_dir=scratch, **settings)
        self.server, self._runner = build(values, store, pool, upload_part_bytes=part_bytes)
        self._channel = grpc.insecure_channel(f"127.0.0.1:{self.server.start()}")
        self.stub = extractor_pb2_grpc.ExtractorServiceStub(self._channel)

    def close(self):
        self._channel.close()
        self.server.stop()

    def create(self, content, name="033.mp4", sha256=None):
        sha256 = hashlib.sha256(content).hexdigest() if sha256 is None else sha256
        request = files_pb2.CreateUploadRequest(file_name=name, size_bytes=len(content), sha256=sha256)
        return self._raising(lambda: self.stub.CreateUpload(request, timeout=60))

    def put(self, made, content, numbers=None):
        for number, part in enumerate(made.parts):
            if numbers is None or number in numbers:
                body = content[part.offset_bytes : part.offset_bytes + part.size_bytes]
                assert http.request("PUT", part.url, body=body).status == 200

    def upload(self, content, **fields):
        """Upload a file, and return its URI."""
        made = self.create(content, **fields)
        self.put(made, content)
        return made.object_uri

    def take(self, uri, **fields):
        """Progress messages and the source."""
        request = extractor_pb2.ImportSourceRequest(object_uri=uri, **fields)
        messages = self._raising(lambda: list(self.stub.ImportSource(request, timeout=60)))
        assert [message.WhichOneof("event") for message in messages[:-1]] == ["progress"] * (len(messages) - 1)
        return [message.progress for message in messages[:-1]], messages[-1].source

    def refusal(self, uri, kind=Unusable, **fields):
        """The error of an import, which names the URI and leaves nothing."""
        before = list(self.store.objects("sources/"))
        with pytest.raises(kind) as caught:
            self.take(uri, **fields)
        error = caught.value
        assert uri in error.message and "\n" not in error.message and error.message.endswith("."), error.message
        assert list(self.store.objects("sources/")) == before
        self.expect_rest()
        return error

    def expect_rest(self):
        """No call holds a slot or a file."""
        wait_until(lambda: self.server.slots.in_use == 0)
        assert files_in(self.scratch) == []

    def _raising(self, call):
        try:
            return call()
        except grpc.RpcError as error:
            raise from_rpc_error(error, "extractor") from error
