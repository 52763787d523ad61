"""Newer versions of a format are refused; everything else is left to the reader."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from facefoundry import __version__
from facefoundry.archive import ArchiveWriter
from facefoundry.client import Client
from facefoundry.codec import JsonObject
from facefoundry.dataset.models import RECORD, load_verified
from facefoundry.dataset.output import read_labels
from facefoundry.dataset.results import StoredResult
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.dataset.transfer import Transfers
from facefoundry.errors import Unusable
from facefoundry.formats import format_of, refuse_newer
from facefoundry.local.state import LocalFolder
from facefoundry.planning import yaml_file
from facefoundry.storage import document, keys, manifest
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.store import Store
from facefoundry.storage.uploads import UploadRecord
from facefoundry.v1 import files_pb2
from services.converter import chunks
from services.trainer.sweep import SweepRecord
from services.trainer.worker_protocol import Attempt, Outcome, Status
from tests.facefoundry.dataset.fakes import FakeServices, transfers_of

OURS = "facefoundry.weights/9"


@pytest.mark.parametrize("found", ["facefoundry.weights/10", "facefoundry.weights/999999999"])
def test_a_newer_version_is_refused(found):
    with pytest.raises(Unusable, match=f"models/x has the format {found}.*reads {OURS}") as caught:
        refuse_newer(found, OURS, "models/x")
    assert (caught.value.reason, caught.value.resource) == ("NEWER_FORMAT", "models/x")


@pytest.mark.parametrize(
    "found", [OURS, "facefoundry.weights/8", "facefoundry.model/10", "facefoundry.weights/x", "", None, 10, ["a"]]
)
def test_everything_else_is_left_to_the_reader(found):
    refuse_newer(found, OURS)


# Files on disk: the name of the file, its format in a later version, and what reads it.


def _chunk(folder: Path, values: JsonObject) -> Iterator[object]:
    archive = ArchiveWriter(folder / "chunk-00000.tar")
    archive.add("chunk.json", json.dumps(values).encode())
    return chunks.read(archive.close(), range(1), iter(()))


def _written(folder: Path, name: str, values: JsonObject) -> Path:
    path = folder / name
    path.write_text(json.dumps(values))
    return path


READERS: dict[str, Callable[[Path, JsonObject], object]] = {
    "facefoundry.run/3": lambda folder, values: RunFolder(_written(folder, "run.json", values).parent).load_run(),
    "facefoundry.model/2": lambda folder, values: load_verified(_written(folder, RECORD, values).parent),
    "facefoundry.local/2": lambda folder, values: LocalFolder(_written(folder, "state.json", values).parent).read(),
    "facefoundry.dataset/2": lambda folder, values: yaml_file.load(_written(folder, "dataset.yaml", values)),
    "facefoundry.chunk/4": lambda folder, values: list(_chunk(folder, values)),
}


@pytest.mark.parametrize("found", READERS)
def test_a_file_of_a_newer_version_is_told_with_both_versions(found: str, tmp_path: Path) -> None:
    name, _, number = found.partition("/")
    values: JsonObject = {"format": found, "name": 7, "manifest": [], "versions": {"facefoundry": "9.1"}}
    with pytest.raises(Unusable, match=rf"has the format {found}.*{__version__}.*{name}/{int(number) - 1}") as caught:
        READERS[found](tmp_path, values)
    assert caught.value.reason == "NEWER_FORMAT"


def test_the_record_of_a_model_tells_of_a_newer_manifest_within(tmp_path: Path) -> None:
    values: JsonObject = {"format": "facefoundry.model/1", "manifest": {"format": "facefoundry.manifest/4"}}
    with pytest.raises(Unusable, match=r"model\.json has the format facefoundry\.manifest/4") as caught:
        load_verified(_written(tmp_path, RECORD, values).parent)
    assert caught.value.reason == "NEWER_FORMAT"


@pytest.mark.parametrize("kind", [Attempt, Status, Outcome, SweepRecord, UploadRecord, Manifest])
def test_a_document_that_gets_a_format_later_is_refused_by_this_version(store: Store, kind: type) -> None:
    name, _, number = format_of(kind).partition("/")
    later = f"{name}/{int(number) + 1}"
    document.put(store, "trainings/x.json", json.dumps({"format": later}).encode())
    with pytest.raises(Unusable, match=rf"trainings/x\.json has the format {later}.*reads {name}/{number}") as caught:
        document.get(store, "trainings/x.json", kind)
    assert caught.value.reason == "NEWER_FORMAT"


class _NewerService(FakeServices):
    """A service of the next version, which lists its own manifest: the part `newer.json`."""

    def list_files(self, uri: str) -> Iterator[files_pb2.StoredFile]:
        for file in super().list_files(uri):
            if file.name == "newer.json":
                file.name = "manifest.json"
                yield file


def test_the_client_refuses_a_newer_manifest_and_newer_labels(store: Store, tmp_path: Path) -> None:
    prefix = keys.conversion("0" * 40)
    written = {
        "labels.json": b'{"format": "facefoundry.labels/2", "frames": 7}',
        "newer.json": b'{"format": "facefoundry.manifest/4"}',
    }
    parts = tuple(manifest.put_part(store, prefix, name, data) for name, data in written.items())
    manifest.commit(store, prefix, Manifest("conversion", {}, {}, parts, {}, ""))
    result = StoredResult(transfers_of(store), store.uri(prefix))
    with pytest.raises(Unusable, match=r"facefoundry\.labels/2.*facefoundry\.labels/1") as caught:
        read_labels(result)
    assert caught.value.reason == "NEWER_FORMAT"
    newer = _NewerService(store)
    with pytest.raises(Unusable, match=r"facefoundry\.manifest/4.*facefoundry\.manifest/3") as caught:
        StoredResult(Transfers(cast(Client, newer), store.settings), store.uri(prefix)).manifest()
    assert (caught.value.reason, caught.value.resource) == ("NEWER_FORMAT", f"{store.uri(prefix)}/manifest.json")
