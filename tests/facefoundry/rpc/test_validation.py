"""Requests are checked by the rules of the protos before a handler runs."""

from __future__ import annotations

import grpc
import pytest

from facefoundry import __version__, recipes
from facefoundry.errors import InvalidInput
from facefoundry.rpc.status import from_rpc_error
from facefoundry.rpc.validation import check
from facefoundry.v1 import (
    common_pb2,
    converter_pb2,
    extractor_pb2,
    files_pb2,
    recipe_pb2,
    trainer_pb2,
)
from tests.tiny import extract_request

DIGEST = f"{0xABC:040x}"
EXTRACTION, TRAINING = f"s3://bucket/extractions/{DIGEST}", f"s3://bucket/trainings/{DIGEST}"
RECIPE = recipe_pb2.Recipe(name="ffpp")
UNKNOWN = bytes([0xF8, 0x07, 1])  # field 127 = 1

VALID = [
    extract_request(),
    extract_request("033_097"),
    extractor_pb2.InspectRequest(source_uri=f"s3://bucket/sources/{DIGEST}", sample_frames=64, engine="dlib"),
    extractor_pb2.ImportSourceRequest(object_uri="s3://bucket/incoming/Müller & Söhne.mp4", rights="unstated"),
    extractor_pb2.ImportSourceRequest(
        object_uri="s3://bucket/frames/", frame_rate=common_pb2.FrameRate(numerator=25, denominator=1)
    ),
    files_pb2.CreateUploadRequest(file_name="033.mp4", size_bytes=1, sha256="0" * 64),
    files_pb2.ListFilesRequest(uri=f"s3://bucket/models/{DIGEST}/3000", page_size=2**31 - 1),
    trainer_pb2.StartTrainingRequest(
        extraction_a_uri=EXTRACTION, extraction_b_uri=EXTRACTION, pair_id="033_097", recipe=RECIPE
    ),
    trainer_pb2.ListTrainingsRequest(),
    trainer_pb2.ImportModelRequest(object_uris=["s3://bucket/model.safetensors"]),
    converter_pb2.ConvertRequest(
        model_uri=f"s3://bucket/imports/{DIGEST}",
        target_extraction_uri=EXTRACTION,
        target_side=common_pb2.SIDE_B,
        target_id="033",
        source_id="097",
        recipe=RECIPE,
    ),
]


@pytest.mark.parametrize("request_", VALID, ids=lambda request: type(request).__name__)
def test_a_valid_request_passes(request_):
    check(request_)


@pytest.mark.parametrize(
    ("valid", "change", "reason", "field", "words"),
    [
        (0, {"source_uri": "s3://bucket/models/1"}, "URI", "source_uri", "to have the form s3://<bucket>/sources/"),
        (0, {"source_uri": f"s3://bucket/sources/{DIGEST}\n"}, "URI", "source_uri", "form"),
        (0, {"sequence_id": "a b"}, "SEQUENCE_ID", "sequence_id", "letters, digits and '-'"),
        (0, {"sequence_id": "a_b_c"}, "SEQUENCE_ID", "sequence_id", "<target>_<source>"),
        (0, {"recipe": recipe_pb2.Recipe()}, "RECIPE_MISSING", "recipe.name", "the name of a shipped recipe"),
        (2, {"sample_frames": 65}, "FIELD", "sample_frames", "to be from 0 to 64. Received 65."),
        (2, {"sample_frames": -1}, "FIELD", "sample_frames", "to be from 0 to 64. Received -1."),
        (2, {"engine": "two words"}, "ENGINE", "engine", "the name of an engine"),
        (3, {"object_uri": "incoming/a.mp4"}, "URI", "object_uri", "s3://<bucket>/<key>"),
        (3, {"rights": "CC0"}, "RIGHTS", "rights", "`unstated`, or the SHA-256 of a record of rights"),
        (3, {"sha256": "A" * 64}, "SHA256", "sha256", "64 hexadecimal digits"),
        (4, {"frame_rate": common_pb2.FrameRate(numerator=25)}, "FIELD", "frame_rate.denominator", "at least 1"),
        (5, {"file_name": "a/b.mp4"}, "FILE_NAME", "file_name", "without folders"),
        (5, {"file_name": ".."}, "FILE_NAME", "file_name", "without folders"),
        (5, {"file_name": "a\x00.mp4"}, "FILE_NAME", "file_name", "without folders"),
        (5, {"size_bytes": 0}, "FIELD", "size_bytes", "to be from 1 to 671088640000. Received 0."),
        (6, {"page_size": -1}, "FIELD", "page_size", "to be at least 0. Received -1."),
        (6, {"uri": TRAINING}, "URI", "uri", "the URI of a source, extraction, model or conversion"),
        (7, {"pair_id": "033"}, "PAIR_ID", "pair_id", "<A>_<B>"),
        (7, {"pair_id": "033_097_1"}, "PAIR_ID", "pair_id", "<A>_<B>"),
        (7, {"pair_id": "a b_c"}, "PAIR_ID", "pair_id", "<A>_<B>"),
        (7, {"dataset": "a/b"}, "DATASET", "dataset", "at most 63"),
        (8, {"page_token": "x" * 1001}, "FIELD", "page_token", "at most 1000 characters"),
        (9, {"object_uris": ["s3://bucket/a.h5", "model.h5"]}, "URI", "object_uris[1]", "s3://<bucket>/<key>"),
        (9, {"object_uris": ["s3://bucket/a.h5"] * 4}, "FIELD", "object_uris", "to have 1 to 3 values"),
        (10, {"target_side": 7}, "SIDE", "target_side", "to be SIDE_A or SIDE_B. Received 7."),
        (10, {"target_side": 0}, "SIDE", "target_side", "Received SIDE_UNSPECIFIED."),
    ],
)
def test_a_wrong_field_is_named_with_what_was_expected_and_received(valid, change, reason, field, words):
    request = type(VALID[valid])()
    request.CopyFrom(VALID[valid])
    for name, value in change.items():
        request.ClearField(name)
        request.MergeFrom(type(request)(**{name: value}))
    with pytest.raises(InvalidInput) as caught:
        check(request)
    assert caught.value.reason == reason
    assert field in [violation.field for violation in caught.value.violations]
    assert f"Expected {field} " in caught.value.message and words in caught.value.message


