"""Values that threads share, and two calls at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from facefoundry.dataset.concurrency import Once, call_both
from facefoundry.errors import Unavailable, Unusable


def test_all_who_ask_at_once_get_one_value():
    once, asked = Once[object](), threading.Barrier(4)
    computed = []

    def compute():
        computed.append(1)
        return object()

    def ask():
        asked.wait(20)
        return once.get("a", compute)

    with ThreadPoolExecutor(4) as pool:
        values = {future.result() for future in [pool.submit(ask) for _ in range(4)]}
    assert len(values) == len(computed) == 1


def test_an_error_is_shared_too():
    once, tries = Once[None](), []

    def fail():
        tries.append(1)
        raise Unusable("No frame shows a face.")

    for _ in range(2):
        with pytest.raises(Unusable):
            once.get("a", fail)
    assert len(tries) == 1


def test_after_an_outage_the_next_one_tries_again():
    once = Once[str]()

    def fail():
        raise Unavailable("The store does not answer.")

    with pytest.raises(Unavailable):
        once.get("a", fail)
    assert once.get("a", lambda: "value") == "value"


def test_both_calls_run_at_once_and_end_before_an_error_is_raised():
    met, ended = threading.Barrier(2), []

    def fail():
        met.wait(20)
        raise Unusable("No frame shows a face.")

    def succeed():
        met.wait(20)
        ended.append(1)

    with pytest.raises(Unusable):
        call_both(fail, succeed)
    assert ended == [1]
