"""ListFiles of the three services, over real gRPC and a real S3 server; files are fetched by plain HTTP."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta, timezone
from typing import Any

import grpc
import pytest
import urllib3

from facefoundry import codec
from facefoundry.errors import FaceFoundryError
from facefoundry.rpc.status import from_rpc_error
from facefoundry.storage import keys, manifest
from facefoundry.storage.info import ModelInfo, PreviewInfo
from facefoundry.storage.manifest import Manifest
from tests.services.running import Services

DIGEST = "0" * 40
KINDS = {
    keys.source(DIGEST): "extractor",
    keys.extraction(DIGEST): "extractor",
    keys.model(DIGEST, 300): "trainer",
    keys.imported(DIGEST): "trainer",
    keys.conversion(DIGEST): "converter",
}
PREVIEWS = ("0000000.jpg", "0000001.jpg", "0000002.jpg")
PARTS = {"raw.mp4": b"pixels", "labels.json": b"{}", "faces-00000.tar": b"faces"}
http = urllib3.PoolManager(retries=False)


def refused(services: Services, service: str, uri: str, **fields: Any) -> tuple[grpc.StatusCode, FaceFoundryError]:
    with pytest.raises(grpc.RpcError) as caught:
        services.list(service, uri, **fields)
    return caught.value.code(), from_rpc_error(caught.value, "service")


@pytest.mark.parametrize(("prefix", "service"), KINDS.items())
def test_the_files_of_every_kind_of_result_are_fetched_by_url(services: Services, prefix: str, service: str) -> None:
    listed = services.list(service, services.commit(prefix, PARTS))
    assert [file.name for file in listed.files] == ["faces-00000.tar", "labels.json", "manifest.json", "raw.mp4"]
    assert not listed.next_page_token
    for file in listed.files:
        answer = http.request("GET", file.url)
        assert answer.status == 200
        assert hashlib.sha256(answer.data).hexdigest() == file.sha256
        assert len(answer.data) == file.size_bytes
        assert answer.headers["Content-Type"] == file.content_type
        assert answer.data == PARTS.get(file.name, answer.data)
        expires = file.expire_time.ToDatetime(timezone.utc)
        assert timedelta(minutes=59) < expires - datetime.now(timezone.utc) < timedelta(minutes=61)
    types = {file.name: file.content_type for file in listed.files}
    assert types["raw.mp4"] == "video/mp4" and types["manifest.json"] == "application/json"


def test_the_files_of_a_model_include_the_previews_of_its_training_that_are_left(services: Services) -> None:
    training = keys.training("6" * 40)
    folder = f"{training}/previews"
    left, deleted, other = (manifest.put_part(services.store, folder, name, name.encode()) for name in PREVIEWS)
    services.store.delete([deleted.key])
    others = ("runs/demo", f"{keys.training('5' * 40)}/previews", f"{training}/checkpoints/worker")
    aliens = [manifest.put_part(services.store, each, "0000003.jpg", b"of another result") for each in others]
    named = [PreviewInfo(number, part.key) for number, part in enumerate((left, deleted, *aliens))]
    info = codec.to_values(ModelInfo(iterations=300, previews=named))
    prefix = keys.model("6" * 40, 300)
    manifest.commit(services.store, prefix, Manifest("model", {}, {}, (), info, "content"))
    listed = services.list("trainer", services.store.uri(prefix)).files
    assert [file.name for file in listed] == [left.name, "manifest.json"]
    assert http.request("GET", listed[0].url).data == left.name.encode()
    assert (listed[0].size_bytes, listed[0].content_type) == (len(left.name), "image/jpeg")
    assert other.name not in {file.name for file in listed}


@pytest.mark.parametrize(("prefix", "service"), KINDS.items())
def test_the_other_services_name_the_one_that_lists_a_kind(services: Services, prefix: str, service: str) -> None:
    for other in sorted({*KINDS.values()} - {service}):
        code, error = refused(services, other, services.store.uri(prefix))
        assert (code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "OTHER_SERVICE")
        assert f"Call ListFiles of the {service}." in error.message
        assert [violation.field for violation in error.violations] == ["uri"]


@pytest.mark.parametrize("service", ["extractor", "trainer", "converter"])
@pytest.mark.parametrize(
    "prefix", [f"trainings/{DIGEST}", "runs/demo", f"uploads/{DIGEST}/a.mp4", "", "models", "../x"]
)
def test_what_is_no_result_has_no_files(services: Services, service: str, prefix: str) -> None:
    code, error = refused(services, service, services.store.uri(prefix))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert error.reason in ("URI", "OTHER_SERVICE")


def test_a_result_of_another_bucket_or_without_a_manifest_is_refused(services: Services) -> None:
    code, error = refused(services, "converter", f"s3://elsewhere/{keys.conversion(DIGEST)}")
    assert (code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BUCKET_NOT_ALLOWED")
    unfinished = keys.conversion("1" * 40)
    manifest.put_part(services.store, unfinished, "raw.mp4", b"pixels")
    code, error = refused(services, "converter", services.store.uri(unfinished))
    assert (code, error.reason) == (grpc.StatusCode.NOT_FOUND, "NOT_COMMITTED")
    assert error.resource == services.store.uri(unfinished)


def test_pages_hold_every_file_once_and_at_most_500(services: Services) -> None:
    prefix = keys.conversion("2" * 40)
    part = manifest.put_part(services.store, prefix, "chunk-00000.tar", b"frames")
    parts = tuple(manifest.Part(f"chunk-{n:05d}.tar", part.key, part.size, part.sha256) for n in range(600))
    manifest.commit(services.store, prefix, Manifest("conversion", {}, {}, parts, {}, "content"))
    uri = services.store.uri(prefix)
    sizes: list[int] = []
    names: list[str] = []
    token = ""
    while not names or token:
        page = services.list("converter", uri, page_size=90, page_token=token)
        sizes.append(len(page.files))
        names += [file.name for file in page.files]
        token = page.next_page_token
    assert sizes == [90] * 6 + [61]
    assert names == [*(part.name for part in parts), "manifest.json"]
    assert len(services.list("converter", uri).files) == 100
    assert len(services.list("converter", uri, page_size=100_000).files) == 500


def test_a_token_continues_only_the_list_from_which_it_comes(services: Services) -> None:
    first, second = (services.commit(keys.conversion(str(number) * 40), PARTS) for number in (3, 4))
    token = services.list("converter", first, page_size=1).next_page_token
    for uri, wrong in [(second, token), (first, "x"), (first, "é"), (first, token + "="), (first, "W1tbW1tb")]:
        code, error = refused(services, "converter", uri, page_token=wrong)
        assert (code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN")
    assert services.list("converter", first, page_size=2, page_token=token).files[0].name == "labels.json"


def test_a_damaged_manifest_is_data_loss(services: Services) -> None:
    prefix = keys.conversion("5" * 40)
    uri = services.commit(prefix, PARTS)
    services.store.put_bytes(f"{prefix}/manifest.json", b"{}", "application/json")
    code, error = refused(services, "converter", uri)
    assert (code, error.reason) == (grpc.StatusCode.DATA_LOSS, "BAD_MANIFEST")
