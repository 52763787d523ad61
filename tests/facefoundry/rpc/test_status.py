"""Exceptions over a real wire: every class arrives as itself, foreign statuses become the nearest of ours."""

import inspect
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.rpc import status_pb2

from facefoundry import __version__, errors
from facefoundry.errors import Busy, FaceFoundryError, FieldViolation, Internal, InvalidInput, Unavailable, Unusable
from facefoundry.rpc.channel import open_channel
from facefoundry.rpc.status import CODES, DOMAIN, code_of, from_rpc_error, to_status
from facefoundry.settings import ChannelSettings, read
from facefoundry.v1 import extractor_pb2, extractor_pb2_grpc, trainer_pb2, trainer_pb2_grpc
from tests.tiny import extract_request, inspect_request

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, FaceFoundryError)]
FULL: dict[str, Any] = {
    "reason": "SOME_REASON",
    "metadata": {"frames": "3"},
    "violations": [FieldViolation("pairs[0].a", "must not be empty")],
    "resource": "extractions/0123/manifest.json",
    "retry_after_seconds": 1.5,
}


def raised(call) -> FaceFoundryError:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return from_rpc_error(caught.value, "peer:1")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_exception_arrives_as_itself_from_unary_and_streaming_calls(kind, running, stub):
    running.servicer.error = sent = kind("Über 3 frames.\nDo this.", **FULL)
    running.servicer.go_on.set()
    for call in (
        lambda: stub.Inspect(inspect_request()),
        lambda: list(stub.Extract(extract_request())),
    ):
        received = raised(call)
        assert type(received) is kind
        assert errors.to_record(received) == errors.to_record(sent)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_exception_with_a_message_only_arrives_with_its_default_reason(kind, running, stub):
    running.servicer.error = kind("A sentence.")
    received = raised(lambda: stub.Inspect(inspect_request()))
    assert errors.to_record(received) == errors.to_record(kind("A sentence."))


def test_every_class_but_the_base_stands_in_the_table_and_the_codes_are_those_of_the_contract():
    assert set(CODES) == set(KINDS) - {FaceFoundryError}
    assert {kind.__name__: code.name for kind, code in CODES.items()} == {
        "InvalidInput": "INVALID_ARGUMENT",
        "NotFound": "NOT_FOUND",
        "Unusable": "FAILED_PRECONDITION",
        "Conflict": "ABORTED",
        "Busy": "RESOURCE_EXHAUSTED",
        "Unavailable": "UNAVAILABLE",
        "Interrupted": "UNAVAILABLE",
        "DataLoss": "DATA_LOSS",
        "Cancelled": "CANCELLED",
        "Denied": "PERMISSION_DENIED",
        "Internal": "INTERNAL",
    }
    assert code_of(FaceFoundryError("x")) is grpc.StatusCode.INTERNAL


def test_the_details_are_the_standard_ones(running, stub):
    running.servicer.error = InvalidInput("No.", **FULL)
    with pytest.raises(grpc.RpcError) as caught:
        stub.Inspect(inspect_request())
    trailers: Any = caught.value.trailing_metadata()
    trailer = dict(trailers)["grpc-status-details-bin"]
    for name in (b"ErrorInfo", b"BadRequest", b"ResourceInfo", b"RetryInfo", DOMAIN.encode()):
        assert name in trailer


def test_a_class_of_a_newer_server_arrives_as_internal_with_its_message(running, stub):
    class Newer(InvalidInput):
        """Known to the server alone."""

    running.servicer.error = Newer("A newer message.", reason="NEWER")
    del Newer
    status = to_status(running.servicer.error)
    assert status.code is grpc.StatusCode.INVALID_ARGUMENT
    record = errors.ErrorRecord(type="NoSuchClass", message="A newer message.", reason="NEWER")
    assert type(errors.from_record(record)) is Internal
    assert raised(lambda: stub.Inspect(inspect_request())).message == "A newer message."


def test_a_defect_becomes_internal_and_tells_the_caller_no_internals(running, stub):
    running.servicer.error = RuntimeError("/etc/passwd and other internals")
    running.servicer.go_on.set()
    for call in (
        lambda: stub.Inspect(inspect_request()),
        lambda: list(stub.Extract(extract_request())),
    ):
        received = raised(call)
        assert type(received) is Internal
        assert received.reason == "UNEXPECTED"
        assert "internals" not in str(errors.to_record(received))


