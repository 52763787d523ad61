"""A store of one's own behind a proxy, the processes before it, and tiny inputs for them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import av
import grpc
import numpy as np
from skimage import data

from facefoundry import recipes
from facefoundry.client import Client
from facefoundry.errors import NotFound
from facefoundry.local.process import LOOPBACK, free_ports
from facefoundry.local.store import ObjectStore
from facefoundry.settings import ChannelSettings, read
from facefoundry.storage import manifest
from facefoundry.storage.store import Store
from facefoundry.v1 import recipe_pb2
from tests.faults.proxy import Proxy

ROOT = Path(__file__).parents[2]
FRAMES = 10
PART_FRAMES = 3
ITERATIONS = 24
CREDENTIALS = ("tester", "a secret of the tests")

TINY = (
    "training.encoder_filters=[4, 4, 8, 8]",
    "training.bottleneck=8",
    "training.upscale_filters=8",
    "training.decoder_filters=[8, 4, 4]",
    "training.batch_size=4",
    "extraction.identity=false",
    f"conversion.chunk_frames={PART_FRAMES}",
)


def tiny_recipe() -> recipe_pb2.Recipe:
    """A recipe whose stages take moments."""
    recipe = recipe_pb2.Recipe(name="preview")
    for assignment in (*TINY, f"training.iterations={ITERATIONS}"):
        recipes.override(recipe, assignment)
    return recipes.resolve(recipe)


def write_clip(path: Path, phase: int, frames: int = FRAMES) -> Path:
    """A clip of 192x192: a portrait that drifts by about a pixel a frame."""
    portrait = np.ascontiguousarray(data.astronaut()[:, :, ::-1])
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "12", "preset": "ultrafast", "threads": "1"})
        stream.width = stream.height = 192
        stream.pix_fmt = "yuv420p"
        for step in range(phase, phase + frames):
            dx, dy = int(20 * np.sin(step / 15)), int(12 * np.cos(step / 11))
            picture = np.ascontiguousarray(portrait[25 + dy : 217 + dy, 130 + dx : 322 + dx])
            if phase:
                picture = np.ascontiguousarray(picture[:, ::-1])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())
    return path


class House:
    """One store in a folder, a proxy before it, and environments for processes that use it.

    Attributes:
        store: The store without the proxy, for looking.
        proxy: What the processes know as the store.
    """

    def __init__(self, folder: Path, furnished: Path | None = None, scratch: Path | None = None) -> None:
        self.folder, self.scratch = folder, scratch or folder / "scratch"
        if furnished is not None:
            shutil.copytree(furnished / "store" / "data", folder / "store" / "data")
        self.weed = ObjectStore(folder / "store", credentials=CREDENTIALS)
        settings = self.weed.start()
        self.proxy = Proxy(settings.endpoint)
        self.proxy.up()
        self.settings = settings.model_copy(update={"endpoint": self.proxy.endpoint})
        self.store = Store(settings)
        self.kept: set[str] = set()

    def close(self) -> None:
        self.proxy.down()
        self.weed.stop()

    def restart(self) -> None:
        """Start the killed store again on its folder; the proxy's address stays."""
        settings = self.weed.start()
        self.store = Store(settings)
        self.proxy.target = settings.endpoint

    def keep(self) -> None:
        """From now on `clear` leaves what is there now."""
        self.kept = set(self.store.list(""))

    def clear(self) -> None:
        """Delete what came after `keep`, and forget the proxy's log and rule."""
        self.proxy.rule = None
        self.store.delete([key for key in self.store.list("") if key not in self.kept])
        self.proxy.forget()

    def environment(self, **more: str) -> dict[str, str]:
        """Of a process that uses the store through the proxy."""
        settings = self.settings
        return {
            **os.environ,
            "FACEFOUNDRY_STORE_ENDPOINT": settings.endpoint,
            "FACEFOUNDRY_STORE_ACCESS_KEY": settings.access_key.get_secret_value(),
            "FACEFOUNDRY_STORE_SECRET_KEY": settings.secret_key.get_secret_value(),
            "FACEFOUNDRY_STORE_BUCKET": settings.bucket,
            "FACEFOUNDRY_SCRATCH_DIR": str(self.scratch),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            **more,
        }


