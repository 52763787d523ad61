"""`python -m tests.attack [--seed N] [--calls N] [--documents N] [--trainings N]`: attacks services on loopback.

Floods, large documents, hostile requests, objects in the place of others, generated messages, damaged documents and a
long list go to the three services, while a well-behaved client goes on calling. It prints a table, and ends with 1 if a
service died, answered INTERNAL or UNKNOWN, took more memory, kept the client waiting, took a planted object for a
result, or took long for a page of the list.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from google.protobuf.message import Message

from facefoundry.storage import document
from facefoundry.v1 import common_pb2, extractor_pb2, files_pb2, recipe_pb2, trainer_pb2, trainer_pb2_grpc
from facefoundry.v1.converter_pb2 import ConvertRequest, TranscodeRequest
from tests.attack import documents, floods, hostile, listing, messages, planted
from tests.attack.outcome import Ending, Outcome, ending
from tests.attack.target import Most, Polite, Target, attacked
from tests.processes import ROOT

_THREADS = 8
_CALL_SECONDS = 60.0
_P99_SECONDS = 1.0
_FLOOD_BYTES = 64 << 20
_TOTAL_BYTES = 256 << 20
_LARGE_BYTES, _LARGE_MAX_GROWTH = 128 << 20, 32 << 20  # of a document, and that 8 calls at once may cost which read it
_PAGE_SECONDS = 0.1  # of CPU time, for a page of trainings that the trainer has seen before
_FLOODS = (("half_open", 300), ("reflections", 300), ("watches", 1000), ("connections", 3000))


class Attacks:
    """Attacks on one target, within a time.

    Args:
        target: The services.
        seed: Of everything that is generated.
        seconds: The most time for generated messages, and the same for damaged documents.
    """

    def __init__(self, target: Target, seed: int, seconds: float) -> None:
        self._target, self._seed, self._seconds = target, seed, seconds
        self._channels = {name: target.channel(name) for name in target.addresses}
        self._small: dict[str, bytes] = {}  # documents that are large now, by key

    def flood(self, seconds: float = 8.0) -> Outcome:
        """Open all floods at once, and hold them for some seconds."""
        outcome, target = Outcome("floods"), self._target
        before, most = target.bytes, Most(lambda: target.bytes)
        running: list[subprocess.Popen[bytes]] = []
        with most:
            self._open(outcome, running)
            time.sleep(seconds)
        grown, held = most.value - before, target.bytes - before
        print(f"floods: memory grew by up to {grown >> 20} MiB, by {held >> 20} MiB after {seconds:g} s", flush=True)
        if grown > _FLOOD_BYTES:
            outcome.faults.append(f"memory grew by {grown >> 20} MiB")
        for process in running:
            process.kill()
            process.wait()
        return outcome

    def _open(self, outcome: Outcome, running: list[subprocess.Popen[bytes]]) -> None:
        target = self._target
        for kind, count in _FLOODS:
            command = floods.command(kind, target.addresses["trainer"], count, target.uris["training"])
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            assert process.stdout is not None
            running.append(process)
            outcome.calls[f"{kind} opened"] = count if process.stdout.readline() == b"open\n" else 0

    def enlarge(self) -> None:
        """Make all documents 128 MiB large."""
        store = self._target.store
        for key in self._documents():
            self._small[key] = store.get_bytes(key)
            document.put(store, key, self._small[key].ljust(_LARGE_BYTES))

    def read_large(self) -> Outcome:
        """Read the large documents by 8 calls at once, and put one after the other right again."""
        outcome, reads, largest = Outcome("large documents"), self._reads(), 0
        for key, small in self._small.items():
            for service, path, request in reads[key.partition("/")[0]]:
                before = self._target.bytes
                with Most(lambda: self._target.bytes) as most, ThreadPoolExecutor(_THREADS) as pool:
                    endings = list(pool.map(lambda call: self._send(*call), [(service, path, request)] * _THREADS))
                for each in endings:
                    outcome.add(each, f"{path} with a large {key}")
                grown = most.value - before
                largest = max(largest, grown)
                if grown > _LARGE_MAX_GROWTH:
                    outcome.faults.append(f"{path} with a large {key}: memory grew by {grown >> 20} MiB")
            document.put(self._target.store, key, small)
        print(f"{_THREADS} reads at once of {_LARGE_BYTES >> 20} MiB: memory grew by {largest >> 20} MiB", flush=True)
        return outcome

    def ask(self) -> Outcome:
        """Send every hostile request."""
        outcome = Outcome("hostile requests")
        for name, service, method, data in hostile.requests(self._target.uris):
            outcome.add(self._send(service, method, data), name)
        return outcome

    def plant(self) -> Outcome:
        """Put objects in the place of results, and ask for what is made of them."""
        outcome, store, uris = Outcome("planted objects"), self._target.store, self._target.uris
        with TemporaryDirectory() as folder:
            for call in planted.plant(store, Path(folder), uris["model"]):
                path = f"/{messages.SERVICES[call.service].full_name}/{call.method}"
                ending = self._send(call.service, path, call.request.SerializeToString())
                outcome.add(ending, f"{call.method}: {call.name}")
                if ending.reason not in call.reasons:
                    outcome.faults.append(f"{call.method}: {call.name}: {ending.code} {ending.reason} {ending.detail}")
        request = planted.training_with_model(store, [uris["extraction_a"], uris["extraction_b"]])
        stub = trainer_pb2_grpc.TrainerServiceStub(self._channels["trainer"])
        training = stub.StartTraining(request, timeout=_CALL_SECONDS).training
        outcome.calls["OK"] += 1
        if training.state == trainer_pb2.Training.STATE_SUCCEEDED or training.model_uri:
            outcome.faults.append(f"StartTraining: takes a planted model for that of {training.uri}")
        return outcome

    def generate(self, count: int) -> Outcome:
        """Send generated messages to all methods in turn."""
        outcome, known, all_methods = Outcome("generated messages"), [*self._target.uris.values()], messages.methods()
        end = time.monotonic() + self._seconds

        def send(number: int) -> None:
            if time.monotonic() > end:
                return
            random = Random(f"{self._seed}/{number}")
            service, path, kind, _ = all_methods[number % len(all_methods)]
            data = messages.made(random, kind, known).SerializeToString()
            if random.random() < 0.2:
                data = messages.damaged(random, data)
            outcome.add(self._send(service, path, data), f"message {number} to {path}")

        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(send, range(count)))
        outcome.expect(count)
        return outcome

    def damage(self, count: int) -> Outcome:
        """Damage the documents in the bucket one after the other, read each, and put it right again."""
        outcome, store = Outcome("damaged documents"), self._target.store
        reads = self._reads()
        found = {key: store.get_bytes(key) for key in self._documents()}
        names, end = sorted(found), time.monotonic() + self._seconds
        for number in range(count):
            if time.monotonic() > end:
                break
            random = Random(f"{self._seed}/document/{number}")
            key = names[number % len(names)]
            kind, data = documents.mutated(random, found[key])
            document.put(store, key, data)  # with its digest, so that it is parsed
            chosen = reads[key.partition("/")[0]]
            service, path, request = chosen[number // len(names) % len(chosen)]
            outcome.add(self._send(service, path, request), f"document {number}, {kind} of {key}, read by {path}")
            document.put(store, key, found[key])
        outcome.expect(count)
        return outcome

    def list_trainings(self, count: int) -> Outcome:
        """List a tenth of many trainings, and then all, twice each: then the trainer knows those that ended."""
        outcome, stub = Outcome("a long list"), trainer_pb2_grpc.TrainerServiceStub(self._channels["trainer"])
        filled = 0
        for total in (count // 10, count):
            listing.fill(self._target.store, range(filled, total))
            filled = total
            for walk in ("first", "again"):
                pages = listing.walk(stub, self._target.process)
                outcome.calls["OK"] += -(-pages.trainings // listing.PAGE)
                print(f"list, {walk}: {pages}", flush=True)
                if pages.trainings < total:
                    outcome.faults.append(f"ListTrainings: {pages.trainings} of at least {total} trainings")
            if pages.cpu > _PAGE_SECONDS:
                outcome.faults.append(
                    f"ListTrainings: a page takes {pages.cpu:.2f} s of CPU time with {total} trainings"
                )
        return outcome

    def _documents(self) -> list[str]:
        """Return the keys of all documents that calls read, but those of the spared training."""
        store, reads = self._target.store, self._reads()
        spared = self._target.uris["spared"].removeprefix(store.uri(""))
        found = (key for key in store.list("") if key.endswith(".json") and not key.startswith(spared))
        return [key for key in found if key.partition("/")[0] in reads]

    def _reads(self) -> dict[str, list[tuple[str, str, bytes]]]:
        """Return, for each kind of prefix, calls that read its documents."""
        uris = self._target.uris
        preview = recipe_pb2.Recipe(name="preview")

        def of(service: str, method: str, request: Message) -> tuple[str, str, bytes]:
            full = messages.SERVICES[service].full_name
            return service, f"/{full}/{method}", request.SerializeToString()

        def files(service: str, uri: str) -> tuple[str, str, bytes]:
            return of(service, "ListFiles", files_pb2.ListFilesRequest(uri=uri))

        convert = ConvertRequest(
            model_uri=uris["model"],
            target_extraction_uri=uris["extraction_a"],
            target_side=common_pb2.SIDE_A,
            target_id="033",
            source_id="097",
            recipe=preview,
        )
        start = trainer_pb2.StartTrainingRequest(
            extraction_a_uri=uris["extraction_a"],
            extraction_b_uri=uris["extraction_b"],
            pair_id="033_097",
            recipe=preview,
        )
        extract = extractor_pb2.ExtractRequest(source_uri=uris["source"], sequence_id="033", recipe=preview)
        transcode = TranscodeRequest(source_uri=uris["source"], sequence_id="033", recipe=preview)
        upload = extractor_pb2.ImportSourceRequest(object_uri=uris["upload"])
        return {
            "sources": [
                of("extractor", "Inspect", extractor_pb2.InspectRequest(source_uri=uris["source"])),
                of("extractor", "Extract", extract),
                of("converter", "Transcode", transcode),
                files("extractor", uris["source"]),
            ],
            "extractions": [
                of("converter", "Convert", convert),
                files("extractor", uris["extraction_a"]),
                of("trainer", "StartTraining", start),
            ],
            "imports": [of("converter", "Convert", convert), files("trainer", uris["model"])],
            "trainings": [
                of("trainer", "GetTraining", trainer_pb2.GetTrainingRequest(training_uri=uris["training"])),
                of("trainer", "ListTrainings", trainer_pb2.ListTrainingsRequest()),
                of("trainer", "WatchTraining", trainer_pb2.WatchTrainingRequest(training_uri=uris["training"])),
                of("trainer", "WatchTrainings", trainer_pb2.WatchTrainingsRequest(dataset="attacked")),
                of("trainer", "StartTraining", start),
            ],
            "signing": [of("trainer", "StartTraining", start)],
            "uploads": [
                of("extractor", "ImportSource", upload),
                of("trainer", "ImportModel", trainer_pb2.ImportModelRequest(object_uris=[uris["upload"]])),
            ],
        }

    def _send(self, service: str, path: str, data: bytes) -> Ending:
        """Send a request, read the first response, and return how the call ended."""
        channel: Any = self._channels[service]
        stream = any(path == each and streams for _, each, _, streams in messages.methods())

        def call() -> None:
            if not stream:
                channel.unary_unary(path)(data, timeout=_CALL_SECONDS)
                return
            responses = channel.unary_stream(path)(data, timeout=_CALL_SECONDS)
            for number, _ in enumerate(responses):
                if "/WatchTraining" in path or number > 1000:
                    responses.cancel()
                    return

        return ending(call)


def _attack(attack: Callable[[], Outcome], target: Target, prepare: Callable[[], None] = lambda: None) -> bool:
    """Prepare, attack beside a well-behaved client, print the outcome, and return whether all went well."""
    prepare()
    before, begin = target.bytes, time.monotonic()
    with Polite(target) as polite:
        outcome = attack()
    faults = list(outcome.faults)
    p50, p99 = polite.percentile(0.5), polite.percentile(0.99)
    if not target.lives:
        faults.append("the services died")
    if p99 > _P99_SECONDS:
        faults.append(f"a well-behaved client waited {p99:.2f} s (p99)")
    faults += [f"a well-behaved client got {failure}" for failure in polite.failures]
    grown = (target.bytes - before) >> 20 if target.lives else 0
    print(
        f"{outcome.name:20} {outcome.total:6} calls {time.monotonic() - begin:6.1f} s {len(faults):3} faults "
        f"{grown:+5} MiB; client: {len(polite.seconds)} calls, p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms, "
        f"max {max(polite.seconds, default=0) * 1000:.0f} ms"
    )
    for name, number in outcome.calls.most_common():
        print(f"    {number:6} {name}")
    for fault in faults[:40]:
        print(f"  FAULT {fault}", flush=True)
    return not faults


def main() -> None:
    """Attack, print the table, and end with 1 if there was a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of all generated messages and damage")
    parser.add_argument("--calls", type=int, default=10_000, help="how many generated messages")
    parser.add_argument("--documents", type=int, default=5_000, help="how many damaged documents")
    parser.add_argument("--trainings", type=int, default=10_000, help="how many trainings the list has")
    parser.add_argument("--seconds", type=float, default=420.0, help="the most for messages, and for documents")
    given = parser.parse_args()
    with TemporaryDirectory() as folder, attacked(Path(folder)) as target:
        attacks, begin = Attacks(target, given.seed, given.seconds), target.bytes
        good = [
            _attack(attacks.flood, target),
            _attack(attacks.read_large, target, attacks.enlarge),
            _attack(attacks.ask, target),
            _attack(attacks.plant, target),
            _attack(lambda: attacks.generate(given.calls), target),
            _attack(lambda: attacks.damage(given.documents), target),
            _attack(lambda: attacks.list_trainings(given.trainings), target),
        ]
        grown = (target.bytes - begin) if target.lives else 0
        print(f"memory grew by {grown >> 20} MiB in all; seed {given.seed}")
        crashes = target.log.read_text(errors="replace").count('"call_crashed"')
        print(f"{crashes} unexpected exceptions in the log")
    sys.exit(not all(good) or grown > _TOTAL_BYTES)


if __name__ == "__main__":
    main()
