"""Mutated clips through Inspect and Extract of a real extractor process.

The process is `python -m services.extractor` with an object store, reached over loopback gRPC. It must live, every call
must end with a status of ours, its memory and that of its sandboxes must stay bounded, and nothing may be left in
scratch.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import grpc
import psutil

from facefoundry.errors import FaceFoundryError
from facefoundry.rpc.status import from_rpc_error
from facefoundry.settings import StoreSettings
from facefoundry.storage.store import Store
from facefoundry.v1 import extractor_pb2, extractor_pb2_grpc, recipe_pb2
from tests.fuzz import clips
from tests.fuzz.mutations import mutate, mutate_picture
from tests.processes import environment_of, serving_port
from tests.scratch import files_in
from tests.sources import put_source
from tests.waiting import wait_until

__all__ = ["SANDBOX_BYTES", "SERVICE_BYTES", "Outcome", "run"]

SANDBOX_BYTES = 1 << 30
"""Memory limit of a sandbox; the watchdog checks it ten times a second."""
SERVICE_BYTES = 400 << 20
"""Memory limit of the service itself, however many clips it has handled."""

_CALL_SECONDS = 120.0
_SANDBOX_SECONDS = 60.0
_THREADS = 2
_FOLDERS = 0.25
_NEVER = {"UNKNOWN", "INTERNAL"}


@dataclass
class Outcome:
    """The results of all cases.

    Attributes:
        cases: Number of clips.
        seed: Of their damage.
        calls: How often each `<rpc> <status>[/<reason>]` was the end.
        faults: One sentence for each violation, with the case that shows it.
        service_bytes: Peak resident memory of the service.
        sandbox_bytes: Peak memory of one of its sandboxes.
    """

    cases: int
    seed: int
    calls: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    service_bytes: int = 0
    sandbox_bytes: int = 0

    def summary(self) -> str:
        """Return one line with all counts."""
        counts = ", ".join(f"{call} {count}" for call, count in sorted(self.calls.items()))
        memory = f"service at most {self.service_bytes >> 20} MiB, a sandbox at most {self.sandbox_bytes >> 20} MiB"
        return f"fuzz: {self.cases} clips, seed {self.seed}: {len(self.faults)} faults; {memory}; {counts}"


def make_case(seed: int, number: int, folder: Path) -> tuple[str, Path]:
    """Write one mutated clip; return its description and its file or folder. Equal numbers give equal clips."""
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
    """Write frames of which some are damaged or have a wrong suffix."""
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
    """Run a number of cases and return what they did.

    Args:
        seed: Of all mutations.
        cases: How many.
        store_settings: A store whose bucket exists.
        folder: For clips and scratch; empty.
    """
    outcome = Outcome(cases, seed)
    store = Store(store_settings)
    scratch = folder / "scratch"
    clips.videos(str(folder))
    with _service(store_settings, scratch, folder / "log") as (process, port), _watching(process, outcome):
        with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.enable_http_proxy", 0)]) as channel:
            stub = extractor_pb2_grpc.ExtractorServiceStub(channel)

            def run_case(number: int) -> None:
                case, path = make_case(seed, number, folder)
                for call, detail in _calls(stub, store, path, tolerate_damage=number % 2 == 1):
                    outcome.calls[call] += 1
                    fault = _fault(call, detail)
                    if fault:
                        outcome.faults.append(f"case {number} ({case}): {call}: {fault}: {detail}")

            with ThreadPoolExecutor(_THREADS) as pool:
                list(pool.map(run_case, range(cases)))
        if process.poll() is not None:
            outcome.faults.append(f"the service ended with {process.returncode}")
        left = _left_over(scratch)
        if left:
            outcome.faults.append(f"left in scratch: {left}")
    if outcome.service_bytes > SERVICE_BYTES:
        outcome.faults.append(f"the service took {outcome.service_bytes >> 20} MiB")
    if outcome.sandbox_bytes > 2 * SANDBOX_BYTES:
        outcome.faults.append(f"a sandbox took {outcome.sandbox_bytes >> 20} MiB")
    return outcome


def _calls(
    stub: extractor_pb2_grpc.ExtractorServiceStub, store: Store, path: Path, *, tolerate_damage: bool
) -> Iterator[tuple[str, str]]:
    """Upload a clip, then Inspect and Extract it; yield how each call ended, and its message."""
    try:
        uri = put_source(store, path, tolerate_damage=tolerate_damage)
    except FaceFoundryError as error:
        yield f"upload {type(error).__name__}/{error.reason}", error.message
        return
    inspect = extractor_pb2.InspectRequest(source_uri=uri, sample_frames=2)
    extract = extractor_pb2.ExtractRequest(source_uri=uri, sequence_id="clip", recipe=recipe_pb2.Recipe(name="ffpp"))
    yield _end("Inspect", lambda: stub.Inspect(inspect, timeout=_CALL_SECONDS))
    yield _end("Extract", lambda: list(stub.Extract(extract, timeout=_CALL_SECONDS)))


def _end(name: str, call: Callable[[], object]) -> tuple[str, str]:
    def ended() -> tuple[str, str] | None:
        try:
            call()
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                return None  # the slot of the call before is not free yet
            known = from_rpc_error(error, "extractor")
            return f"{name} {error.code().name}/{known.reason}", known.message
        return f"{name} OK", ""

    end = wait_until(ended)
    assert end
    return end


def _fault(call: str, detail: str) -> str:
    """Return why a call must not end like this; empty if it may."""
    status, _, reason = call.partition(" ")[2].partition("/")
    if status in _NEVER:
        return "a forbidden status"
    if status == "DEADLINE_EXCEEDED":
        return "it did not end"
    if status != "OK" and reason in ("", "UNKNOWN", "UNUSABLE", "UNAVAILABLE"):
        return "no reason of ours"
    if reason == "MEDIA_CRASHED" and "ended with exit code" in detail:
        return "an unexpected exception"
    return ""


@contextmanager
def _service(settings: StoreSettings, scratch: Path, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    limits = {"slots": 2 * _THREADS, "sandbox_seconds": _SANDBOX_SECONDS, "sandbox_memory_bytes": SANDBOX_BYTES}
    environment = environment_of(settings, listen="127.0.0.1:0", scratch_dir=scratch, **limits)
    with log.open("wb") as sink:
        process = subprocess.Popen([sys.executable, "-m", "services.extractor"], env=environment, stderr=sink)
    try:
        yield process, serving_port(process, log)
    finally:
        process.terminate()
        try:
            process.wait(60)
        finally:
            process.kill()


@contextmanager
def _watching(process: subprocess.Popen[bytes], outcome: Outcome) -> Iterator[None]:
    """Record the peak memory of the service and of its sandboxes."""
    over = threading.Event()

    def watch() -> None:
        service = psutil.Process(process.pid)
        while not over.wait(0.2):
            with suppress(psutil.Error):
                outcome.service_bytes = max(outcome.service_bytes, service.memory_info().rss)
                for sandbox in service.children(recursive=True):
                    outcome.sandbox_bytes = max(outcome.sandbox_bytes, sandbox.memory_info().rss)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _left_over(scratch: Path) -> list[str]:
    """Return what stays in scratch after all calls; the service cleans up just after the last message."""
    with suppress(AssertionError):
        wait_until(lambda: not files_in(scratch), 30)
    return sorted(map(str, files_in(scratch)))


def in_a_folder_of_its_own(seed: int, cases: int) -> Outcome:
    """Run with a store and folder of its own."""
    from facefoundry.local import ObjectStore

    with TemporaryDirectory() as name, ObjectStore(Path(name) / "store") as settings:
        folder = Path(name) / "clips"
        folder.mkdir()
        return run(seed, cases, settings, folder)
