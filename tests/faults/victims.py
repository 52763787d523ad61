"""The processes that the kill matrix kills."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Sequence
from pathlib import Path

import grpc
import urllib3

from facefoundry import recipes
from facefoundry.storage import keys, manifest
from facefoundry.v1 import (
    common_pb2,
    converter_pb2,
    converter_pb2_grpc,
    extractor_pb2,
    extractor_pb2_grpc,
    files_pb2,
)
from services.trainer import worker_protocol
from services.trainer.training_store import TrainingStore
from tests import tiny
from tests.faults.kills import Point, Victim
from tests.faults.processes import ITERATIONS, TINY, client_of, extractor_of, service_of, tiny_recipe
from tests.faults.proxied_store import ProxiedStore
from tests.faults.proxy import Request
from tests.processes import Process, Service

_RESTARTS = 30
_WORKER_TIMES = {
    "worker_call_seconds": 0.0001,
    "worker_checkpoint_seconds": 0.0001,
    "worker_status_seconds": 0.2,
    "worker_threads": 1,
}

_OF_TRAININGS = ("trainings/", "signing/", "models/")


class _ServiceVictim(Victim):
    """A service that does its work in one streaming call."""

    service: Service
    part: re.Pattern[str]

    def ask(self) -> bool:
        with self.service.ready() as channel:
            try:
                for _ in self.call(channel):
                    pass
            except grpc.RpcError as error:
                if not self.service.gone(seconds=5.0):
                    raise AssertionError(f"{self.name}: {error.details()}\n{self.service.tail()}") from error
                return False
        return True

    def call(self, channel: grpc.Channel):
        raise NotImplementedError

    def kill(self) -> None:
        self.service.kill()

    def redone(self, before: set[str], again: Sequence[Request]) -> int:
        numbers = [self.part.search(request.key) for request in again if request.key in before]
        return len({match[1] for match in numbers if match})


class Extractor(_ServiceVictim):
    """Extract of a clip of several parts."""

    name = "extractor"
    part = re.compile(r"/(?:faces|alignments)-(\d{5})-")

    def __init__(self, proxied: ProxiedStore, source_uri: str) -> None:
        super().__init__(proxied)
        self.service = extractor_of(proxied)
        self.request = extractor_pb2.ExtractRequest(source_uri=source_uri, sequence_id="clip", recipe=tiny_recipe())

    def call(self, channel: grpc.Channel):
        return extractor_pb2_grpc.ExtractorServiceStub(channel).Extract(self.request, timeout=900)


class Importer(_ServiceVictim):
    """CreateUpload, the PUT of what is not stored, and ImportSource, as a client repeats them until they succeed."""

    name = "importer"
    part = re.compile(r"/(source)-")

    def __init__(self, proxied: ProxiedStore, clip: bytes) -> None:
        super().__init__(proxied)
        self.service = service_of(proxied, "extractor")
        self._clip, self._http = clip, urllib3.PoolManager(retries=False)

    def call(self, channel: grpc.Channel):
        stub = extractor_pb2_grpc.ExtractorServiceStub(channel)
        sha256 = hashlib.sha256(self._clip).hexdigest()
        made = stub.CreateUpload(
            files_pb2.CreateUploadRequest(file_name="clip.mp4", size_bytes=len(self._clip), sha256=sha256), timeout=900
        )
        for part in made.parts:
            if not part.stored:
                assert self._http.request("PUT", part.url, body=self._clip).status == 200
        return stub.ImportSource(extractor_pb2.ImportSourceRequest(object_uri=made.object_uri), timeout=900)

    def owns(self, request: Request) -> bool:
        return not request.key.endswith("clip.mp4") or request.kind != "PUT"  # the client's own, by URL


class Converter(_ServiceVictim):
    """Convert of several chunks, or Transcode."""

    name = "converter"
    part = re.compile(r"/chunk-(\d{5})-")

    def __init__(self, proxied: ProxiedStore, inputs: dict[str, str], transcode: bool = False) -> None:
        super().__init__(proxied)
        self.service = service_of(proxied, "converter")
        self.request = convert_request(inputs)
        self._real = converter_pb2.TranscodeRequest(
            source_uri=inputs["source_a"], sequence_id="a", recipe=tiny_recipe()
        )
        self._transcode = transcode

    def call(self, channel: grpc.Channel):
        stub = converter_pb2_grpc.ConverterServiceStub(channel)
        return stub.Transcode(self._real, timeout=900) if self._transcode else stub.Convert(self.request, timeout=900)


def convert_request(inputs: dict[str, str]) -> converter_pb2.ConvertRequest:
    return converter_pb2.ConvertRequest(
        model_uri=inputs["model"],
        target_extraction_uri=inputs["extraction_a"],
        target_side=common_pb2.SIDE_A,
        target_id="a",
        source_id="b",
        recipe=tiny_recipe(),
    )


class Worker(Victim):
    """A training whose every iteration may end in a checkpoint."""

    name = "worker"

    def __init__(self, proxied: ProxiedStore, attempt_uri: str) -> None:
        super().__init__(proxied)
        self._uri = attempt_uri
        self.process = Process(
            "worker", ["services.trainer.worker"], proxied.environment(**_WORKER_TIMES), proxied.folder
        )
        self.attempt = TrainingStore(proxied.store).load(attempt_uri.split("/", 3)[3].rpartition("/")[0])

    def ask(self) -> bool:
        for _ in range(_RESTARTS):
            self.process.start(self._uri)
            code = self.process.wait()
            if code != worker_protocol.ExitCode.INTERRUPTED:
                break
        assert code in (0, -9), f"the worker ended with {code}:\n{self.process.tail()}"
        return code == 0

    def kill(self) -> None:
        self.process.kill()

    def points(self, written: Sequence[Request]) -> list[Point]:
        """Leave out the writes that the clock may add."""
        most = {"status.json": 1, "checkpoints/": 2, "previews/": 1}
        return [
            point
            for point in super().points(written)
            if all(part not in point.key or point.turn < count for part, count in most.items())
            and (point.kind != "DELETE" or point.turn < 2)
        ]

    def redone(self, before: set[str], again: Sequence[Request]) -> int:
        """Return 2 if the second run did not start from the newest committed checkpoint, else 0."""
        if f"{self.attempt.model_prefix}/manifest.json" in before:
            return 0
        begun = [event for event in self.process.events() if event["event"] == "training"][-1]
        return 2 if int(str(begun["first"])) < self._newest else 0

    def killed(self) -> None:
        """Remember the newest committed checkpoint."""
        store = self.proxied.store
        found = [0]
        for key in store.list(worker_protocol.checkpoints_prefix(self.attempt.prefix)):
            if key.endswith("/manifest.json"):
                record = manifest.load(store, key.removesuffix("/manifest.json"))
                found += [int(part.name.partition(".")[0]) for part in record.parts]
        self._newest = max(found)


def put_training(proxied: ProxiedStore, inputs: dict[str, str]) -> str:
    """Save an attempt at a training and return its URI."""
    store = proxied.store
    recipe = tiny_recipe()
    first, second = (keys.prefix_of(store.bucket, inputs[f"extraction_{side}"], "extractions") for side in "ab")
    contents = [manifest.load(store, prefix).content_digest for prefix in (first, second)]
    attempt = worker_protocol.Attempt(
        worker_protocol.training_digest(contents[0], contents[1], recipe.training, recipe.version),
        1,
        "a_b",
        first,
        second,
        recipes.options(recipe.training),
        ITERATIONS,
        worker_protocol.now(),
        version=recipe.version,
    )
    TrainingStore(store).save_attempt(attempt)
    return store.uri(worker_protocol.attempt_key(attempt.prefix))


class Orchestrator(Victim):
    """`generate-models` against services that survive it; the training is already done where the point allows it."""

    name = "orchestrator"

    def __init__(self, proxied: ProxiedStore, clips: Path) -> None:
        super().__init__(proxied)
        self._clips = clips
        self._runs = 0
        more = {"poll_seconds": 0.1, "slots": 2}
        self.services = {
            "extractor": extractor_of(proxied),
            "trainer": service_of(proxied, "trainer", **more, **_WORKER_TIMES),
            "converter": service_of(proxied, "converter", **more),
        }
        self.process = Process("orchestrator", ["facefoundry"], proxied.environment(), proxied.folder)

    @property
    def _out(self) -> Path:
        return self.proxied.folder / f"out-{self._runs}"

    def begin(self, point: Point | None) -> None:
        self._runs += 1
        from_nothing = point is None or point.key.startswith(_OF_TRAININGS)
        keys = self.proxied.store.list("")
        self.proxied.kept = set() if from_nothing else {key for key in keys if key.startswith(_OF_TRAININGS)}
        if from_nothing:
            self.services["trainer"].kill()  # it would remember trainings that are no longer in the bucket

    def ask(self) -> bool:
        words = ["generate-models", "-i", str(self._clips), "-o", str(self._out), "--convert_images", "--json"]
        words += [f"-it={ITERATIONS}", "--name=faults", *tiny.flags(**TINY)]
        for service in self.services.values():
            service.ready().close()
            words += [f"--{service.name}", service.address]
        self.process.start(*words)
        code = self.process.wait()
        assert code in (0, -9), f"the run ended with {code}:\n{self.process.tail()}"
        return code == 0

    def kill(self) -> None:
        self.process.kill()

    def owns(self, request: Request) -> bool:
        return request.key.startswith(("sources/", "runs/"))

    def made(self) -> dict[str, str]:
        files = [path for path in self._out.rglob("*") if path.is_file()]
        assert not [path for path in files if "partial" in path.name]
        compared = [path for path in files if path.suffix in (".mp4", ".safetensors") or path.parent.name == "labels"]
        digests = {str(path.relative_to(self._out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in compared}
        digests = {name: digest for name, digest in digests.items() if "optimizer" not in name}
        return {**super().made(), **digests}

    def points(self, written: Sequence[Request]) -> list[Point]:
        """Return the first point of each kind: the clock decides on some of the others."""
        return [point for point in super().points(written) if "checkpoints/" not in point.key and point.turn == 0]

    def redone(self, before: set[str], again: Sequence[Request]) -> int:
        """Return twice the number of committed prefixes that were made again."""
        done = {key for key in before if key.endswith("/manifest.json") and "/checkpoints/" not in key}
        return sum(2 for request in again if request.key in done)

    def close(self) -> None:
        self.kill()
        for service in self.services.values():
            service.kill()


class StoreItself(Victim):
    """The object store, killed under an extraction, a conversion and a training; it is started again at once."""

    name = "object store"

    def __init__(
        self, proxied: ProxiedStore, inputs: dict[str, str], attempt_uri: str, *, extraction_only: bool
    ) -> None:
        super().__init__(proxied)
        self._all = not extraction_only
        self._extractor, self._converter = extractor_of(proxied), service_of(proxied, "converter")
        self._inputs = inputs
        self._worker = Worker(proxied, attempt_uri)
        self._restarting: threading.Thread | None = None
        self._killing = threading.Lock()

    def ask(self) -> bool:
        self._extractor.ready().close()
        with client_of(extractor=self._extractor, converter=self._converter) as client:
            client.extract(self._inputs["source_c"], "clip", tiny_recipe())
            if self._all:
                self._converter.ready().close()
                client.convert(convert_request(self._inputs))
                assert self._worker.ask()
        self._back()
        return True

    def kill(self) -> None:
        with self._killing:
            self._back()
            self.proxied.server.kill()
            self._restarting = threading.Thread(target=self.proxied.restart)
            self._restarting.start()

    def points(self, written: Sequence[Request]) -> list[Point]:
        return self._worker.points(written)

    def redone(self, before: set[str], again: Sequence[Request]) -> int:
        return 0

    def close(self) -> None:
        self._back()
        self._extractor.kill()
        self._converter.kill()
        self._worker.kill()

    def _back(self) -> None:
        if self._restarting is not None:
            self._restarting.join()
