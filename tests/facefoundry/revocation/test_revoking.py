"""A subject of 12 pairs is revoked in the bucket and in a folder, and stopped again and again: a real S3 server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest
from click.testing import CliRunner

from facefoundry import codec
from facefoundry.cli.revoke import revoke as command
from facefoundry.client import Client
from facefoundry.dataset.layouts import layout_of
from facefoundry.dataset.record import RunRecord
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.dataset.statements import Statement, refuse_revoked_clips
from facefoundry.dataset.stored_dataset import DatasetPlace
from facefoundry.dataset.version_places import in_bucket, in_folder
from facefoundry.errors import NotFound, Unusable
from facefoundry.planning.running import run
from facefoundry.revocation.revoking import find, revoke
from facefoundry.storage import document, keys
from facefoundry.storage.manifest import put_part
from facefoundry.storage.store import Store
from tests.facefoundry.dataset.fakes import FakeServices
from tests.facefoundry.dataset.made_in_bucket import LEVELS, name_store
from tests.facefoundry.revocation.made import GONE, PAIRS, expect_whole, names_of, write

TRIANGLE = [("0", "1"), ("0", "2"), ("1", "2")]


class Stopped(BaseException):
    """The process was killed."""


class Mortal(Store):
    """A store whose process is killed before one of its next writes."""

    def __init__(self, store: Store, writes: int) -> None:
        super().__init__(store.settings)
        self._writes = writes

    def _count(self) -> None:
        self._writes -= 1
        if self._writes < 0:
            raise Stopped

    def put_bytes(self, *arguments: object, **options: object) -> None:
        self._count()
        super().put_bytes(*arguments, **options)  # type: ignore[arg-type]  # as they are

    def delete(self, *arguments: object) -> None:
        self._count()
        super().delete(*arguments)  # type: ignore[arg-type]  # as they are


def make(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch, *places: str, pairs: Sequence[tuple[str, str]] = PAIRS
) -> None:
    """Make the dataset at some places; services commit tiny results to the bucket."""
    name_store(monkeypatch, store)
    (folder / "clips").mkdir()
    for number in sorted({clip for pair in pairs for clip in pair}):
        (folder / "clips" / f"{number}.mp4").write_bytes(f"clip {number}".encode())
    path, services = write(folder, pairs, **{"extraction.identity": False}), cast(Client, FakeServices(store, LEVELS))
    for place in places:
        records = run(path, place, services)
        assert {pair.state for pair in records} == {"done"}, [pair.failure for pair in records]


def test_a_revocation_that_is_stopped_again_and_again_ends_with_nothing_left(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = tmp_path / "out"
    make(store, tmp_path, monkeypatch, str(dataset), f"s3://{store.bucket}/datasets/six/")
    found = find(store, "P-3", [dataset])
    assert {place.where for place in found.places} == {"runs/six", "datasets/six", str(dataset.resolve())}
    assert {place.clips for place in found.places} == {(GONE,)} and len(found.places[0].pairs) == 4
    before, stops, writes = sorted(store.list("")), 0, 0
    assert not [key for key in before if key.startswith("revoked/")], "a dry run writes nothing"
    while True:
        try:
            statement, _ = revoke(Mortal(store, writes), "P-3", [dataset])
            break
        except Stopped:
            stops, writes = stops + 1, 2 * writes + 1
            assert expect_whole(store, lists=False) in (len(PAIRS), len(PAIRS) - 4)
    assert stops > 3 and statement.ended and expect_whole(store) == len(PAIRS) - 4
    assert names_of(statement, store, dataset) == []
    kinds = {prefix.partition("/")[0] for prefix in statement.results}
    assert kinds == {"sources", "extractions", "trainings", "models", "conversions"}
    assert find(store, "P-3", [dataset]).is_empty
    layout = layout_of(dataset)
    record = RunFolder(layout.run_folder()).load_run()
    assert len(record.pairs) == record.done == 8 and sorted(record.sequences) == ["0", "1", "2", "4", "5"]
    assert record.rights == "consent for 5 clips" and "P-3" not in (dataset / "misc" / "rights.json").read_text()
    stored = in_bucket(store, DatasetPlace(store.bucket, "datasets/six")).index
    assert in_folder(layout).index == stored and record.dataset_version == stored.version
    gone = {"3", *(f"{a}_{b}" for a in "012345" for b in "012345" if GONE in (a, b))}
    assert not [path for path in dataset.rglob("*") if path.stem in gone]
    services = cast(Client, FakeServices(store, LEVELS))
    with pytest.raises(Unusable, match="revoked") as caught:
        run(tmp_path / "dataset.yaml", str(dataset), services)
    assert caught.value.reason == "REVOKED"
    with pytest.raises(Unusable, match="The run six has 3,") as caught:
        refuse_revoked_clips(store, "six", "123")
    assert caught.value.reason == "REVOKED"
    refuse_revoked_clips(store, "six", "12")


def test_a_clip_is_revoked_by_its_digest_once_and_again_if_it_comes_back(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(store, tmp_path, monkeypatch, f"s3://{store.bucket}/datasets/six/", pairs=TRIANGLE)
    source = document.get(store, "runs/six/run.json", RunRecord).sequences["0"].source_uri
    manifest = f"{source.removeprefix(store.uri(''))}/manifest.json"
    backup, metadata = store.get_with_metadata(manifest)
    put_part(store, keys.extraction("d" * 40), "faces-00000.tar", b"faces of nobody knows whom")
    path = tmp_path / "statement.json"

    def revoke_it(*options: object) -> str:
        return CliRunner().invoke(command, [source, *map(str, options)], catch_exceptions=False).output

    dry = revoke_it()
    assert "datasets/six loses 1 clip (0) and 2 pairs" in dry and "--yes removes it" in dry
    assert "1 result is unfinished" in dry and expect_whole(store) == 3
    assert "Nothing is left of" in revoke_it("--yes", "--statement", path)
    assert expect_whole(store) == 1 and path.read_bytes().startswith(b"{")
    listed = store.objects("")
    assert "Removed." not in revoke_it("--yes") and store.objects("") == listed
    store.put_bytes(manifest, backup, "application/json", metadata)  # as a backup that is restored
    assert "1 source in" in revoke_it() and "Removed." in revoke_it("--yes", "--unfinished")
    statement = codec.from_json(Statement, path.read_bytes())
    assert names_of(statement, store) == [] and not store.objects(f"extractions/{'d' * 40}/")


def test_what_nothing_names_is_not_revoked(store: Store) -> None:
    with pytest.raises(NotFound, match="subject P-9") as caught:
        find(store, "P-9")
    assert caught.value.reason == "NOTHING_TO_REVOKE" and store.objects("") == ()
