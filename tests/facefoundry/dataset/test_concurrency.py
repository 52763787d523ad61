"""Values that coroutines share, two results at once, and an event loop in a thread."""

from __future__ import annotations

import asyncio
import threading

import pytest

from facefoundry.dataset.concurrency import Once, both, event_loop
from facefoundry.errors import Unavailable, Unusable


def test_all_who_ask_at_once_get_one_value():
    once, computed = Once[object](), []

    async def compute():
        computed.append(1)
        await asyncio.sleep(0)
        return object()

    async def ask():
        return await asyncio.gather(*(once.get("a", compute) for _ in range(4)))

    assert len(set(asyncio.run(ask()))) == len(computed) == 1


def test_an_error_is_shared_too():
    once, tries = Once[None](), []

    async def fail():
        tries.append(1)
        raise Unusable("No frame shows a face.")

    async def ask():
        return await asyncio.gather(*(once.get("a", fail) for _ in range(2)), return_exceptions=True)

    assert [type(error) for error in asyncio.run(ask())] == [Unusable, Unusable]
    assert len(tries) == 1


def test_after_an_outage_the_next_one_tries_again():
    once = Once[str]()

    async def fail():
        raise Unavailable("The store does not answer.")

    async def succeed():
        return "value"

    async def ask():
        with pytest.raises(Unavailable):
            await once.get("a", fail)
        return await once.get("a", succeed)

    assert asyncio.run(ask()) == "value"


def test_who_is_cancelled_takes_the_value_from_nobody():
    once, go_on = Once[str](), asyncio.Event()

    async def compute():
        await go_on.wait()
        return "value"

    async def ask():
        first, second = (asyncio.ensure_future(once.get("a", compute)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        go_on.set()
        return await second

    assert asyncio.run(ask()) == "value"


def test_both_results_are_waited_for_before_an_error_is_raised():
    ended = []

    async def fail():
        raise Unusable("No frame shows a face.")

    async def succeed():
        await asyncio.sleep(0)
        ended.append(1)

    async def ask():
        await both(fail(), succeed())

    with pytest.raises(Unusable):
        asyncio.run(ask())
    assert ended == [1]


def test_the_end_of_a_loop_cancels_its_tasks_and_waits_for_their_calls():
    waiting, release, ended = threading.Event(), threading.Event(), []

    def call():
        waiting.set()
        assert release.wait(20)
        ended.append(1)

    with event_loop(threads=1) as loop:
        future = asyncio.run_coroutine_threadsafe(asyncio.to_thread(call), loop)
        assert waiting.wait(20)
        threading.Timer(0.05, release.set).start()
    assert ended == [1] and future.cancelled()
