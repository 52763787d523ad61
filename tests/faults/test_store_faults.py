"""A store that refuses, cuts, changes, delays or is full: the work ends right, or the error names what is damaged."""

from __future__ import annotations

import os
import subprocess
import threading
from collections import Counter
from collections.abc import Callable

import pytest

from facefoundry.errors import DataLoss, Unavailable
from facefoundry.storage import manifest
from facefoundry.storage.store import Store
from tests.faults.processes import client_of, extractor_of, service_of, tiny_recipe
from tests.faults.proxied_store import ProxiedStore, content, half_visible
from tests.faults.proxy import Fault, Request, now_and_then
from tests.faults.victims import Worker, convert_request
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(900)

# Requests in a row that find no store: more than one request repeats by itself.
_REFUSED = 12


class Bench:
    """Services that stay, and one job that they do several times: an extraction and a conversion.

    A sample leaves the conversion out.
    """

    def __init__(self, proxied: ProxiedStore, inputs: dict[str, str], *, converts: bool) -> None:
        self.proxied = proxied
        self.extractor, self.converter = extractor_of(proxied), service_of(proxied, "converter")
        self._converts = converts
        self._inputs = inputs
        self.work()
        self.expected = content(proxied.store)

    def work(self, retry_seconds: float = 120.0) -> None:
        self.extractor.ready().close()
        with client_of(retry_seconds, extractor=self.extractor, converter=self.converter) as client:
            client.extract(self._inputs["source_c"], "clip", tiny_recipe())
            if self._converts:
                self.converter.ready().close()
                client.convert(convert_request(self._inputs))

    def calls_ended_unavailable(self) -> int:
        return sum(event.get("code") == "UNAVAILABLE" for event in self.extractor.events())

    def ended_right(self) -> None:
        assert half_visible(self.proxied.store) == []
        assert content(self.proxied.store) == self.expected

    def close(self) -> None:
        self.extractor.kill()
        self.converter.kill()
        self.proxied.close()


@pytest.fixture(scope="module")
def running(prepared, tmp_path_factory, whole):
    proxied = ProxiedStore(tmp_path_factory.mktemp("bench"), prepared.folder)
    proxied.keep()
    bench = Bench(proxied, prepared.inputs, converts=whole)
    yield bench
    bench.close()


@pytest.fixture
def only_whole(whole):
    """Skips a test that takes too long for a sample."""
    if not whole:
        pytest.skip("part of make crash-test")


@pytest.fixture
def bench(running):
    """The bench with none of its work in the store, and no rule."""
    running.proxied.clear()
    yield running
    running.proxied.clear()


def first_time(fault: Fault, kind: str) -> Callable[[Request], Fault | None]:
    """Return a rule that hits the first request of a kind for each object."""
    seen: Counter[str] = Counter()
    lock = threading.Lock()

    def rule(request: Request) -> Fault | None:
        if request.kind != kind:
            return None
        with lock:
            seen[request.key] += 1
            return fault if seen[request.key] == 1 else None

    return rule


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_with_every_twentieth_request_refused_or_cut_the_work_ends_right(bench, whole, seed):
    if seed > 1 and not whole:
        pytest.skip("part of make crash-test")
    bench.proxied.proxy.rule = now_and_then(0.05 if whole else 0.15, seed)
    bench.work()
    assert bench.proxied.proxy.faults > 0
    bench.ended_right()


def test_work_waits_for_the_end_of_an_outage(bench, whole, summarize):
    failures = 6 if whole else 2
    hit = threading.Event()

    def rule(request: Request) -> Fault | None:
        if request.kind == "PUT" and "/alignments-00001-" in request.key and not hit.is_set():
            hit.set()
            return Fault(reset="before")
        return None

    def out() -> None:
        assert hit.wait(120)
        before = bench.calls_ended_unavailable()
        with bench.proxied.proxy.outage():
            wait_until(lambda: bench.calls_ended_unavailable() >= before + failures, every=0.1)

    outage = threading.Thread(target=out)
    outage.start()
    bench.proxied.proxy.rule = rule
    bench.work()
    outage.join()
    bench.ended_right()
    summarize(f"store faults: work waited for the end of an outage in which {failures} calls failed")


def test_an_outage_longer_than_the_retries_is_unavailable_and_the_same_call_later_continues(bench):
    stopped = threading.Event()

    def rule(request: Request) -> Fault | None:
        if request.kind == "PUT" and "/alignments-00001-" in request.key:
            stopped.set()
        return Fault(reset="before") if stopped.is_set() else None

    bench.proxied.proxy.rule = rule
    with pytest.raises(Unavailable, match="store"):
        bench.work(retry_seconds=1.0)
    assert half_visible(bench.proxied.store) == []
    before = set(bench.proxied.store.list("extractions/"))
    bench.proxied.proxy.rule = None
    bench.proxied.proxy.forget()
    bench.work()
    bench.ended_right()
    again = {request.key for request in bench.proxied.proxy.written() if "/faces-" in request.key} & before
    assert len(again) <= 1, "at most the part that was under way is made again"


def test_answers_that_are_cut_short_are_read_again(bench):
    bench.proxied.proxy.rule = first_time(Fault(keep=0.5), "GET")
    bench.work()
    bench.ended_right()


