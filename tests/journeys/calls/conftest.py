"""Services whose connections are cut by relays, and that stop and start again on the same port."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import cv2
import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from facefoundry.client import Client
from facefoundry.model import network
from facefoundry.model.weights import content_digest
from facefoundry.settings import ChannelSettings, read
from facefoundry.storage import keys, manifest
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.store import Store
from facefoundry.v1 import trainer_pb2
from tests import tiny
from tests.clips import drifting_face
from tests.extractions import put_extraction as put_crops
from tests.processes import Service, environment_of
from tests.sources import put_source

SERVING = health_pb2.HealthCheckResponse.SERVING
_BLOCK = 1 << 16
_DATA = 0


class Relay:
    """Passes TCP connections on to a port of this machine, and breaks them on demand.

    Attributes:
        address: Where it listens.
        cut: Whether the ordered cut has happened.
        held: Streams that wait to be let through.
    """

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = host, int(port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._messages_left: int | None = None
        self.cut = False
        self.held = 0
        self._open = threading.Event()
        self._open.set()
        self._lock = threading.Lock()
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_after(self, messages: int) -> None:
        """Cut a connection once: let the server send `messages`, and break off within the next one."""
        with self._lock:
            self._messages_left, self.cut = messages, False

    def hold(self) -> None:
        """Let nothing through from now on, without closing anything."""
        self._open.clear()

    def release(self) -> None:
        """Let everything through again."""
        self._open.set()

    def close(self) -> None:
        self._listener.close()

    def break_off(self) -> None:
        """Break every connection and accept no more."""
        self.close()
        for connection in self._connections:
            _reset(connection)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(self._target)
                except OSError:
                    _reset(client)
                    continue
                self._connections += [client, server]
                for pump in (self._to_server, self._to_client):
                    threading.Thread(target=pump, args=(client, server), daemon=True).start()

    def _to_server(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while block := client.recv(_BLOCK):
                self._gate()
                server.sendall(block)
        _reset(server)

    def _to_client(self, client: socket.socket, server: socket.socket) -> None:
        """Pass on what the server sends, frame by frame (HTTP/2) while a cut is ordered."""
        waiting = b""
        with contextlib.suppress(OSError):
            while block := server.recv(_BLOCK):
                self._gate()
                if self._messages_left is None:
                    client.sendall(waiting + block)
                    waiting = b""
                    continue
                waiting += block
                while len(waiting) >= 9 and len(waiting) >= (size := 9 + int.from_bytes(waiting[:3], "big")):
                    frame, waiting = waiting[:size], waiting[size:]
                    if frame[3] == _DATA and size > 9 and not self._passes():
                        client.sendall(frame[: size // 2])
                        _reset(client)
                        _reset(server)
                        return
                    client.sendall(frame)
        _reset(client)

    def _gate(self) -> None:
        if not self._open.is_set():
            with self._lock:
                self.held += 1
            self._open.wait()
            with self._lock:
                self.held -= 1

    def _passes(self) -> bool:
        with self._lock:
            if self._messages_left is None:
                return True
            if self._messages_left:
                self._messages_left -= 1
                return True
            self._messages_left, self.cut = None, True
            return False


def _reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


@pytest.fixture(scope="module")
def relay_to() -> Iterator[Callable[[str], Relay]]:
    """Makes relays to addresses."""
    made: list[Relay] = []

    def make(target: str) -> Relay:
        made.append(Relay(target))
        return made[-1]

    yield make
    for relay in made:
        relay.release()
        relay.close()


@pytest.fixture(scope="module")
def start_service(
    store: Store, relay_to: Callable[[str], Relay], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., tuple[Service, Relay]]]:
    """Starts services as processes that reach their store through a relay; returns the service and the relay."""
    made: list[Service] = []

    def start(name: str, **settings: object) -> tuple[Service, Relay]:
        relay = relay_to(store.settings.endpoint)
        through_relay = store.settings.model_copy(update={"endpoint": relay.address})
        folder = tmp_path_factory.mktemp(name)
        environment = environment_of(through_relay, scratch_dir=folder / "scratch", **settings)
        made.append(Service(name, environment, folder))
        with made[-1].ready() as channel:
            assert health_of(channel) == SERVING
        return made[-1], relay

    yield start
    for service in made:
        service.kill()


@pytest.fixture(scope="module")
def store(new_store: Callable[[], Store]) -> Store:
    """A store on a bucket of the module's own."""
    return new_store()


