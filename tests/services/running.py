"""The three services, running over real gRPC with a real S3 server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import grpc

from facefoundry.settings import ChannelSettings, read
from facefoundry.storage import manifest
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.store import Store
from facefoundry.storage.uploads import PART_BYTES
from facefoundry.v1 import converter_pb2_grpc, extractor_pb2_grpc, files_pb2, trainer_pb2_grpc
from services.converter.__main__ import build as build_converter
from services.converter.settings import ConverterSettings
from services.extractor.__main__ import build as build_extractor
from services.extractor.settings import ExtractorSettings
from services.trainer.__main__ import build as build_trainer
from services.trainer.backends.local import LocalBackend, LocalSettings
from services.trainer.settings import TrainerSettings

__all__ = ["Services", "serving"]


class Lister(Protocol):
    """The stub of a service."""

    def ListFiles(self, request: files_pb2.ListFilesRequest, /, timeout: float) -> files_pb2.ListFilesResponse: ...


@dataclass(frozen=True)
class Services:
    """Stubs and addresses of the three running services, and their store."""

    store: Store
    stubs: dict[str, Any]
    addresses: dict[str, str]

    @property
    def channels(self) -> ChannelSettings:
        """Settings with which a client reaches the services."""
        return read(ChannelSettings, **{f"{name}_address": address for name, address in self.addresses.items()})

    def list(self, service: str, uri: str, **fields: Any) -> files_pb2.ListFilesResponse:
        lister: Lister = self.stubs[service]
        return lister.ListFiles(files_pb2.ListFilesRequest(uri=uri, **fields), timeout=20)

    def commit(self, prefix: str, parts: dict[str, bytes]) -> str:
        """Commit a result, and return its URI."""
        put = tuple(manifest.put_part(self.store, prefix, name, data) for name, data in parts.items())
        manifest.commit(self.store, prefix, Manifest("test", {}, {}, put, {}, "content"))
        return self.store.uri(prefix)


@contextmanager
def serving(store: Store, scratch: Path, upload_part_bytes: int = PART_BYTES) -> Iterator[Services]:
    """Serve all three for the time of the block; clips are uploaded in parts of that size."""
    common = {"listen": "127.0.0.1:0", "scratch_dir": scratch, "drain_seconds": 1.0}
    backend = LocalBackend(read(LocalSettings), command=("false",))
    servers = {
        "extractor": build_extractor(read(ExtractorSettings, **common), store, upload_part_bytes=upload_part_bytes)[0],
        "trainer": build_trainer(read(TrainerSettings, **common), store, backend)[0],
        "converter": build_converter(read(ConverterSettings, **common), store)[0],
    }
    stubs = {
        "extractor": extractor_pb2_grpc.ExtractorServiceStub,
        "trainer": trainer_pb2_grpc.TrainerServiceStub,
        "converter": converter_pb2_grpc.ConverterServiceStub,
    }
    with ExitStack() as running:
        running.callback(backend.close)
        made, addresses = {}, {}
        for name, server in servers.items():
            running.callback(server.stop)
            addresses[name] = f"127.0.0.1:{server.start()}"
            made[name] = stubs[name](running.enter_context(grpc.insecure_channel(addresses[name])))
        yield Services(store, made, addresses)