def test_an_object_that_always_arrives_incomplete_is_never_used(bench):
    bench.proxied.proxy.rule = lambda request: (
        Fault(keep=0.5) if request.kind == "GET" and "/source-" in request.key else None
    )
    with pytest.raises((Unavailable, DataLoss)):
        bench.work(retry_seconds=1.0)
    assert half_visible(bench.proxied.store) == []


def test_bytes_that_arrive_damaged_are_read_again_and_never_used(bench):
    bench.proxied.proxy.rule = first_time(Fault(flip=True), "GET")
    bench.work()
    bench.ended_right()


@pytest.mark.parametrize("part", ["/source-", "/weights-", "/manifest.json"])
def test_bytes_that_are_damaged_in_the_store_are_data_loss_that_names_the_object(bench, part, whole):
    if part == "/weights-" and not whole:
        pytest.skip("part of make crash-test")
    struck = []

    def rule(request: Request) -> Fault | None:
        if request.kind == "GET" and part in request.key:
            struck.append(request.key)
            return Fault(flip=True)
        return None

    bench.proxied.proxy.rule = rule
    with pytest.raises(DataLoss) as caught:
        bench.work(retry_seconds=5.0)
    assert caught.value.resource in struck
    assert caught.value.resource in caught.value.message
    made = content(bench.proxied.store)
    assert made.items() <= bench.expected.items()


def test_lists_that_arrive_damaged_do_no_harm(bench):
    bench.proxied.proxy.rule = first_time(Fault(flip=True), "LIST")
    bench.work()
    bench.ended_right()


def test_work_waits_for_slow_writes(bench, whole):
    seconds = 3.0 if whole else 0.2
    bench.proxied.proxy.rule = lambda request: Fault(seconds=seconds) if request.kind == "PUT" else None
    bench.work()
    bench.ended_right()


@pytest.mark.parametrize(
    ("status", "code", "reason"), [(507, "XMinioStorageFull", "STORE_FULL"), (500, "InternalError", "STORE_ERROR")]
)
def test_a_store_without_room_is_a_clear_error_and_the_work_goes_on_once_there_is_some(bench, status, code, reason):
    puts: Counter[str] = Counter()

    def rule(request: Request) -> Fault | None:
        puts[request.kind] += 1
        return Fault(status=status, code=code) if request.kind == "PUT" and puts["PUT"] > 3 else None

    bench.proxied.proxy.rule = rule
    # What an earlier try had reached is no progress: otherwise the client would try again for ever.
    with pytest.raises(Unavailable) as caught:
        bench.work(retry_seconds=2.0)
    assert caught.value.reason == reason
    assert "extractions/" in caught.value.message
    assert half_visible(bench.proxied.store) == []
    bench.proxied.proxy.rule = None
    bench.work()
    bench.ended_right()


@pytest.mark.usefixtures("only_whole")
def test_a_worker_survives_refusals_damage_and_a_store_that_is_gone_when_it_is_done(new_proxied_store, prepared):
    proxied = new_proxied_store(without="models/")
    worker = Worker(proxied, prepared.training)
    twentieth, flips = now_and_then(0.05, seed=4), first_time(Fault(flip=True), "GET")
    done, refused = threading.Event(), iter(range(_REFUSED))

    def rule(request: Request) -> Fault | None:
        if request.kind == "PUT" and "/weights-" in request.key:
            done.set()
        if done.is_set() and next(refused, None) is not None:
            return Fault(reset="before")
        return flips(request) or twentieth(request)

    proxied.proxy.rule = rule
    try:
        assert worker.ask()
    finally:
        worker.kill()
    proxied.proxy.rule = None
    assert done.is_set()
    assert half_visible(proxied.store) == []
    assert content(proxied.store) == prepared.content
    begun = [event for event in worker.process.events() if event["event"] == "training"]
    assert len(begun) == 1, "it waited with the finished model"


def test_a_multipart_upload_whose_answers_are_lost_is_stored(bench, tmp_path):
    proxied = bench.proxied
    (tmp_path / "large").write_bytes(os.urandom(66 << 20))
    for kind in ("CREATE", "PART", "COMPLETE"):
        proxied.proxy.rule = first_time(Fault(reset="after"), kind)
        part = manifest.put_part(Store(proxied.settings), "models/x", "large.bin", tmp_path / "large")
        assert manifest.fetch_part(proxied.store, part, tmp_path / "back").stat().st_size == 66 << 20
        proxied.store.delete([part.key])


@pytest.mark.usefixtures("only_whole")
def test_a_store_whose_disk_is_full_keeps_what_it_has_and_goes_on_once_there_is_room(prepared, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(small)], check=False).returncode:
        pytest.skip("a small disk can only be mounted by root")
    try:
        proxied = ProxiedStore(small, prepared.folder, scratch=tmp_path / "scratch")
        proxied.keep()
        bench = Bench(proxied, prepared.inputs, converts=True)
        proxied.clear()
        with pytest.raises(Unavailable):
            for number in range(100):
                proxied.store.put_bytes(f"runs/filling-{number:03d}", os.urandom(1 << 20))
        with pytest.raises(Unavailable, match="extractions/"):
            bench.work(retry_seconds=2.0)
        assert half_visible(proxied.store) == []
        subprocess.run(["mount", "-o", "remount,size=128m", str(small)], check=True)
        bench.work()
        assert half_visible(proxied.store) == []
        assert content(proxied.store) == bench.expected
        bench.close()
    finally:
        subprocess.run(["umount", "-l", str(small)], check=False)