@pytest.fixture(scope="module")
def upload_face(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], str]:
    """Uploads a clip in which a real face drifts, and returns its URI."""

    def put(frames: int) -> str:
        folder = tmp_path_factory.mktemp("clip") / "frames"
        folder.mkdir()
        for number, picture in enumerate(drifting_face(frames)):
            cv2.imwrite(str(folder / f"{number:04d}.png"), picture)
        return put_source(store, folder)

    return put


@pytest.fixture(scope="module")
def put_extraction(store: Store) -> Callable[[int], str]:
    """Commits an extraction of a few random crops, and returns its URI."""

    def put(seed: int) -> str:
        prefix = keys.extraction(keys.digest_of({"seed": seed}))
        small = np.random.default_rng(seed).integers(0, 256, (8, 8, 8, 3), dtype=np.uint8)
        crops = [cv2.resize(crop, (256, 256), interpolation=cv2.INTER_CUBIC) for crop in small]
        put_crops(store, prefix, np.stack(crops), crop_size=256, padding=48)
        return store.uri(prefix)

    return put


@pytest.fixture(scope="module")
def model_uri(store: Store) -> str:
    """A tiny committed model with random weights."""
    made = network.build(network.Architecture((4, 4, 8, 8), 8, 8, (8, 4, 4)), seed=3)
    prefix = keys.model(keys.digest_of({"test": "model"}), 100)
    part = manifest.put_part(store, prefix, "weights.safetensors", made.to_bytes())
    manifest.commit(store, prefix, Manifest("model", {}, {}, (part,), {}, content_digest(made.tensors())))
    return store.uri(prefix)


@pytest.fixture(scope="module")
def trainer(start_service: Callable[..., tuple[Service, Relay]]) -> tuple[Service, Relay]:
    """A trainer that reports and checkpoints often, and its relay to the store."""
    often: dict[str, object] = {
        "worker_call_seconds": 0.01,
        "local_status_seconds": 0.1,
        "local_checkpoint_seconds": 0.1,
    }
    often |= {"poll_seconds": 0.1, "stalled_seconds": 1, "restart_seconds": 0.1, "grace_seconds": 1}
    return start_service("trainer", drain_seconds=4, store_attempts=2, **often)


@pytest.fixture
def ask(put_extraction: Callable[[int], str]) -> Callable[..., trainer_pb2.StartTrainingRequest]:
    """Makes requests for trainings of a network of a few thousand parameters."""
    uris = [put_extraction(seed) for seed in (1, 2)]

    def make(seed: int, iterations: int = 40) -> trainer_pb2.StartTrainingRequest:
        return trainer_pb2.StartTrainingRequest(
            extraction_a_uri=uris[0],
            extraction_b_uri=uris[1],
            pair_id="A_B",
            dataset="set",
            recipe=tiny.recipe(training__iterations=iterations, training__seed=seed),
        )

    return make


@pytest.fixture
def client_of() -> Iterator[Callable[..., Client]]:
    """Opens SDK clients of one address for all three services."""
    made: list[Client] = []

    def make(address: str, retry_seconds: float = 120.0) -> Client:
        settings = read(ChannelSettings, extractor_address=address, trainer_address=address, converter_address=address)
        made.append(Client(settings, retry_seconds=retry_seconds))
        return made[-1]

    yield make
    for client in made:
        client.close()


def health_of(channel: grpc.Channel) -> int:
    request = health_pb2.HealthCheckRequest(service="")
    status: int = health_pb2_grpc.HealthStub(channel).Check(request, timeout=20).status
    return status


@pytest.fixture(scope="session")
def health() -> Callable[[grpc.Channel], int]:
    """Returns the health of a server."""
    return health_of