class Process:
    """A process of ours that can be started, killed and started again."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self._command, self._environment = command, dict(environment)
        self.log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, *arguments: str, **environment: str) -> None:
        with self.log.open("ab") as sink:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self._command, *arguments],
                env={**self._environment, **environment},
                cwd=ROOT,
                stdout=sink,
                stderr=sink,
                stdin=subprocess.DEVNULL,
            )

    def wait(self, seconds: float = 900.0) -> int:
        assert self._process is not None
        return self._process.wait(seconds)

    def gone(self, seconds: float) -> bool:
        """Whether it ends within so long."""
        try:
            self.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def events(self) -> list[dict[str, object]]:
        """What it logged, all its lives together."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def tail(self) -> str:
        return self.log.read_text()[-3000:] if self.log.exists() else "(no log)"


class Service(Process):
    """One of the three services, on a port of its own."""

    def __init__(
        self, name: str, house: House, environment: Mapping[str, str] | None = None, command: list[str] | None = None
    ) -> None:
        self.address = f"{LOOPBACK}:{free_ports(1)[0]}"
        variables = house.environment(FACEFOUNDRY_LISTEN=self.address, **(environment or {}))
        super().__init__(name, command or [f"services.{name}"], variables, house.folder)

    def ready(self) -> grpc.Channel:
        """Start it unless it runs; a fresh channel to it, which answers."""
        if not self.alive:
            self.start()
        options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
        options += [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)]
        channel = grpc.insecure_channel(self.address, options=options)
        try:
            grpc.channel_ready_future(channel).result(300)
        except grpc.FutureTimeoutError:
            raise AssertionError(f"{self.name} does not answer:\n{self.tail()}") from None
        return channel


def extractor_of(house: House) -> Service:
    return Service("extractor", house, command=["tests.faults.serve", str(PART_FRAMES)])


def client_of(retry_seconds: float = 300.0, **services: Service) -> Client:
    """The SDK; services that are not given are nowhere."""
    addresses = {f"{name}_address": service.address for name, service in services.items()}
    nowhere = {f"{name}_address": f"{LOOPBACK}:9" for name in ("extractor", "trainer", "converter")}
    return Client(read(ChannelSettings, **{**nowhere, **addresses}), retry_seconds=retry_seconds)


def half_visible(store: Store) -> list[str]:
    """What is wrong with the bucket: manifests without their parts, or with other bytes than they say.

    Services may be at work. Cleaning up takes the manifest first, so what has none any more was not visible.
    """
    complaints = []
    for key in list(store.list("")):
        if key.endswith("/manifest.json"):
            try:
                wrong = _wrong_parts(store, key)
            except NotFound:
                continue
            complaints += wrong if store.exists(key) else []
    return complaints


def _wrong_parts(store: Store, key: str) -> list[str]:
    wrong = []
    for part in manifest.load(store, key.removesuffix("/manifest.json")).parts:
        if not store.exists(part.key):
            wrong.append(f"{key} names {part.key}, which is not there")
        elif hashlib.sha256(store.get_bytes(part.key)).hexdigest() != part.sha256:
            wrong.append(f"{part.key} is not what {key} says")
    return wrong


def content(store: Store) -> dict[str, str]:
    """Content digest of every committed prefix but checkpoints."""
    prefixes = [key.removesuffix("/manifest.json") for key in store.list("") if key.endswith("/manifest.json")]
    return {prefix: manifest.load(store, prefix).content_digest for prefix in prefixes if "/checkpoints/" not in prefix}


_DIGESTS = re.compile(r"[0-9a-f]{40,64}|(?<=/)\d{7}(?=[-.])|(?<=checkpoints/)[^/]+")


def masked(key: str) -> str:
    """A key without its digests, iterations and worker ids: the class of keys it belongs to."""
    return _DIGESTS.sub("*", key)
