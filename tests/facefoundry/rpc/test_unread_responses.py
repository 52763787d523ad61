"""Callers who are connected and take no responses: they hold no slot, and their calls end with a reason."""

from __future__ import annotations

import asyncio
import threading

import grpc
import pytest
from prometheus_client import REGISTRY

from facefoundry.errors import Busy
from facefoundry.rpc.loop import await_in_loop
from facefoundry.rpc.outbox import Outbox
from facefoundry.rpc.status import from_rpc_error
from facefoundry.v1 import common_pb2, extractor_pb2
from tests.tiny import extract_request
from tests.waiting import wait_until

LARGE = common_pb2.Progress(stage="x" * 500_000)  # a connection takes few of these that nobody reads


# No result is left out, as progress is: a connection does not take forty of them that nobody reads.
RESULT = extractor_pb2.ExtractResponse(extraction=extractor_pb2.Extraction(uri="x" * 500_000))
RESULTS = 40


def working(running, messages, done, *, results=1):
    """A handler that holds a slot while it works and sends progress, and then its results."""

    def extract(request, context):
        with running.server.slots.take():
            for _ in range(messages):
                yield extractor_pb2.ExtractResponse(progress=LARGE)
        done.set()
        for _ in range(results):
            yield RESULT

    return extract


def given_up() -> float:
    """How many calls ended because their responses were not taken."""
    return sum(
        sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name == "facefoundry_calls_total" and sample.labels["reason"] == "RESPONSE_NOT_TAKEN"
    )


def test_a_caller_that_takes_no_responses_does_not_hold_its_slot_and_is_told_why_its_call_ended(serve):
    running, done, before = serve(response_seconds=1.0, slots=1), threading.Event(), given_up()
    running.servicer.extract = working(running, 1000, done, results=RESULTS)
    with grpc.insecure_channel(running.address) as channel:
        unread = running.stub(channel).Extract(extract_request())
        wait_until(lambda: running.server.slots.in_use == 1)
        wait_until(lambda: running.server.slots.in_use == 0)
        running.servicer.extract = working(running, 1, done)
        assert list(running.stub(channel).Extract(extract_request(), timeout=60))
        wait_until(lambda: given_up() > before)
        with pytest.raises(grpc.RpcError) as caught:
            list(unread)
    error = from_rpc_error(caught.value, "extractor")
    assert (type(error), error.reason) == (Busy, "RESPONSE_NOT_TAKEN")
    assert "within 1 s" in error.message and error.retry_after_seconds


def test_the_work_of_a_caller_who_reads_late_goes_on_and_its_result_comes(serve):
    running, done = serve(response_seconds=20.0), threading.Event()
    running.servicer.extract = working(running, 50, done)
    with grpc.insecure_channel(running.address) as channel:
        late = running.stub(channel).Extract(extract_request(), timeout=120)
        assert done.wait(60), "the work does not wait for its reader"
        *some, last = late
    assert last == RESULT
    assert len(some) < 50, "progress that was out of date is left out"


def test_a_caller_who_reads_gets_every_response_in_order(running):
    stages = [str(number) for number in range(100)]

    def extract(request, context):
        for stage in stages:
            yield extractor_pb2.ExtractResponse(progress=common_pb2.Progress(stage=stage))

    running.servicer.extract = extract
    with grpc.insecure_channel(running.address) as channel:
        got = [message.progress.stage for message in running.stub(channel).Extract(extract_request(), timeout=60)]
    assert got == stages


def test_work_waits_for_a_slow_caller_no_longer_than_a_share_of_the_deadline_in_all():
    async def waited():
        never = asyncio.Event()

        async def write(_):
            await never.wait()

        outbox, begin = Outbox(write, seconds=6.0), asyncio.get_running_loop().time()
        for number in range(1000):
            await outbox.put(bytes([number % 256]), is_progress=True)
        took = asyncio.get_running_loop().time() - begin
        outbox.close()
        return took

    assert 1.0 <= await_in_loop(waited()) < 6.0


def test_only_progress_is_left_out_for_a_slow_caller():
    async def taken():
        got, may_take = [], asyncio.Event()

        async def write(response):
            await may_take.wait()
            got.append(response)

        outbox = Outbox(write, seconds=60.0)
        puts = asyncio.create_task(put_all(outbox))
        await asyncio.sleep(0)
        may_take.set()
        await puts
        await outbox.finish()
        return got

    async def put_all(outbox):
        for name in (b"1", b"2", b"3"):
            await outbox.put(name)

    assert await_in_loop(taken()) == [b"1", b"2", b"3"]

    async def replaced():
        got, may_take = [], asyncio.Event()

        async def write(response):
            await may_take.wait()
            got.append(response)

        outbox = Outbox(write, seconds=6.0)
        for name in (b"1", b"2", b"3"):
            await outbox.put(name, is_progress=True)
        await outbox.put(b"result")
        may_take.set()
        await outbox.finish()
        return got

    assert await_in_loop(replaced()) == [b"1", b"result"]
