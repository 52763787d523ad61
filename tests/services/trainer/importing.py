"""A running trainer to which models are imported, and small models of both forms."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import urllib3

from facefoundry.errors import FaceFoundryError
from facefoundry.model import keras_h5, weights
from facefoundry.model.architecture import Architecture
from facefoundry.process.sandbox import Limits
from facefoundry.process.scratch import Scratch
from facefoundry.rpc.server import Server
from facefoundry.rpc.status import from_rpc_error
from facefoundry.settings import read
from facefoundry.storage.store import Store
from facefoundry.v1 import common_pb2, files_pb2, trainer_pb2, trainer_pb2_grpc
from facefoundry.work.pool import SandboxPool
from services.trainer.__main__ import build
from services.trainer.backends.local import LocalBackend, LocalSettings
from services.trainer.functions import NETWORKS
from services.trainer.settings import TrainerSettings
from tests.scratch import files_in
from tests.waiting import wait_until

TINY = Architecture((4, 4, 8, 8), 8, 8, (8, 4, 4))
MAX_BYTES = 1 << 20
http = urllib3.PoolManager(retries=False)


def tensors_of(architecture: Architecture, seed: int) -> weights.Tensors:
    rng = np.random.default_rng(seed)
    return {
        f"{network}/{name}": rng.normal(size=shape).astype(np.float32)
        for network, shapes in architecture.shapes().items()
        for name, shape in shapes.items()
    }


def published(architecture: Architecture, tensors: weights.Tensors, folder: Path) -> dict[str, bytes]:
    """The three files of a model of FF++, by name."""
    keras_h5.write(architecture, tensors, {network: folder / name for name, network in NETWORKS.items()})
    return {name: (folder / name).read_bytes() for name in NETWORKS}


@dataclass(frozen=True)
class Service:
    """A running trainer."""

    stub: Any
    store: Store
    server: Server
    scratch: Path

    def put(self, name: str, data: bytes, sha256: str = "") -> str:
        """Upload a file as any client does, and return its URI."""
        request = files_pb2.CreateUploadRequest(file_name=name, size_bytes=len(data), sha256=sha256)
        made = self.stub.CreateUpload(request, timeout=20)
        (part,) = made.parts
        assert part.stored or http.request("PUT", part.url, body=data).status == 200
        return made.object_uri

    def put_all(self, files: dict[str, bytes]) -> list[str]:
        return [self.put(name, data) for name, data in files.items()]

    def run(self, uris: list[str], pair_id: str = "") -> tuple[list[common_pb2.Progress], trainer_pb2.Model]:
        request = trainer_pb2.ImportModelRequest(object_uris=uris, pair_id=pair_id)
        *progress, last = self.stub.ImportModel(request, timeout=60)
        return [event.progress for event in progress], last.model

    def refused(self, uris: list[str]) -> tuple[grpc.StatusCode, FaceFoundryError]:
        """The error of an import, after which nothing is left."""
        before = [*self.store.list("imports/")]
        with pytest.raises(grpc.RpcError) as caught:
            self.run(uris)
        assert [*self.store.list("imports/")] == before
        wait_until(lambda: self.server.slots.in_use == 0 and not files_in(self.scratch))
        return caught.value.code(), from_rpc_error(caught.value, "trainer")


@contextmanager
def importing(store: Store, scratch: Path, **settings: str) -> Iterator[Service]:
    """Run a trainer for the time of the block."""
    common: Any = {"listen": "127.0.0.1:0", "scratch_dir": scratch, "drain_seconds": 1.0, **settings}
    common["trainer_max_model_bytes"] = MAX_BYTES
    backend = LocalBackend(read(LocalSettings), command=("false",))
    pool = SandboxPool(Limits(seconds=120, memory_bytes=1 << 30), Scratch("pool", scratch))
    server, runner = build(read(TrainerSettings, **common), store, backend, pool)
    with grpc.insecure_channel(f"127.0.0.1:{server.start()}") as channel:
        yield Service(trainer_pb2_grpc.TrainerServiceStub(channel), store, server, scratch)
    server.stop()
    runner.close()
    backend.close()
