"""The client's retries: cut streams, full replicas, services that are gone, and being stopped."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from facefoundry.client import Client
from facefoundry.errors import Busy, Cancelled, InvalidInput, Unavailable
from facefoundry.settings import ChannelSettings, read
from facefoundry.v1 import extractor_pb2, recipe_pb2
from tests.tiny import SOURCE_URI

RECIPE = recipe_pb2.Recipe(name="preview")


def _client(address, retry_seconds=20.0):
    settings = read(ChannelSettings, extractor_address=address, trainer_address=address, converter_address=address)
    return Client(settings, retry_seconds=retry_seconds)


def _extract(client):
    return client.extract(SOURCE_URI, "033", RECIPE)


def test_a_refused_request_raises_the_services_error_at_once(running):
    running.servicer.error = InvalidInput("wrong", reason="WRONG")
    with _client(running.address) as client, pytest.raises(InvalidInput, match="wrong") as caught:
        client.inspect(SOURCE_URI)
    assert caught.value.reason == "WRONG"


def test_an_unavailable_service_is_asked_again_until_it_answers(running):
    answers = iter([Unavailable("later", retry_after_seconds=0.01)] * 3)
    running.servicer.answer = extractor_pb2.InspectResponse(frame_count=7)
    running.servicer.errors = answers
    with _client(running.address) as client:
        assert client.inspect(SOURCE_URI).frame_count == 7
    assert next(answers, None) is None


def test_a_service_that_does_not_answer_is_named():
    with _client("127.0.0.1:1", retry_seconds=0.5) as client, pytest.raises(Unavailable, match=r"127\.0\.0\.1:1"):
        client.inspect(SOURCE_URI)


def test_a_full_replica_is_asked_again_until_the_client_is_stopped(running):
    with running.server.slots.take(), _client(running.address, retry_seconds=0.01) as client:
        asked = threading.Semaphore(0)

        def extract(request, context):
            asked.release()
            raise Busy("full", retry_after_seconds=0.01)
            yield

        running.servicer.extract = extract
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(_extract, client)
            for _ in range(10):
                assert asked.acquire(timeout=30), "waiting for capacity is no failure"
            client.stop()
            with pytest.raises(Cancelled):
                waiting.result(30)


def test_work_that_ends_its_service_at_the_same_place_each_time_is_given_up(running):
    running.servicer.error = Unavailable("gone again", retry_after_seconds=0.1)
    running.servicer.go_on.set()
    with _client(running.address, retry_seconds=1.0) as client, pytest.raises(Unavailable, match="gone again"):
        _extract(client)


def test_a_call_that_gave_its_answer_is_read_to_its_end_and_not_cancelled(running):
    cancelled = []
    gone, ended = threading.Event(), threading.Event()

    def extract(request, context):
        context.add_callback(gone.set)
        yield extractor_pb2.ExtractResponse(extraction=extractor_pb2.Extraction(uri="s3://facefoundry/extractions/x"))
        cancelled.append(gone.wait(0.3))  # a call that is cancelled here loses its warm child
        ended.set()

    running.servicer.extract = extract
    with _client(running.address) as client:
        assert _extract(client).uri == "s3://facefoundry/extractions/x"
    assert ended.wait(30)
    assert cancelled == [False]


def test_an_address_may_be_a_list_whose_first_entry_is_dead(running):
    running.servicer.answer = extractor_pb2.InspectResponse(frame_count=7)
    with _client(f"127.0.0.1:1,{running.address}") as client:
        assert client.inspect(SOURCE_URI).frame_count == 7


def test_stop_ends_running_streams_and_refuses_later_calls(running):
    streaming = threading.Event()
    with _client(running.address) as client, ThreadPoolExecutor(1) as pool:
        working = pool.submit(client.extract, SOURCE_URI, "033", RECIPE, lambda progress: streaming.set())
        assert streaming.wait(30)
        client.stop()
        with pytest.raises(Cancelled):
            working.result(30)
        assert running.servicer.ended.wait(30)
        with pytest.raises(Cancelled):
            client.inspect(SOURCE_URI)
        with pytest.raises(Cancelled):
            _extract(client)


def test_addresses_come_from_the_environment(running, monkeypatch):
    monkeypatch.setenv("FACEFOUNDRY_EXTRACTOR_ADDRESS", running.address)
    running.servicer.answer = extractor_pb2.InspectResponse(frame_count=7)
    with Client() as client:
        assert client.inspect(SOURCE_URI).frame_count == 7
