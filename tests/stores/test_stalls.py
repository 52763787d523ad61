"""A store that is slow, stops for a time or never answers: only silence ends a request, and what was sent is kept."""

from __future__ import annotations

import os
import threading
import time

import pytest

from facefoundry.errors import Cancelled, Unavailable
from facefoundry.storage.store import Store
from tests.stores.stalls import Stalls, Stop

SIZE = 10 << 20  # more than the buffers of sockets hold
SILENCE = 1.0
"""Seconds without a byte after which a request is given up."""


@pytest.fixture(scope="module")
def content() -> bytes:
    return os.urandom(SIZE)


def through(store: Store, proxy: Stalls, **changes: object) -> Store:
    update = {"endpoint": proxy.endpoint, "timeout_seconds": SILENCE, **changes}
    return Store(store.settings.model_copy(update=update))


def test_a_slow_write_may_take_longer_than_the_longest_silence(store, content):
    with Stalls(store.settings.endpoint, write_seconds=SILENCE / 32, slow_bytes=SIZE // 2) as proxy:
        begin = time.monotonic()
        through(store, proxy, attempts=1).put_bytes("runs/a", content)
        assert time.monotonic() - begin > SILENCE
    assert store.get_bytes("runs/a") == content


def test_a_slow_read_may_take_longer_than_the_longest_silence(store, content):
    store.put_bytes("runs/a", content)
    with Stalls(store.settings.endpoint, read_seconds=SILENCE / 64) as proxy:
        begin = time.monotonic()
        assert through(store, proxy, attempts=1).get_bytes("runs/a") == content
        assert time.monotonic() - begin > SILENCE


def test_a_store_that_stops_within_a_body_and_goes_on_gets_each_byte_once(store, content):
    with Stalls(store.settings.endpoint, stops=[Stop(SIZE // 4, SILENCE)]) as proxy:
        through(store, proxy, attempts=1, timeout_seconds=60 * SILENCE).put_bytes("runs/a", content)
        assert list(proxy.puts.values()) == [1]
        assert proxy.sent < SIZE + (1 << 20)
    assert store.get_bytes("runs/a") == content


def test_a_store_that_stops_for_longer_than_the_longest_silence_gets_the_body_again(store, content):
    with Stalls(store.settings.endpoint, stops=[Stop(SIZE // 4, 1.5 * SILENCE)]) as proxy:
        through(store, proxy, attempts=20).put_bytes("runs/a", content)
        assert set(proxy.puts) == {f"/{store.bucket}/runs/a"} and proxy.puts.total() > 1
    assert store.get_bytes("runs/a") == content, "what was cut off is not taken for the whole"


def test_a_store_that_accepts_and_never_answers_is_unavailable_after_the_silence_of_each_attempt(store, content):
    with Stalls(store.settings.endpoint, silent=True) as proxy:
        ours = through(store, proxy, attempts=2, timeout_seconds=SILENCE / 8)
        for use in (lambda: ours.put_bytes("runs/a", content), lambda: ours.get_bytes("runs/a")):
            with pytest.raises(Unavailable, match=proxy.endpoint):
                use()


@pytest.mark.parametrize(
    ("stall", "use"),
    [
        ({"stops": [Stop(SIZE // 4, 600.0)]}, lambda ours, path: ours.put_bytes("runs/b", bytes(SIZE))),
        ({"stops": [Stop(SIZE // 4, 600.0)]}, lambda ours, path: ours.put_file("runs/b", path)),
        ({"gives_bytes": SIZE // 4}, lambda ours, path: ours.get_file("runs/a", path.with_name("copy"))),
        ({"gives_bytes": SIZE // 4}, lambda ours, path: list(ours.in_bucket(ours.bucket).blocks("runs/a", SIZE))),
        ({"gives_bytes": 0}, lambda ours, path: ours.stat("runs/a")),
        ({"gives_bytes": 0}, lambda ours, path: ours.with_retries_for(600.0).objects("runs/")),
    ],
    ids=["write", "write in parts", "read", "blocks", "an answer", "a list"],
)
def test_requests_that_are_cancelled_end_although_the_store_does_not_go_on(store, content, tmp_path, stall, use):
    store.put_bytes("runs/a", content)
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(65 << 20)
    with Stalls(store.settings.endpoint, **stall) as proxy:
        shared = through(store, proxy, timeout_seconds=600.0)
        ours, errors = shared.apart(), []

        def run():
            try:
                use(ours, large)
            except Cancelled as error:
                errors.append(error)

        running = threading.Thread(target=run, daemon=True)
        running.start()
        assert proxy.stopped.wait(60)
        ours.cancel()
        running.join(30)
        assert not running.is_alive() and errors
        with pytest.raises(Cancelled):
            ours.get_bytes("runs/a")
    assert store.apart().get_bytes("runs/a") == content, "other stores go on"