def test_a_very_long_message_arrives_shortened_rather_than_not_at_all(running, stub):
    violations = [FieldViolation(f"pairs[{number}].a", "must not be empty") for number in range(500)]
    running.servicer.error = InvalidInput(
        "beginning words " + "\u6587 \u5b57 " * 5000, reason="LONG", violations=violations
    )
    received = raised(lambda: stub.Inspect(inspect_request()))
    assert type(received) is InvalidInput
    assert received.reason == "LONG"
    assert received.message.startswith("beginning words")
    assert received.message.endswith("...")
    assert received.violations == tuple(violations[:10])


def test_a_service_that_does_not_answer_is_unavailable_and_named():
    with open_channel("127.0.0.1:1", read(ChannelSettings)) as channel:
        stub = extractor_pb2_grpc.ExtractorServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Inspect(inspect_request())
    received = from_rpc_error(caught.value, "127.0.0.1:1")
    assert type(received) is Unavailable
    assert "127.0.0.1:1" in received.message


@pytest.mark.parametrize(
    ("code", "details", "cut"),
    [
        (grpc.StatusCode.CANCELLED, "RST_STREAM with error code 8", True),
        (grpc.StatusCode.INTERNAL, "Received RST_STREAM with error code 2", True),
        (grpc.StatusCode.UNKNOWN, "Stream removed", True),
        (grpc.StatusCode.INTERNAL, "Exception deserializing response!", False),
    ],
)
def test_what_a_proxy_says_of_a_cut_call_is_unavailable(code, details, cut):
    class Handler(grpc.GenericRpcHandler):
        def service(self, handler_call_details):
            return grpc.unary_unary_rpc_method_handler(lambda request, context: context.abort(code, details))

    server = grpc.server(ThreadPoolExecutor(2), handlers=[Handler()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, pytest.raises(grpc.RpcError) as caught:
        extractor_pb2_grpc.ExtractorServiceStub(channel).Inspect(inspect_request(), timeout=20)
    server.stop(None)
    error = from_rpc_error(caught.value, "here")
    assert type(error) is (Unavailable if cut else Internal)
    assert details in error.message


def test_a_deadline_is_unavailable_and_an_unknown_call_tells_which_side_is_older(running, stub):
    late = raised(lambda: list(stub.Extract(extract_request(), timeout=0.2)))
    assert type(late) is Unavailable
    with grpc.insecure_channel(running.address) as channel:
        trainer = trainer_pb2_grpc.TrainerServiceStub(channel)
        unknown = raised(lambda: trainer.GetTraining(trainer_pb2.GetTrainingRequest()))
    assert (type(unknown), unknown.reason) == (Unusable, "UNKNOWN_CALL")
    assert f"older than this client, version {__version__}" in unknown.message


def test_a_message_over_the_cap_is_the_callers_error_and_not_a_full_replica(running, stub):
    big = "x" * (2 << 20)
    received = raised(lambda: stub.Inspect(extractor_pb2.InspectRequest(source_uri=big)))
    assert not isinstance(received, Busy)
    assert (type(received), received.reason) == (InvalidInput, "MESSAGE_TOO_LARGE")
    running.servicer.answer = extractor_pb2.InspectResponse(codec=big)
    assert raised(lambda: stub.Inspect(inspect_request())).reason == "MESSAGE_TOO_LARGE"


def test_a_proxy_of_the_environment_is_not_asked_for_loopback(running, monkeypatch):
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    with open_channel(running.address, read(ChannelSettings)) as channel:
        assert running.stub(channel).Inspect(inspect_request(), timeout=5) == running.servicer.answer


@pytest.mark.parametrize(
    "data",
    [
        status_pb2.Status(code=5, message="busy").SerializeToString(),
        status_pb2.Status(code=14, message="cut").SerializeToString(),
        b"\xff\xff",
    ],
    ids=["another code", "another message", "no status"],
)
def test_details_that_do_not_belong_to_the_status_are_left(data):
    class Handler(grpc.GenericRpcHandler):
        def service(self, handler_call_details):
            def refuse(request, context):
                context.set_trailing_metadata((("grpc-status-details-bin", data),))
                context.abort(grpc.StatusCode.UNAVAILABLE, "busy")

            return grpc.unary_unary_rpc_method_handler(refuse)

    server = grpc.server(ThreadPoolExecutor(1), handlers=[Handler()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = extractor_pb2_grpc.ExtractorServiceStub(channel)
        received = raised(lambda: stub.Inspect(inspect_request(), timeout=10))
    server.stop(None)
    assert (type(received), received.reason) == (Unavailable, "UNAVAILABLE")
    assert received.message == "The service at peer:1 does not answer: busy"
