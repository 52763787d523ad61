"""A store that refuses, cuts, changes, delays or is full: the work ends right, or says what is damaged."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest

from facefoundry.errors import DataLoss, Unavailable
from facefoundry.storage import manifest
from facefoundry.storage.store import Store
from tests.faults.house import House, Service, client_of, content, extractor_of, half_visible, tiny_recipe
from tests.faults.proxy import Fault, Request, now_and_then
from tests.faults.victims import Worker, convert_request

pytestmark = pytest.mark.timeout(900)


class Bench:
    """Services that stay, and one piece of work that is done again and again: an extraction and a conversion.

    A sample leaves the conversion out.
    """

    def __init__(self, house: House, inputs: dict[str, str], *, converts: bool) -> None:
        self.house = house
        self.extractor, self.converter = extractor_of(house), Service("converter", house)
        self._converts = converts
        self._inputs = inputs
        self.work()
        self.expected = content(house.store)

    def work(self, retry_seconds: float = 120.0) -> None:
        self.extractor.ready().close()
        with client_of(retry_seconds, extractor=self.extractor, converter=self.converter) as client:
            client.extract(self._inputs["source_c"], "clip", tiny_recipe())
            if self._converts:
                self.converter.ready().close()
                client.convert(convert_request(self._inputs))

    def ended_right(self) -> None:
        assert half_visible(self.house.store) == []
        assert content(self.house.store) == self.expected

    def close(self) -> None:
        self.extractor.kill()
        self.converter.kill()
        self.house.close()


@pytest.fixture(scope="module")
def running(furnished, tmp_path_factory, whole):
    house = House(tmp_path_factory.mktemp("bench"), furnished.folder)
    house.keep()
    bench = Bench(house, furnished.inputs, converts=whole)
    yield bench
    bench.close()


@pytest.fixture
def only_whole(whole):
    """For tests that take too long for a sample."""
    if not whole:
        pytest.skip("part of make crash-test")


@pytest.fixture
def bench(running):
    """The bench with nothing of the work in the store and no rule."""
    running.house.clear()
    yield running
    running.house.clear()


def first_time(fault: Fault, kind: str) -> Callable[[Request], Fault | None]:
    """A rule that strikes each object's first request of a kind."""
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
    bench.house.proxy.rule = now_and_then(0.05 if whole else 0.15, seed)
    bench.work()
    assert bench.house.proxy.faults > 0
    bench.ended_right()


def test_an_outage_in_the_middle_is_waited_for(bench, whole, summarize):
    seconds = 30.0 if whole else 6.0
    hit = threading.Event()

    def rule(request: Request) -> Fault | None:
        if request.kind == "PUT" and "/alignments-00001-" in request.key and not hit.is_set():
            hit.set()
            return Fault(reset="before")
        return None

    def out() -> None:
        assert hit.wait(120)
        with bench.house.proxy.outage():
            time.sleep(seconds)

    outage = threading.Thread(target=out)
    outage.start()
    bench.house.proxy.rule = rule
    bench.work()
    outage.join()
    bench.ended_right()
    summarize(f"store faults: an outage of {seconds:g} s was waited for")


def test_an_outage_longer_than_patience_is_unavailable_and_asked_again_the_work_goes_on(bench):
    stopped = threading.Event()

    def rule(request: Request) -> Fault | None:
        if request.kind == "PUT" and "/alignments-00001-" in request.key:
            stopped.set()
        return Fault(reset="before") if stopped.is_set() else None

    bench.house.proxy.rule = rule
    with pytest.raises(Unavailable, match="store"):
        bench.work(retry_seconds=1.0)
    assert half_visible(bench.house.store) == []
    before = set(bench.house.store.list("extractions/"))
    bench.house.proxy.rule = None
    bench.house.proxy.forget()
    bench.work()
    bench.ended_right()
    again = {request.key for request in bench.house.proxy.written() if "/faces-" in request.key} & before
    assert len(again) <= 1, "at most the part that was under way is made again"


def test_answers_that_are_cut_short_are_read_again(bench):
    bench.house.proxy.rule = first_time(Fault(keep=0.5), "GET")
    bench.work()
    bench.ended_right()


