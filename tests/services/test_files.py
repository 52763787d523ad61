"""ListFiles of the three services, over real gRPC and a real S3 server; files are fetched by plain HTTP."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Protocol

import grpc
import pytest
import urllib3

from facefoundry.errors import FaceFoundryError
from facefoundry.rpc.status import from_rpc_error
from facefoundry.settings import read
from facefoundry.storage import keys, manifest
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.store import Store
from facefoundry.v1 import converter_pb2_grpc, extractor_pb2_grpc, files_pb2, trainer_pb2_grpc
from services.converter.__main__ import build as build_converter
from services.converter.settings import ConverterSettings
from services.extractor.__main__ import build as build_extractor
from services.extractor.settings import ExtractorSettings
from services.trainer.__main__ import build as build_trainer
from services.trainer.backends.local import LocalBackend, LocalSettings
from services.trainer.settings import TrainerSettings

DIGEST = "0" * 40
KINDS = {
    keys.source(DIGEST): "extractor",
    keys.extraction(DIGEST): "extractor",
    keys.model(DIGEST, 300): "trainer",
    keys.imported(DIGEST): "trainer",
    keys.conversion(DIGEST): "converter",
}
PARTS = {"raw.mp4": b"pixels", "labels.json": b"{}", "faces-00000.tar": b"faces"}
http = urllib3.PoolManager(retries=False)


class Lister(Protocol):
    """The stub of a service."""

    def ListFiles(self, request: files_pb2.ListFilesRequest, /, timeout: float) -> files_pb2.ListFilesResponse: ...


@dataclass(frozen=True)
class Services:
    """Stubs of the three running services, and their store."""

    store: Store
    stubs: dict[str, Any]

    def list(self, service: str, uri: str, **fields: Any) -> files_pb2.ListFilesResponse:
        lister: Lister = self.stubs[service]
        return lister.ListFiles(files_pb2.ListFilesRequest(uri=uri, **fields), timeout=20)

    def commit(self, prefix: str, parts: dict[str, bytes]) -> str:
        """Commit a result, and return its URI."""
        put = tuple(manifest.put_part(self.store, prefix, name, data) for name, data in parts.items())
        manifest.commit(self.store, prefix, Manifest("test", {}, {}, put, {}, "content"))
        return self.store.uri(prefix)


@pytest.fixture(scope="module")
def services(new_store: Callable[[], Store], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    store = new_store()
    common = {"listen": "127.0.0.1:0", "scratch_dir": tmp_path_factory.mktemp("scratch"), "drain_seconds": 1.0}
    backend = LocalBackend(read(LocalSettings), command=("false",))
    servers = {
        "extractor": build_extractor(read(ExtractorSettings, **common), store)[0],
        "trainer": build_trainer(read(TrainerSettings, **common), store, backend),
        "converter": build_converter(read(ConverterSettings, **common), store)[0],
    }
    stubs = {
        "extractor": extractor_pb2_grpc.ExtractorServiceStub,
        "trainer": trainer_pb2_grpc.TrainerServiceStub,
        "converter": converter_pb2_grpc.ConverterServiceStub,
    }
    with ExitStack() as running:
        running.callback(backend.close)
        made = {}
        for name, server in servers.items():
            running.callback(server.stop)
            channel = running.enter_context(grpc.insecure_channel(f"127.0.0.1:{server.start()}"))
            made[name] = stubs[name](channel)
        yield Services(store, made)


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
