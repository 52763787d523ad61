"""Callers who only wait: they cost no thread, and keep no other caller waiting."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from facefoundry.errors import Busy, InvalidInput
from facefoundry.rpc.call import Call, Pause
from facefoundry.rpc.health import Health
from facefoundry.rpc.loop import await_in_loop, event_loop
from facefoundry.rpc.status import from_rpc_error
from facefoundry.v1 import common_pb2, extractor_pb2, info_pb2, info_pb2_grpc
from tests.tiny import extract_request, inspect_request
from tests.waiting import wait_until

SERVICE = "/facefoundry.v1.ExtractorService/"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
CALLS, REFLECTIONS = 100, 32
WAITING = 64


def threads_of_calls() -> int:
    """Threads of all servers of this process that serve calls; upkeep, too, uses those for the end of calls."""
    names = [thread.name for thread in threading.enumerate()]
    return sum(name.startswith("call-") and not name.startswith("call-ended") for name in names)


def never(stack: ExitStack):
    """Requests that do not come before the test ends."""
    over = threading.Event()
    stack.callback(over.set)

    def requests():
        over.wait()
        yield from ()

    return requests


def test_calls_without_a_request_cost_no_thread_and_keep_nobody_waiting(running):
    with ExitStack() as stack, grpc.insecure_channel(running.address) as channel:
        begin: Any = channel.stream_unary(SERVICE + "Inspect")
        requests = never(stack)
        calls = [begin.future(requests()) for _ in range(WAITING)]
        before = threads_of_calls()
        with grpc.insecure_channel(running.address, [("grpc.use_local_subchannel_pool", 1)]) as other:
            for _ in range(3):
                assert running.stub(other).Inspect(inspect_request(), timeout=20) == running.servicer.answer
        assert not any(call.done() for call in calls)
        assert threads_of_calls() <= before + 3  # those of the three calls that have a request


def test_a_call_whose_request_does_not_come_is_ended_and_told_so(serve):
    running = serve(request_seconds=0.2)
    with (
        ExitStack() as stack,
        grpc.insecure_channel(running.address) as channel,
        pytest.raises(grpc.RpcError) as caught,
    ):
        channel.stream_unary(SERVICE + "Inspect")(never(stack)(), timeout=60)
    refused = from_rpc_error(caught.value, running.address)
    assert (type(refused), refused.reason) == (InvalidInput, "NO_REQUEST")
    assert "within 0.2 s" in refused.message


def test_a_host_with_many_calls_without_a_request_has_a_second_for_further_ones(running):
    with ExitStack() as stack, grpc.insecure_channel(running.address) as channel:
        begin: Any = channel.stream_unary(SERVICE + "Inspect")
        requests = never(stack)
        calls = [begin.future(requests()) for _ in range(WAITING + 1)]
        wait_until(lambda: any(call.done() for call in calls))
        (ended,) = [call for call in calls if call.done()]
        refused = from_rpc_error(ended.exception(), running.address)
        assert (type(refused), refused.reason) == (Busy, "TOO_MANY_CALLS")
        assert "within 1 s" in refused.message and "64" in refused.message
        assert running.stub(channel).Inspect(inspect_request(), timeout=60) == running.servicer.answer


def test_a_call_that_ends_without_a_request_is_refused(running):
    with grpc.insecure_channel(running.address) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.stream_unary(SERVICE + "Inspect")(iter(()), timeout=60)
    assert from_rpc_error(caught.value, running.address).reason == "NO_REQUEST"


@pytest.mark.parametrize(
    "data", [b"\xff\xff\xff\xff", b"\x0a\xff", b"\x0a\x02\xc3\x28", b"\x0b" * 500], ids=["tag", "cut", "text", "groups"]
)
def test_bytes_that_are_no_request_are_the_callers_fault(running, data):
    with grpc.insecure_channel(running.address) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(SERVICE + "Inspect")(data, timeout=60)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert from_rpc_error(caught.value, running.address).reason == "MALFORMED"


def test_open_streams_of_reflection_cost_no_thread_and_a_host_has_few(running):
    with ExitStack() as stack, grpc.insecure_channel(running.address) as channel:
        over = threading.Event()
        stack.callback(over.set)

        def ask():
            yield reflection_pb2.ServerReflectionRequest(list_services="")
            over.wait()

        stream = channel.stream_stream(
            REFLECTION,
            reflection_pb2.ServerReflectionRequest.SerializeToString,
            reflection_pb2.ServerReflectionResponse.FromString,
        )
        before = threads_of_calls()
        streams = [stream(ask()) for _ in range(REFLECTIONS)]
        for each in streams:
            assert next(each).HasField("list_services_response")
        with pytest.raises(grpc.RpcError, match="This host has 32 streams of reflection") as caught:
            next(stream(ask()))
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert threads_of_calls() <= before
        info = info_pb2_grpc.InfoServiceStub(channel)
        assert info.GetInfo(info_pb2.GetInfoRequest(), timeout=20).service == "extractor"


def test_a_stream_that_pauses_holds_no_thread_and_goes_on(serve):
    running = serve(threads=CALLS)
    paused, go_on = threading.Semaphore(0), threading.Event()

    def extract(request, context):
        yield extractor_pb2.ExtractResponse(progress=common_pb2.Progress(stage="first"))
        while not go_on.is_set():
            paused.release()
            yield Pause(0.2)
        yield extractor_pb2.ExtractResponse(progress=common_pb2.Progress(stage="last"))

    running.servicer.extract = extract
    with grpc.insecure_channel(running.address) as channel:
        streams = [running.stub(channel).Extract(extract_request(), timeout=120) for _ in range(CALLS)]
        for _ in streams:
            assert paused.acquire(timeout=60)
        assert threads_of_calls() < CALLS
        go_on.set()
        for stream in streams:
            assert [message.progress.stage for message in stream] == ["first", "last"]


def test_a_pause_ends_when_the_server_stops(serve):
    running = serve(drain_seconds=60.0)

    def extract(request, context):
        yield extractor_pb2.ExtractResponse(progress=common_pb2.Progress(stage="first"))
        yield Pause(600.0)
        yield extractor_pb2.ExtractResponse(progress=common_pb2.Progress(stage="last"))

    running.servicer.extract = extract
    with grpc.insecure_channel(running.address) as channel:
        stream = running.stub(channel).Extract(extract_request())
        assert next(stream).progress.stage == "first"
        stopping = threading.Thread(target=running.server.stop)
        stopping.start()
        assert next(stream).progress.stage == "last"
        assert list(stream) == []
        stopping.join(30)
        assert not stopping.is_alive()


def test_a_handler_that_works_for_a_caller_who_is_gone_learns_it_and_is_closed(running):
    begun, gone, closed = threading.Event(), threading.Event(), threading.Event()

    def extract(request, context):
        context.add_callback(gone.set)
        try:
            begun.set()
            wait_until(lambda: not context.is_active())
            yield extractor_pb2.ExtractResponse()
            raise AssertionError("nobody waits for more")
        finally:
            closed.set()

    running.servicer.extract = extract
    with grpc.insecure_channel(running.address) as channel:
        stream = running.stub(channel).Extract(extract_request())
        assert begun.wait(20)
        stream.cancel()
        assert gone.wait(20) and closed.wait(20)


def test_a_callback_that_comes_after_the_end_of_its_call_is_not_taken():
    call, called = Call("peer"), []
    assert call.add_callback(lambda: called.append(1))
    for callback in call.end():
        callback()
    assert called == [1] and not call.is_active() and call.end() == []
    assert not call.add_callback(lambda: called.append(2))


def test_a_service_is_healthy_while_a_thread_is_free_and_the_server_while_it_answers():
    threads, held, over = ThreadPoolExecutor(1), threading.Event(), threading.Event()

    async def health_of(*names):
        checks = Health(["service"], threads, answer_seconds=0.2)
        await checks.serve()
        context: Any = Call("ipv4:127.0.0.1:5000")
        asked = [checks.Check(health_pb2.HealthCheckRequest(service=name), context) for name in names]
        return [answer.status for answer in await asyncio.gather(*asked)]

    serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
    assert await_in_loop(health_of("", "service")) == [serving, serving]
    threads.submit(held.set)
    threads.submit(over.wait)
    assert held.wait(20)
    assert await_in_loop(health_of("", "service", "service")) == [serving, not_serving, not_serving]
    over.set()
    threads.shutdown()
    assert await_in_loop(health_of("service")) == [not_serving]


def test_an_error_that_nobody_waits_for_any_more_is_not_reported_as_forgotten(running):
    reported, entered, gone = [], threading.Event(), threading.Event()

    def extract(request, context):
        context.add_callback(gone.set)
        entered.set()
        gone.wait(60)
        raise InvalidInput("The caller is gone.")
        yield

    running.servicer.extract = extract
    event_loop().set_exception_handler(lambda _, report: reported.append(report))
    try:
        with grpc.insecure_channel(running.address) as channel:
            call = running.stub(channel).Extract(extract_request())
            assert entered.wait(60)
            call.cancel()
        running.server.stop()
        await_in_loop(asyncio.sleep(0))
    finally:
        event_loop().set_exception_handler(None)
    assert reported == []