def test_an_object_that_always_comes_short_is_never_taken_for_whole(bench):
    bench.house.proxy.rule = lambda request: (
        Fault(keep=0.5) if request.kind == "GET" and "/source-" in request.key else None
    )
    with pytest.raises((Unavailable, DataLoss)):
        bench.work(retry_seconds=1.0)
    assert half_visible(bench.house.store) == []


def test_bytes_that_flip_on_their_way_are_read_again_and_never_used(bench):
    bench.house.proxy.rule = first_time(Fault(flip=True), "GET")
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

    bench.house.proxy.rule = rule
    with pytest.raises(DataLoss) as caught:
        bench.work(retry_seconds=5.0)
    assert caught.value.resource in struck
    assert caught.value.resource in caught.value.message
    made = content(bench.house.store)
    assert made.items() <= bench.expected.items()


def test_lists_that_flip_on_their_way_do_no_harm(bench):
    bench.house.proxy.rule = first_time(Fault(flip=True), "LIST")
    bench.work()
    bench.ended_right()


def test_slow_writes_are_waited_for(bench, whole):
    seconds = 3.0 if whole else 0.2
    bench.house.proxy.rule = lambda request: Fault(seconds=seconds) if request.kind == "PUT" else None
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

    bench.house.proxy.rule = rule
    begin = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        bench.work(retry_seconds=2.0)
    assert time.monotonic() - begin < 200, "what an earlier try had reached is no progress"
    assert caught.value.reason == reason
    assert "extractions/" in caught.value.message
    assert half_visible(bench.house.store) == []
    bench.house.proxy.rule = None
    bench.work()
    bench.ended_right()


@pytest.mark.usefixtures("only_whole")
def test_a_worker_rides_out_refusals_flips_and_a_store_that_is_away_when_it_is_done(new_house, furnished):
    house = new_house(without="models/")
    worker = Worker(house, furnished.training)
    twentieth, flips = now_and_then(0.05, seed=4), first_time(Fault(flip=True), "GET")
    away, done = threading.Event(), threading.Event()

    def back() -> None:
        time.sleep(6.0)
        away.clear()

    def rule(request: Request) -> Fault | None:
        if request.kind == "PUT" and "/weights-" in request.key and not done.is_set():
            done.set()
            away.set()
            threading.Thread(target=back).start()
        return Fault(reset="before") if away.is_set() else flips(request) or twentieth(request)

    house.proxy.rule = rule
    try:
        assert worker.ask()
    finally:
        worker.kill()
    house.proxy.rule = None
    assert done.is_set()
    assert half_visible(house.store) == []
    assert content(house.store) == furnished.content
    begun = [event for event in worker.process.events() if event["event"] == "training"]
    assert len(begun) == 1, "it waited with the finished model"


def test_an_upload_in_parts_whose_end_is_answered_twice_is_there(bench, tmp_path):
    house = bench.house
    (tmp_path / "large").write_bytes(os.urandom(66 << 20))
    for kind in ("CREATE", "PART", "COMPLETE"):
        house.proxy.rule = first_time(Fault(reset="after"), kind)
        part = manifest.put_part(Store(house.settings), "models/x", "large.bin", tmp_path / "large")
        assert manifest.fetch_part(house.store, part, tmp_path / "back").stat().st_size == 66 << 20
        house.store.delete([part.key])


@pytest.mark.usefixtures("only_whole")
def test_a_store_whose_disk_is_full_keeps_what_it_has_and_goes_on_once_there_is_room(furnished, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(small)], check=False).returncode:
        pytest.skip("a small disk can only be mounted by root")
    try:
        house = House(small, furnished.folder, scratch=tmp_path / "scratch")
        house.keep()
        bench = Bench(house, furnished.inputs, converts=True)
        house.clear()
        with pytest.raises(Unavailable):
            for number in range(100):
                house.store.put_bytes(f"runs/filling-{number:03d}", os.urandom(1 << 20))
        with pytest.raises(Unavailable, match="extractions/"):
            bench.work(retry_seconds=2.0)
        assert half_visible(house.store) == []
        subprocess.run(["mount", "-o", "remount,size=128m", str(small)], check=True)
        bench.work()
        assert half_visible(house.store) == []
        assert content(house.store) == bench.expected
        bench.close()
    finally:
        subprocess.run(["umount", "-l", str(small)], check=False)
