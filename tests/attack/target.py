"""What is attacked: services in a process of their own, the documents in their bucket, and a well-behaved client."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import psutil

from facefoundry import codec
from facefoundry.local.store import ObjectStore
from facefoundry.storage import keys, manifest
from facefoundry.storage.info import ExtractionInfo, FrameRate
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.models import prefix_of_import
from facefoundry.storage.store import Store
from facefoundry.v1 import files_pb2, info_pb2, info_pb2_grpc, recipe_pb2, trainer_pb2, trainer_pb2_grpc
from tests.processes import ROOT, environment_of
from tests.sources import put_source

__all__ = ["Most", "Polite", "Target", "attacked"]

_DIGEST = "ab" * 32


@dataclass(frozen=True)
class Target:
    """Running services.

    Attributes:
        store: Their bucket.
        process: Their process.
        addresses: By name of the service.
        log: File with what they print.
        uris: Of something valid of each kind: `source`, `extraction_a`, `extraction_b`, `model`, `training`, `upload`;
            `spared` is a training whose documents are left alone, for the well-behaved client.
    """

    store: Store
    process: psutil.Process
    addresses: dict[str, str]
    log: Path
    uris: dict[str, str] = field(default_factory=dict)

    def channel(self, service: str) -> grpc.Channel:
        """Open a connection of its own to a service."""
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
        return grpc.insecure_channel(self.addresses[service], options)

    @property
    def bytes(self) -> int:
        """Resident memory of the process."""
        return int(self.process.memory_info().rss)

    @property
    def lives(self) -> bool:
        """Whether the process runs."""
        return bool(self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE)


@contextmanager
def attacked(folder: Path) -> Iterator[Target]:
    """Run an object store and the services for the time of the block."""
    with ObjectStore(folder / "store") as settings:
        settings = settings.model_copy(update={"bucket": "attacked"})
        store, log = Store(settings), folder / "log"
        store.make_bucket()
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.attack.serve", str(folder / "scratch")],
                env=environment_of(settings),
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        try:
            assert process.stdout is not None
            addresses = json.loads(process.stdout.readline())
            threading.Thread(target=_drain, args=(process.stdout, log), daemon=True).start()
            target = Target(store, psutil.Process(process.pid), addresses, log)
            _fill(target, folder)
            yield target
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()


def _drain(printed: object, log: Path) -> None:
    with log.open("ab") as sink:
        for line in printed:  # type: ignore[attr-defined]  # a pipe of bytes
            sink.write(line)


def _fill(target: Target, folder: Path) -> None:
    """Store something valid of each kind, and start two trainings whose workers do nothing."""
    store, uris = target.store, target.uris
    clip = folder / "033.mp4"
    clip.write_bytes(b"no clip")
    uris["source"] = put_source(store, clip, frame_count=3, width=64, height=64)
    for side, digit in (("a", "2"), ("b", "3")):
        prefix = keys.extraction(digit * 40)
        parts = (
            manifest.put_part(store, prefix, "alignments.safetensors", b"none"),
            manifest.put_part(store, prefix, "faces-00000.tar", b"none"),
        )
        facts = ExtractionInfo(
            content_digest=digit * 64,
            frame_count=3,
            face_count=3,
            missing=[],
            frame_rate=FrameRate(25, 1),
            width=64,
            height=64,
            engine="dlib",
        )
        options = {"crop_size": 256, "padding": 48}
        made = Manifest("extraction", {"source": uris["source"]}, options, parts, codec.to_values(facts), digit * 64)
        manifest.commit(store, prefix, made)
        uris[f"extraction_{side}"] = store.uri(prefix)
    prefix = prefix_of_import(_DIGEST)
    part = manifest.put_part(store, prefix, "weights.safetensors", b"none")
    manifest.commit(store, prefix, Manifest("model", {}, {}, (part,), {"iterations": 0, "pair_id": "a_b"}, _DIGEST))
    uris["model"] = store.uri(prefix)
    with target.channel("trainer") as channel:
        stub = trainer_pb2_grpc.TrainerServiceStub(channel)
        request = trainer_pb2.StartTrainingRequest(
            extraction_a_uri=uris["extraction_a"],
            extraction_b_uri=uris["extraction_b"],
            pair_id="033_097",
            dataset="attacked",
            recipe=recipe_pb2.Recipe(name="preview"),
        )
        uris["training"] = stub.StartTraining(request, timeout=60).training.uri
        request.recipe.training.seed = 1
        uris["spared"] = stub.StartTraining(request, timeout=60).training.uri
        created = stub.CreateUpload(files_pb2.CreateUploadRequest(file_name="weights.safetensors", size_bytes=9))
        uris["upload"] = created.object_uri


class Most:
    """The largest value of a number during a block, read every 20 ms."""

    def __init__(self, read: Callable[[], int]) -> None:
        self.value = 0
        self._read, self._over = read, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Most:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(0.02):
            self.value = max(self.value, self._read())


class Polite:
    """A well-behaved client on connections of its own: it calls GetInfo, GetTraining and CancelTraining in turn.

    It cancels a training that does not exist, so that the others stay.
    """

    def __init__(self, target: Target) -> None:
        self.seconds: list[float] = []
        self.failures: list[str] = []
        self._channel = target.channel("trainer")
        self._info = info_pb2_grpc.InfoServiceStub(self._channel)
        self._trainer = trainer_pb2_grpc.TrainerServiceStub(self._channel)
        self._uri, self._absent = target.uris["spared"], target.store.uri(keys.training("f" * 40))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Polite:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._channel.close()

    def percentile(self, share: float) -> float:
        """Return the latency below which a share of the calls were, seconds."""
        return statistics.quantiles(self.seconds, n=1000)[round(share * 1000) - 1] if len(self.seconds) > 1 else 0.0

    def _run(self) -> None:
        calls = (
            lambda: self._info.GetInfo(info_pb2.GetInfoRequest(), timeout=10),
            lambda: self._trainer.GetTraining(trainer_pb2.GetTrainingRequest(training_uri=self._uri), timeout=10),
            lambda: self._trainer.CancelTraining(
                trainer_pb2.CancelTrainingRequest(training_uri=self._absent), timeout=10
            ),
        )
        while not self._over.wait(0.05):
            for call in calls:
                begin = time.monotonic()
                try:
                    call()
                except grpc.RpcError as error:
                    if error.code() is not grpc.StatusCode.NOT_FOUND:
                        self.failures.append(f"{error.code().name}: {error.details()}")
                self.seconds.append(time.monotonic() - begin)
