"""Files of results by URL: resumed, verified, and written only when they are complete."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from facefoundry.dataset.results import StoredResult
from facefoundry.dataset.transfer import Transfers
from facefoundry.errors import DataLoss, Denied, NotFound
from facefoundry.settings import TransferSettings
from facefoundry.storage import keys, manifest
from facefoundry.storage.store import Store
from tests.facefoundry.dataset.transfers import Place, a_place, at, until_expired
from tests.faults.proxy import Fault

PREFIX = keys.conversion("0" * 40)
VIDEO = bytes(range(256)) * 2000


@pytest.fixture(scope="module")
def shared(new_store: Callable[[], Store], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with a_place(new_store(), tmp_path_factory.mktemp("scratch")) as place:
        yield place


@pytest.fixture
def place(shared: Place) -> Place:
    """The module's services, and a result in the store."""
    shared.proxy.rule = None
    shared.proxy.forget()
    shared.services.commit(PREFIX, {"raw.mp4": VIDEO, "empty.json": b""})
    return shared


@pytest.fixture
def result(place: Place) -> StoredResult:
    return StoredResult(place.transfers, place.store.uri(PREFIX))


def test_files_are_fetched_once_and_the_manifest_is_one_of_them(
    place: Place, result: StoredResult, tmp_path: Path
) -> None:
    assert result.names == ("empty.json", "manifest.json", "raw.mp4")
    assert result.manifest() == manifest.load(place.store, PREFIX)
    path = tmp_path / "new" / "raw.mp4"
    for _ in range(2):
        result.fetch("raw.mp4", path)
        assert path.read_bytes() == VIDEO
    assert len([request for request in place.requests("GET") if "raw" in request.key]) == 1
    assert result.read("empty.json") == b""
    path.write_bytes(VIDEO[::-1])
    result.fetch("raw.mp4", path)
    assert path.read_bytes() == VIDEO
    with pytest.raises(NotFound, match=r"has no file 'c23\.mp4'"):
        result.read("c23.mp4")


def test_an_interrupted_download_goes_on_where_it_stopped(place: Place, tmp_path: Path) -> None:
    long = VIDEO * 64  # so much that what is on its way when the connection is reset is a small share of it
    result = StoredResult(place.transfers, place.services.commit(keys.conversion("1" * 40), {"raw.mp4": long}))
    place.proxy.rule = at(0, "GET", Fault(keep=0.75))
    result.fetch("raw.mp4", tmp_path / "raw.mp4")
    assert (tmp_path / "raw.mp4").read_bytes() == long
    first, second = place.requests("GET")
    assert first.offset == 0 and len(long) // 4 < second.offset <= len(long) * 3 // 4


def test_an_expired_url_is_replaced(new_store: Callable[[], Store], tmp_path: Path) -> None:
    with a_place(new_store(), tmp_path, url_seconds=1) as place:
        uri = place.services.commit(PREFIX, {"raw.mp4": VIDEO})
        result = StoredResult(place.transfers, uri)
        place.proxy.rule = at(0, "GET", Fault(before=until_expired(1)))
        assert result.read("raw.mp4") == VIDEO
        assert 403 in [status for _, status in place.proxy.log]


def test_wrong_bytes_are_fetched_once_more_and_never_written(
    place: Place, result: StoredResult, tmp_path: Path
) -> None:
    place.proxy.rule = at(0, "GET", Fault(flip=True))
    assert result.read("raw.mp4") == VIDEO
    place.proxy.rule = lambda request: Fault(flip=True)
    with pytest.raises(DataLoss, match=r"raw\.mp4 of s3://.* was written with SHA-256") as caught:
        result.fetch("raw.mp4", tmp_path / "raw.mp4")
    assert (caught.value.reason, caught.value.resource) == ("DIGEST_MISMATCH", place.store.uri(PREFIX))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_gone_or_has_another_size_is_data_loss(
    place: Place, result: StoredResult, tmp_path: Path
) -> None:
    part = manifest.load(place.store, PREFIX).part("raw.mp4")
    place.store.put_bytes(part.key, VIDEO[1:])
    with pytest.raises(DataLoss, match=f"{len(VIDEO)} bytes at http://.*has {len(VIDEO) - 1}") as caught:
        result.fetch("raw.mp4", tmp_path / "raw.mp4")
    assert caught.value.reason == "WRONG_SIZE" and "Signature" not in caught.value.message
    place.store.delete([part.key])
    with pytest.raises(DataLoss, match="is listed but missing") as caught:
        result.fetch("raw.mp4", tmp_path / "raw.mp4")
    assert caught.value.reason == "PART_MISSING" and list(tmp_path.iterdir()) == []


def test_a_store_that_refuses_every_url_is_an_error(place: Place, result: StoredResult) -> None:
    place.proxy.rule = lambda request: Fault(status=403, code="AccessDenied")
    with pytest.raises(Denied, match="AccessDenied") as caught:
        result.read("raw.mp4")
    assert caught.value.reason == "URL_REFUSED" and "Signature" not in caught.value.message


def test_a_manifest_that_names_a_file_outside_its_folder_gives_none(place: Place, tmp_path: Path) -> None:
    made = manifest.load(place.store, PREFIX)
    part = replace(made.part("raw.mp4"), name="../raw.mp4")
    manifest.commit(place.store, PREFIX, replace(made, parts=(part,)), replace=True)
    with pytest.raises(DataLoss, match="manifest"):
        StoredResult(Transfers(place.client, TransferSettings()), place.store.uri(PREFIX))
