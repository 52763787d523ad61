"""SIGTERM during calls, to services as processes: health changes first, calls end, the process ends in time."""

from __future__ import annotations

import contextlib
import signal
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from facefoundry.client import ENDED
from facefoundry.errors import Unavailable
from facefoundry.rpc.status import from_rpc_error
from facefoundry.v1 import (
    common_pb2,
    converter_pb2,
    extractor_pb2,
    extractor_pb2_grpc,
    info_pb2,
    info_pb2_grpc,
    trainer_pb2,
    trainer_pb2_grpc,
)
from tests import tiny
from tests.waiting import wait_until

NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
DRAIN_SECONDS = 4


def in_thread(function, *arguments, **keywords) -> Future[Any]:
    with contextlib.ExitStack() as leaving:
        pool = ThreadPoolExecutor(1)
        leaving.callback(pool.shutdown, wait=False)
        return pool.submit(function, *arguments, **keywords)


class Terminating:
    """Sends SIGTERM while calls hang in the store, and checks what the service promises."""

    def __init__(self, service, relay, health_watch):
        self._service, self._relay, self._watch = service, relay, health_watch

    def go(self, calls, *, release):
        """Start calls against a silent store, send SIGTERM, and return how each call ended."""
        service, relay = self._service, self._relay
        relay.hold()
        running = [in_thread(call) for call in calls]
        wait_until(lambda: relay.held >= len(calls), 60, failure=lambda: "the calls never reached the store")
        service.send(signal.SIGTERM)
        assert next(self._watch).status == NOT_SERVING
        assert service.alive, "health comes first"
        if release:
            relay.release()
        # The drain time, what a thread gets to leave, and a slow machine.
        code = service.wait(DRAIN_SECONDS + 30)
        relay.release()
        assert code == 0, service.tail()
        return [ended(call) for call in running]


def ended(call):
    """Return a call's answer, or its error, which must be that the service went away."""
    try:
        return call.result(timeout=60)
    except grpc.RpcError as error:
        known = from_rpc_error(error, "service")
        assert isinstance(known, Unavailable), known
        return known


@pytest.fixture
def terminating():
    """Makes a Terminating for a service and watches its health."""
    with contextlib.ExitStack() as channels:

        def make(service, relay):
            channel = channels.enter_context(grpc.insecure_channel(service.address))
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=""))
            next(watch)
            return Terminating(service, relay, watch), channel

        yield make


def get_info(channel):
    return info_pb2_grpc.InfoServiceStub(channel).GetInfo(info_pb2.GetInfoRequest(), timeout=60)


def when_at(stage, call):
    """Start an SDK call in a thread and return once its work has reached a stage."""
    reached = threading.Event()
    running = in_thread(call, lambda progress: reached.set() if progress.stage == stage else None)
    assert reached.wait(120)
    return running


@pytest.mark.parametrize("release", [True, False])
def test_an_extractor_drains_and_its_successor_continues(start_service, client_of, upload_face, terminating, release):
    service, relay = start_service("extractor", drain_seconds=DRAIN_SECONDS, slots=3, store_attempts=2)
    client = client_of(service.address)
    short, long = upload_face(2), upload_face(150 + release)
    extracting = when_at("extract", lambda seen: client.extract(long, "033", tiny.quick(chunk_frames=8), seen))
    term, channel = terminating(service, relay)
    request = extractor_pb2.InspectRequest(source_uri=short)
    stub = extractor_pb2_grpc.ExtractorServiceStub(channel)
    inspected, info = term.go([lambda: stub.Inspect(request, timeout=60), lambda: get_info(channel)], release=release)
    if release:
        assert isinstance(inspected, Unavailable) or inspected.frame_count == 2
        assert isinstance(info, Unavailable) or info.service == "extractor"
    else:
        assert "calls_abandoned" in {event["event"] for event in service.events()}
    service.ready().close()
    assert client.inspect(short).frame_count == 2
    assert extracting.result(timeout=120).face_count == 150 + release


@pytest.mark.timeout(900)
@pytest.mark.parametrize("release", [True, False])
def test_a_trainer_drains_all_its_calls_and_its_successor_continues(trainer, client_of, ask, terminating, release):
    service, relay = trainer
    client = client_of(service.address)
    kept = client.start_training(ask(20 + release, 1_000_000))
    cancelled = client.start_training(ask(30 + release, 1_000_000))
    new = ask(40 + release, 1_000_000)
    states: list[int] = []
    watching = in_thread(lambda: states.extend(training.state for training in client.watch_training(kept.uri)))
    wait_until(lambda: states)
    term, channel = terminating(service, relay)
    stub = trainer_pb2_grpc.TrainerServiceStub(channel)
    asked = [
        (stub.StartTraining, new),
        (stub.GetTraining, trainer_pb2.GetTrainingRequest(training_uri=kept.uri)),
        (stub.ListTrainings, trainer_pb2.ListTrainingsRequest()),
        (stub.CancelTraining, trainer_pb2.CancelTrainingRequest(training_uri=cancelled.uri)),
    ]
    calls = [lambda method=method, request=request: method(request, timeout=60) for method, request in asked]
    answers = term.go([*calls, lambda: get_info(channel)], release=release)
    if release:
        assert not all(isinstance(answer, Unavailable) for answer in answers)
    service.ready().close()
    assert client.start_training(new).state not in ENDED
    assert client.cancel_training(cancelled.uri).state == trainer_pb2.Training.STATE_CANCELLED
    before = len(states)
    wait_until(lambda: len(states) > before)
    for uri in (kept.uri, client.start_training(new).uri):
        assert client.cancel_training(uri).state == trainer_pb2.Training.STATE_CANCELLED
    watching.result(timeout=60)
    assert states[-1] == trainer_pb2.Training.STATE_CANCELLED


@pytest.mark.timeout(600)
def test_a_converter_drains_and_its_successor_continues(start_service, client_of, upload_face, model_uri, terminating):
    extractor, _ = start_service("extractor")
    service, relay = start_service("converter", drain_seconds=DRAIN_SECONDS, slots=3)
    source = upload_face(120)
    extraction = client_of(extractor.address).extract(source, "033", tiny.quick(chunk_frames=8))
    client = client_of(service.address)
    request = converter_pb2.ConvertRequest(
        model_uri=model_uri,
        target_extraction_uri=extraction.uri,
        target_side=common_pb2.SIDE_A,
        target_id="033",
        source_id="097",
        recipe=tiny.quick(chunk_frames=8),
    )
    transcoding = in_thread(client.transcode, source, "033", tiny.quick(chunk_frames=8))
    converting = when_at("convert", lambda seen: client.convert(request, seen))
    term, channel = terminating(service, relay)
    term.go([lambda: get_info(channel)], release=True)
    service.ready().close()
    assert converting.result(timeout=240).frame_count == 120
    assert transcoding.result(timeout=240).frame_count == 120
