"""Mutated clips through Inspect and Extract of a real extractor process, and what became of it.

The process is `python -m services.extractor` with an object store, reached over loopback gRPC. What is looked for: it
lives, every call ends with a status of ours, its memory and that of its children stay bounded, and nothing is left in
scratch.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import grpc
import psutil

from facefoundry.dataset import sources
from facefoundry.dataset.plan import Clip
from facefoundry.errors import FaceFoundryError
from facefoundry.rpc.status import from_rpc_error
from facefoundry.settings import StoreSettings
from facefoundry.storage.store import Store
from facefoundry.v1 import extractor_pb2, extractor_pb2_grpc, recipe_pb2
from tests.fuzz import clips
from tests.fuzz.mutations import mutate, mutate_picture

__all__ = ["CHILD_BYTES", "SERVICE_BYTES", "Outcome", "run"]

CHILD_BYTES = 1 << 30
"""Limit on a child, as the service is told; the watchdog looks ten times a second."""
SERVICE_BYTES = 400 << 20
"""Most that the service itself may take, however many clips went through it."""

_CALL_SECONDS = 120.0
_CHILD_SECONDS = 60.0
_THREADS = 2
_FOLDERS = 0.25
_NEVER = {"UNKNOWN", "INTERNAL"}


@dataclass
class Outcome:
    """What became of all cases.

    Attributes:
        cases: Number of clips.
        seed: Of their damage.
        calls: How often each `<rpc> <status>[/<reason>]` was the end.
        faults: What must not be, one sentence each, with the case that shows it.
        service_bytes: Most resident memory that the service had.
        child_bytes: Most that one of its children had.
    """

    cases: int
    seed: int
    calls: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    service_bytes: int = 0
    child_bytes: int = 0

    def summary(self) -> str:
        """One line with all counts."""
        counts = ", ".join(f"{call} {count}" for call, count in sorted(self.calls.items()))
        memory = f"service at most {self.service_bytes >> 20} MiB, a child at most {self.child_bytes >> 20} MiB"
        return f"fuzz: {self.cases} clips, seed {self.seed}: {len(self.faults)} faults; {memory}; {counts}"


def make_case(seed: int, number: int, folder: Path) -> tuple[str, Path]:
    """Write one mutated clip; returns what it is, and its file or folder. Equal numbers give equal clips."""
    random = Random(f"{seed}/{number}")
    if random.random() < _FOLDERS:
        return _frame_folder(random, folder / f"case-{number}")
    videos = clips.videos(str(folder))
    name = random.choice(list(videos))
    mutation = mutate(random, name, videos[name], list(videos.values()))
    path = folder / f"case-{number}{Path(name).suffix}"
    path.write_bytes(mutation.data)
    return f"{name} {mutation.name}", path


def _frame_folder(random: Random, folder: Path) -> tuple[str, Path]:
    """Frames of which some are damaged, or named otherwise than what they are."""
    folder.mkdir()
    pictures = clips.pictures()
    kind = random.choice(clips.PICTURES)
    frames = list(pictures[kind])
    done = set()
    for number in random.sample(range(len(frames)), random.choice((1, 1, 2, 8))):
        mutation = mutate_picture(random, frames[number], [pictures[other][number] for other in pictures])
        frames[number] = mutation.data
        done.add(mutation.name)
    suffix = random.choice((kind, kind, kind, *clips.PICTURES))
    for number, data in enumerate(frames):
        (folder / f"{number:04d}.{suffix}").write_bytes(data)
    return f"{kind} as {suffix}: {' '.join(sorted(done))}", folder


def run(seed: int, cases: int, store_settings: StoreSettings, folder: Path) -> Outcome:
    """Run so many cases.

    Args:
        seed: Of all mutations.
        cases: How many.
        store_settings: A store whose bucket is there.
        folder: For clips and scratch; empty.
    """
    outcome = Outcome(cases, seed)
    store = Store(store_settings)
    scratch = folder / "scratch"
    clips.videos(str(folder))
    with _service(store_settings, scratch, folder / "log") as (process, port), _watching(process, outcome):
        with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.enable_http_proxy", 0)]) as channel:
            stub = extractor_pb2_grpc.ExtractorServiceStub(channel)

            def one(number: int) -> None:
                case, path = make_case(seed, number, folder)
                for call, detail in _calls(stub, store, path):
                    outcome.calls[call] += 1
                    fault = _fault(call, detail)
                    if fault:
                        outcome.faults.append(f"case {number} ({case}): {call}: {fault}: {detail}")

            with ThreadPoolExecutor(_THREADS) as pool:
                list(pool.map(one, range(cases)))
        if process.poll() is not None:
            outcome.faults.append(f"the service ended with {process.returncode}")
        left = _left_over(scratch)
        if left:
            outcome.faults.append(f"left in scratch: {left}")
    if outcome.service_bytes > SERVICE_BYTES:
        outcome.faults.append(f"the service took {outcome.service_bytes >> 20} MiB")
    if outcome.child_bytes > 2 * CHILD_BYTES:
        outcome.faults.append(f"a child took {outcome.child_bytes >> 20} MiB")
    return outcome


def _calls(stub: extractor_pb2_grpc.ExtractorServiceStub, store: Store, path: Path) -> Iterator[tuple[str, str]]:
    """Upload a clip, then Inspect and Extract it; how each call ended, and what was said."""
    try:
        uri = sources.upload(store, Clip(path.name, path), Fraction(25), lambda done, total: None)
    except FaceFoundryError as error:
        yield f"upload {type(error).__name__}/{error.reason}", error.message
        return
    inspect = extractor_pb2.InspectRequest(source_uri=uri, sample_frames=2)
    extract = extractor_pb2.ExtractRequest(source_uri=uri, sequence_id="clip", recipe=recipe_pb2.Recipe(name="ffpp"))
    yield _end("Inspect", lambda: stub.Inspect(inspect, timeout=_CALL_SECONDS))
    yield _end("Extract", lambda: list(stub.Extract(extract, timeout=_CALL_SECONDS)))


def _end(name: str, call: Callable[[], object]) -> tuple[str, str]:
    while True:
        try:
            call()
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                time.sleep(0.05)  # the slot of the call before is not free yet
                continue
            known = from_rpc_error(error, "extractor")
            return f"{name} {error.code().name}/{known.reason}", known.message
        return f"{name} OK", ""


def _fault(call: str, detail: str) -> str:
    """Why a call's end is none of those that may be, or nothing."""
    status, _, reason = call.partition(" ")[2].partition("/")
    if status in _NEVER:
        return "a status that must not be"
    if status == "DEADLINE_EXCEEDED":
        return "it did not end"
    if status != "OK" and reason in ("", "UNKNOWN", "UNUSABLE", "UNAVAILABLE"):
        return "no reason of ours"
    if reason == "MEDIA_CRASHED" and "ended with exit code" in detail:
        return "nobody expected this exception"
    return ""


