"""The SDK's waiting: cut streams, full replicas, services that are gone, and being stopped."""

from __future__ import annotations

import threading
import time

import pytest

from facefoundry.client import Client
from facefoundry.errors import Cancelled, InvalidInput, Unavailable
from facefoundry.settings import ChannelSettings, read
from facefoundry.v1 import extractor_pb2, recipe_pb2


def _client(address, retry_seconds=20.0):
    settings = read(ChannelSettings, extractor_address=address, trainer_address=address, converter_address=address)
    return Client(settings, retry_seconds=retry_seconds)


def _extract(client):
    return client.extract("s3://facefoundry/sources/x", "033", recipe_pb2.Recipe())


def test_a_refused_request_raises_the_services_error_at_once(running):
    running.servicer.error = InvalidInput("wrong", reason="WRONG")
    with _client(running.address) as client, pytest.raises(InvalidInput, match="wrong") as caught:
        client.inspect("s3://facefoundry/sources/x")
    assert caught.value.reason == "WRONG"


def test_an_unavailable_service_is_asked_again_until_it_answers(running):
    running.servicer.error = Unavailable("later", retry_after_seconds=0.1)
    running.servicer.answer = extractor_pb2.InspectResponse(frame_count=7)
    threading.Timer(0.8, lambda: setattr(running.servicer, "error", None)).start()
    with _client(running.address) as client:
        assert client.inspect("s3://facefoundry/sources/x").frame_count == 7


def test_a_service_that_is_gone_ends_the_patience_and_is_named():
    start = time.monotonic()
    with _client("127.0.0.1:1", retry_seconds=1.0) as client, pytest.raises(Unavailable, match=r"127\.0\.0\.1:1"):
        client.inspect("s3://facefoundry/sources/x")
    assert time.monotonic() - start < 15


def test_a_full_replica_is_asked_again_without_an_end_of_patience(running):
    with running.server.slots.take(), _client(running.address, retry_seconds=0.1) as client:

        def wait():
            with pytest.raises(Cancelled):
                _extract(client)

        waiting = threading.Thread(target=wait)
        waiting.start()
        time.sleep(1.5)
        assert waiting.is_alive(), "waiting for capacity is no failure"
        client.stop()
        waiting.join(10)
        assert not waiting.is_alive()


def test_work_that_ends_its_service_at_the_same_place_each_time_is_given_up(running):
    running.servicer.error = Unavailable("gone again", retry_after_seconds=0.1)
    running.servicer.go_on.set()
    with _client(running.address, retry_seconds=1.0) as client, pytest.raises(Unavailable, match="gone again"):
        _extract(client)


def test_a_call_that_gave_its_answer_is_read_to_its_end_and_not_cancelled(running):
    ends = []

    def extract(request, context):
        context.add_callback(lambda: ends.append(context.code()))
        yield extractor_pb2.ExtractResponse(extraction=extractor_pb2.Extraction(uri="s3://facefoundry/extractions/x"))
        time.sleep(0.3)  # a call that is cancelled here loses its warm child
        ends.append("the servicer's own end")

    running.servicer.extract = extract
    with _client(running.address) as client:
        assert _extract(client).uri == "s3://facefoundry/extractions/x"
    assert ends[0] == "the servicer's own end"


def test_an_address_may_be_a_list_whose_first_entry_is_dead(running):
    running.servicer.answer = extractor_pb2.InspectResponse(frame_count=7)
    with _client(f"127.0.0.1:1,{running.address}") as client:
        assert client.inspect("s3://facefoundry/sources/x").frame_count == 7


def test_stop_ends_running_streams_and_refuses_later_calls(running):
    with _client(running.address) as client:
        errors = []

        def work():
            try:
                _extract(client)
            except Cancelled as error:
                errors.append(error)

        working = threading.Thread(target=work)
        working.start()
        time.sleep(0.5)
        client.stop()
        working.join(10)
        assert len(errors) == 1
        assert running.servicer.ended.wait(10)
        with pytest.raises(Cancelled):
            client.inspect("s3://facefoundry/sources/x")
        with pytest.raises(Cancelled):
            _extract(client)
