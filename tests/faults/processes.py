"""Services in front of a proxied store, and tiny work for them."""

from __future__ import annotations

from pathlib import Path

from facefoundry.client import Client
from facefoundry.local.process import LOOPBACK
from facefoundry.settings import ChannelSettings, read
from facefoundry.v1 import recipe_pb2
from tests import tiny
from tests.clips import drifting_face, encode
from tests.faults.proxied_store import ProxiedStore
from tests.processes import Service

FRAMES = 10
PART_FRAMES = 3
ITERATIONS = 24
TINY: dict[str, object] = {"extraction__identity": False, "conversion__chunk_frames": PART_FRAMES}
"""Overrides that make every stage take moments and every clip several parts."""


def tiny_recipe() -> recipe_pb2.Recipe:
    """Return the recipe of the work."""
    return tiny.recipe(**TINY, training__iterations=ITERATIONS)


def write_clip(path: Path, phase: int, frames: int = FRAMES) -> Path:
    """Write a clip of a drifting face from a phase of its drift on; mirrored unless the phase is 0."""
    pictures = drifting_face(frames, phase)
    return encode(path, (picture[:, ::-1] for picture in pictures) if phase else pictures)


def service_of(proxied: ProxiedStore, name: str, **settings: object) -> Service:
    """Return a service in front of the store, not started."""
    return Service(name, proxied.environment(**settings), proxied.folder)


def extractor_of(proxied: ProxiedStore) -> Service:
    """Return an extractor with small parts in front of the store, not started."""
    command = ["tests.faults.serve", str(PART_FRAMES)]
    return Service("extractor", proxied.environment(), proxied.folder, command)


def client_of(retry_seconds: float = 300.0, **services: Service) -> Client:
    """Return a client; the services that are not given cannot be reached."""
    addresses = {f"{name}_address": service.address for name, service in services.items()}
    nowhere = {f"{name}_address": f"{LOOPBACK}:9" for name in ("extractor", "trainer", "converter")}
    return Client(read(ChannelSettings, **{**nowhere, **addresses}), retry_seconds=retry_seconds)
