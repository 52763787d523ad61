"""Hostile requests: each is of a kind of its own, well-formed on the wire, and must be refused or answered by name."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping

from google.protobuf.message import Message

from facefoundry.v1 import common_pb2, converter_pb2, extractor_pb2, files_pb2, recipe_pb2, trainer_pb2
from tests.attack.messages import SERVICES

__all__ = ["requests"]

_URIS = {
    "a URI of another bucket": "s3://other/sources/" + "1" * 40,
    "a URI without a bucket": "s3://",
    "a URI with a path upwards": "s3://attacked/sources/../models/x",
    "a URI of a file": "file:///etc/passwd",
    "a URI of a web server": "http://127.0.0.1:1/x",
    "a URI with a zero byte": "s3://attacked/sources/\0",
    "a URI of a megabyte": "s3://attacked/" + "x" * 900_000,
    "a URI in other letters": "s3://attacked/sources/" + "ü" * 40,
    "a URI with a query": "s3://attacked/sources/" + "1" * 40 + "?versionId=1",
}
_IDS = {"no id": "", "an id upwards": "../x", "an id with a line break": "a\nb", "a long id": "x" * 90_000}
_UNKNOWN_FIELD = b"\xfa\x3f\x01x"
_GROUPS = b"\x0b" * 20_000


def requests(uris: Mapping[str, str]) -> Iterator[tuple[str, str, str, bytes]]:
    """Yield name, service, method and bytes of each hostile request.

    Args:
        uris: URIs of something stored, by kind.
    """
    for name, service, method, message in _messages(uris):
        yield f"{method}: {name}", service, f"/{SERVICES[service].full_name}/{method}", message.SerializeToString()
    for service, descriptor in SERVICES.items():
        for each in descriptor.methods:
            path = f"/{descriptor.full_name}/{each.name}"
            yield f"{each.name}: nothing", service, path, b""
            yield f"{each.name}: an unknown field", service, path, _UNKNOWN_FIELD
            yield f"{each.name}: groups without an end", service, path, _GROUPS
            yield f"{each.name}: text that is no UTF-8", service, path, b"\x0a\x02\xc3\x28"
            yield f"{each.name}: a length beyond the end", service, path, b"\x0a\xff\xff\xff\xff\x07"
            yield f"{each.name}: two megabytes", service, path, b"\x0a\x80\x80\x80\x01" + b"x" * (2 << 20)


def _messages(uris: Mapping[str, str]) -> Iterator[tuple[str, str, str, Message]]:
    preview = recipe_pb2.Recipe(name="preview")
    for name, uri in _URIS.items():
        yield name, "extractor", "Inspect", extractor_pb2.InspectRequest(source_uri=uri)
        yield (
            name,
            "extractor",
            "Extract",
            extractor_pb2.ExtractRequest(source_uri=uri, sequence_id="033", recipe=preview),
        )
        yield name, "extractor", "ImportSource", extractor_pb2.ImportSourceRequest(object_uri=uri)
        yield name, "trainer", "GetTraining", trainer_pb2.GetTrainingRequest(training_uri=uri)
        yield name, "trainer", "CancelTraining", trainer_pb2.CancelTrainingRequest(training_uri=uri)
        yield name, "trainer", "WatchTraining", trainer_pb2.WatchTrainingRequest(training_uri=uri)
        yield name, "trainer", "ImportModel", trainer_pb2.ImportModelRequest(object_uris=[uri])
        for service in SERVICES:
            yield name, service, "ListFiles", files_pb2.ListFilesRequest(uri=uri)
        yield (
            name,
            "converter",
            "Transcode",
            converter_pb2.TranscodeRequest(source_uri=uri, sequence_id="033", recipe=preview),
        )
    for name, sequence in _IDS.items():
        request = extractor_pb2.ExtractRequest(source_uri=uris["source"], sequence_id=sequence, recipe=preview)
        yield name, "extractor", "Extract", request
    for name, token in _tokens():
        yield name, "trainer", "ListTrainings", trainer_pb2.ListTrainingsRequest(page_token=token)
        yield name, "extractor", "ListFiles", files_pb2.ListFilesRequest(uri=uris["source"], page_token=token)
    for name, label, position in (
        ("a label upwards", "../x", ""),
        ("a long label", "x" * 64, ""),
        ("a position without a zone", "set", "2026-01-01T00:00:00"),
        ("a position before all times", "set", "0001-01-01T00:00:00+23:59"),
        ("a position after all times", "set", "9999-12-31T23:59:59-23:59"),
        ("a position of 900 digits", "set", "9" * 900),
    ):
        watch = trainer_pb2.WatchTrainingsRequest(dataset=label, position=position)
        yield name, "trainer", "WatchTrainings", watch
    for size in (-1, 0, 2**31 - 1):
        yield f"{size} in a page", "trainer", "ListTrainings", trainer_pb2.ListTrainingsRequest(page_size=size)
    for size in (-1, 0, 2**62, 2**63 - 1):
        upload = files_pb2.CreateUploadRequest(file_name="a.mp4", size_bytes=size)
        yield f"an upload of {size} bytes", "extractor", "CreateUpload", upload
    for name in ("../a.mp4", "a\0.mp4", "", "x" * 70_000):
        upload = files_pb2.CreateUploadRequest(file_name=name, size_bytes=1)
        yield f"a file name of {len(name)} characters", "extractor", "CreateUpload", upload
    many = recipe_pb2.Recipe(name="preview")
    many.conversion.frame_ranges.extend([recipe_pb2.FrameRange()] * 100_000)
    convert = converter_pb2.ConvertRequest(
        model_uri=uris["model"],
        target_extraction_uri=uris["extraction_a"],
        target_side=common_pb2.SIDE_A,
        target_id="033",
        source_id="097",
        recipe=many,
    )
    yield "100,000 frame ranges", "converter", "Convert", convert
    names = [uris["upload"]] * 10_000
    yield "10,000 files", "trainer", "ImportModel", trainer_pb2.ImportModelRequest(object_uris=names)
    for name in ("../ffpp", "", "ffpp\0", "x" * 100_000):
        recipe = recipe_pb2.Recipe(name=name)
        request = extractor_pb2.ExtractRequest(source_uri=uris["source"], sequence_id="033", recipe=recipe)
        yield f"a recipe's name of {len(name)} characters", "extractor", "Extract", request
    picture = extractor_pb2.ExtractRequest(source_uri=uris["source"], sequence_id="033", recipe=preview)
    picture.subject.picture = b"\x89PNG\r\n\x1a\n" + bytes(200_000)
    yield "a picture of zeros", "extractor", "Extract", picture
    same = trainer_pb2.StartTrainingRequest(
        extraction_a_uri=uris["extraction_a"], extraction_b_uri=uris["extraction_a"], pair_id="a_a", recipe=preview
    )
    yield "one extraction twice", "trainer", "StartTraining", same


def _tokens() -> Iterator[tuple[str, str]]:
    encoded = base64.urlsafe_b64encode
    yield "a token of 900 kB", "x" * 900_000
    yield "a token that is nested deeply", encoded(b"[" * 200_000).decode()
    yield "a token of another list", encoded(b'["other","x"]').decode()
    yield "a token of a number", encoded(b"1").decode()
    yield "a token that is not ASCII", "ü"