def test_a_request_without_a_recipe_is_refused():
    request = extract_request()
    request.ClearField("recipe")
    with pytest.raises(
        InvalidInput, match=r"Expected recipe\.name to be the name of a shipped recipe, such as"
    ) as caught:
        check(request)
    assert caught.value.reason == "RECIPE_MISSING"
    assert [violation.field for violation in caught.value.violations] == ["recipe.name"]


def test_a_choice_that_names_nothing_is_refused_with_what_it_may_name():
    request = extract_request()
    request.subject.SetInParent()
    with pytest.raises(InvalidInput) as caught:
        check(request)
    (violation,) = caught.value.violations
    assert (caught.value.reason, violation.field) == ("FIELD", "subject.chosen")
    assert violation.description == "must have one of rule, point, picture; got none"


def test_values_of_a_recipe_are_checked_with_the_reason_of_recipes():
    request = extract_request()
    request.recipe.training.batch_size = 0
    request.recipe.extraction.engine = "two words"
    with pytest.raises(InvalidInput) as caught:
        check(request)
    assert caught.value.reason == "RECIPE_RANGE"
    assert [violation.field for violation in caught.value.violations] == [
        "recipe.extraction.engine",
        "recipe.training.batch_size",
    ]
    assert caught.value.violations[1].description == "must be from 1 to 1024; got 0"


def test_a_field_of_a_newer_client_is_refused_instead_of_ignored():
    request = extract_request()
    request.MergeFromString(UNKNOWN)
    with pytest.raises(InvalidInput, match=f"version {__version__}.*unknown fields 127") as caught:
        check(request)
    assert caught.value.reason == "UNKNOWN_FIELD"
    request = extract_request()
    request.recipe.conversion.MergeFromString(UNKNOWN)
    request.recipe.compression.CopyFrom(recipes.load().compression)
    request.recipe.compression.levels[1].MergeFromString(UNKNOWN)
    with pytest.raises(InvalidInput) as caught:
        check(request)
    assert caught.value.reason == "RECIPE_FIELD"
    assert [violation.field for violation in caught.value.violations] == [
        "recipe.conversion.127",
        "recipe.compression.levels[1].127",
    ]


def test_a_large_request_is_refused_by_its_first_broken_rule_alone():
    request = extract_request()
    for _ in range(100_000):
        request.recipe.compression.levels.add()
    with pytest.raises(InvalidInput) as caught:
        check(request)
    assert len(caught.value.violations) == 1
    request = extract_request("x" * 500_000)
    with pytest.raises(InvalidInput) as caught:
        check(request)
    assert len(caught.value.message) < 500


def test_frame_ranges_are_counted_before_they_are_read():
    request = extract_request()
    convert = converter_pb2.ConvertRequest.FromString(VALID[-1].SerializeToString())
    for _ in range(100_000):
        request.excluded_frames.add(first=1, last=0)
        convert.recipe.conversion.frame_ranges.add(first=1, last=0)
    for large, field in ((request, "excluded_frames"), (convert, "recipe.conversion.frame_ranges")):
        with pytest.raises(InvalidInput, match="1000") as caught:
            check(large)
        assert [violation.field for violation in caught.value.violations] == [field]


def test_a_server_checks_before_its_handler_runs(running, stub):
    handled = []

    def extract(request, context):
        handled.append(request)
        yield from ()

    running.servicer.extract = extract
    assert list(stub.Extract(extract_request())) == []
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.Extract(extract_request("a b")))
    error = from_rpc_error(caught.value, running.address)
    assert (type(error), error.reason) == (InvalidInput, "SEQUENCE_ID")
    assert len(handled) == 1