@contextmanager
def _service(settings: StoreSettings, scratch: Path, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    environment = {
        **os.environ,
        "FACEFOUNDRY_LISTEN": "127.0.0.1:0",
        "FACEFOUNDRY_SLOTS": str(2 * _THREADS),
        "FACEFOUNDRY_SCRATCH_DIR": str(scratch),
        "FACEFOUNDRY_CHILD_SECONDS": str(_CHILD_SECONDS),
        "FACEFOUNDRY_CHILD_MEMORY_BYTES": str(CHILD_BYTES),
        "FACEFOUNDRY_STORE_ENDPOINT": settings.endpoint,
        "FACEFOUNDRY_STORE_ACCESS_KEY": settings.access_key.get_secret_value(),
        "FACEFOUNDRY_STORE_SECRET_KEY": settings.secret_key.get_secret_value(),
        "FACEFOUNDRY_STORE_BUCKET": settings.bucket,
    }
    with log.open("wb") as sink:
        process = subprocess.Popen([sys.executable, "-m", "services.extractor"], env=environment, stderr=sink)
    try:
        yield process, _port(process, log)
    finally:
        process.terminate()
        try:
            process.wait(60)
        finally:
            process.kill()


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_text().splitlines():
            with suppress(ValueError):
                record = json.loads(line)
                if record.get("event") == "serving":
                    return int(record["port"])
        time.sleep(0.1)
    raise AssertionError(log.read_text())


@contextmanager
def _watching(process: subprocess.Popen[bytes], outcome: Outcome) -> Iterator[None]:
    """Note the most memory that the service and its children have."""
    over = threading.Event()

    def watch() -> None:
        service = psutil.Process(process.pid)
        while not over.wait(0.2):
            with suppress(psutil.Error):
                outcome.service_bytes = max(outcome.service_bytes, service.memory_info().rss)
                for child in service.children():
                    outcome.child_bytes = max(outcome.child_bytes, child.memory_info().rss)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _left_over(scratch: Path) -> list[str]:
    """What lies in scratch once all calls have ended; the service cleans up just behind the last message."""
    deadline = time.monotonic() + 30
    left = ["?"]
    while left and time.monotonic() < deadline:
        left = sorted(entry.name for entry in scratch.iterdir())
        time.sleep(0.05)
    return left


def in_a_folder_of_its_own(seed: int, cases: int) -> Outcome:
    """Run with a store that lives as long as it takes."""
    from facefoundry.local import ObjectStore

    with TemporaryDirectory() as name, ObjectStore(Path(name) / "store") as settings:
        folder = Path(name) / "clips"
        folder.mkdir()
        return run(seed, cases, settings, folder)
