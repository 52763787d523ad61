"""Removes clips from what the bucket says of datasets: from datasets, and from the records of runs.

A dataset gets its new records and then its new manifest before any of its files is deleted. So a manifest never names
a file that is gone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from facefoundry import codec
from facefoundry.dataset import files
from facefoundry.dataset.download import index_of_entry
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.layouts import GROUP
from facefoundry.dataset.record import PairRecord, RunRecord
from facefoundry.dataset.run_folder import RUN_FILE, pair_file
from facefoundry.dataset.run_log import LOG_FILE, LogRecord
from facefoundry.dataset.statements import ChangedPlace, Statement
from facefoundry.dataset.stored_dataset import (
    MANIFEST,
    REPORT,
    DatasetManifest,
    DatasetPlace,
    IndexedFile,
    PairIndex,
)
from facefoundry.dataset.version import index_of
from facefoundry.dataset.version_places import folder_splits
from facefoundry.errors import DataLoss, NotFound
from facefoundry.revocation.folders import index_without, write_pages
from facefoundry.revocation.records import both_fakes, change_records, change_run
from facefoundry.storage import document
from facefoundry.storage.manifest import content_type
from facefoundry.storage.revocation import digests_in
from facefoundry.storage.store import Store

__all__ = ["change_dataset", "change_stored_run", "delete_all", "unfinished_files"]

_BATCH = 1000
_THREADS = 16


def change_dataset(store: Store, place: ChangedPlace) -> None:
    """Remove clips and pairs from a finished dataset in the bucket. Repeating it finishes the rest.

    Raises:
        DataLoss: a record of the dataset is damaged.
        InvalidInput: a record or a list of it is wrong.
    """
    dataset = DatasetPlace(store.bucket, place.where)
    before = dataset.manifest(store)
    if before is None:
        return
    kept = tuple(entry for entry in before.pairs if entry.id not in place.pairs)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="index") as pool:
        indexes = list(pool.map(lambda entry: index_of_entry(store, dataset, entry), [e for e in kept if e.index]))
    with TemporaryDirectory(prefix="facefoundry-revoke-") as folder:
        layout = GROUP.find(before.layout)(Path(folder))
        _fetch(store, dataset, before, layout)
        version = _version(layout, indexes, place)
        change_records(layout, place, version)
        write_pages(layout, with_pages=False)
        listed = tuple(_put(store, dataset, before, layout))
    made = replace(before, pairs=kept, files=listed, version=version)
    document.put(store, dataset.key(MANIFEST), document.encode(made))
    needed = {MANIFEST, *(file.path for file in listed), *(file.path for index in indexes for file in index.files)}
    needed |= {dataset.index_path(entry.id) for entry in kept}
    delete_all(store, [key for key in store.list(dataset.key("")) if _is_gone(dataset, layout, key, place, needed)])


def _version(layout: Layout, indexes: list[PairIndex], place: ChangedPlace) -> str:
    found = {file.path: file.sha256 for index in indexes for file in index.files}
    index = index_without(index_of(found.items(), layout, folder_splits(layout)), place)
    return "" if index.is_empty else index.version


def _fetch(store: Store, dataset: DatasetPlace, before: DatasetManifest, layout: Layout) -> None:
    """Fetch the files that belong to no pair."""
    for file in before.files:
        path = PurePosixPath(file.path)
        if path.is_absolute() or ".." in path.parts:
            raise DataLoss(f"{dataset.uri}{MANIFEST} names {file.path!r}, which is no path.", reason="BAD_DOCUMENT")
        try:
            files.write(layout.root / path, store.get_bytes(dataset.key(file.path)))
        except NotFound as error:
            # A revocation that was stopped before it wrote the manifest has removed nothing yet.
            raise DataLoss(f"{dataset.uri}{file.path} is missing.", reason="BAD_DOCUMENT") from error


def _put(store: Store, dataset: DatasetPlace, before: DatasetManifest, layout: Layout) -> Iterator[IndexedFile]:
    """Write the files that belong to no pair, and yield their entries."""
    kinds = {file.path: file.kind for file in before.files}
    for path in sorted(path for path in layout.root.rglob("*") if path.is_file()):
        relative, data = path.relative_to(layout.root).as_posix(), path.read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        store.put_bytes(dataset.key(relative), data, content_type(path.name), {"sha256": sha256})
        yield IndexedFile(relative, kinds.get(relative, REPORT), len(data), sha256)


def _is_gone(dataset: DatasetPlace, layout: Layout, key: str, place: ChangedPlace, needed: set[str]) -> bool:
    """Return whether a file of the dataset belongs to what is removed. What the new manifest names does not."""
    path = PurePosixPath(key.removeprefix(dataset.key("")))
    if path.as_posix() in needed:
        return False
    run = PurePosixPath(layout.run_folder().relative_to(layout.root))
    ids = {*place.clips, *both_fakes(place.pairs)}
    return run in path.parents or bool(ids & {path.stem, *path.parts[:-1]})


def change_stored_run(store: Store, place: ChangedPlace, statement: Statement) -> None:
    """Remove clips and pairs from the record and the log of a run in the bucket. Repeating it finishes the rest.

    Raises:
        DataLoss: the record or the log is damaged.
    """
    key = f"{place.where}/{RUN_FILE}"
    run = document.find(store, key, RunRecord)
    if run is None:
        return

    def is_done(pair: str) -> bool:
        found = document.find(store, f"{place.where}/{pair_file(pair)}", PairRecord)
        return found is not None and found.state == "done"

    change_run(run, place, is_done, None)
    run.dataset_version = ""  # only the dataset has the new one
    document.put(store, key, codec.to_standard_json(run))
    _change_log(store, f"{place.where}/{LOG_FILE}", place, statement)
    delete_all(store, [f"{place.where}/{pair_file(pair)}" for pair in place.pairs])


def _change_log(store: Store, key: str, place: ChangedPlace, statement: Statement) -> None:
    log = document.find(store, key, LogRecord)
    if log is None:
        return
    gone = {*place.clips, *both_fakes(place.pairs)}
    kept = [
        event
        for event in log.events
        if event.item not in gone and not any(digest in statement.digests for digest in digests_in(event.message))
    ]
    document.put(store, key, document.encode(LogRecord(kept)))


def unfinished_files(store: Store, where: str, parts: frozenset[str]) -> list[str]:
    """Return the keys of files with some contents in a dataset that has no manifest, and of indexes that name them.

    Args:
        store: The bucket.
        where: Prefix of the dataset.
        parts: SHA-256 of the contents.
    """

    def is_part(key: str) -> bool:
        try:
            found = store.request(key, lambda client: client.stat_object(bucket_name=store.bucket, object_name=key))
            sha256 = (found.metadata or {}).get("x-amz-meta-sha256", "")
            if sha256 in parts:
                return True
            if "/misc/index/" not in key:
                return False
            index = document.get(store, key, PairIndex)
        except (NotFound, DataLoss):
            return False
        return any(file.sha256 in parts for file in index.files)

    names = list(store.list(f"{where}/"))
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="unfinished") as pool:
        return [key for key, found in zip(names, pool.map(is_part, names), strict=True) if found]


def delete_all(store: Store, keys: list[str]) -> None:
    """Delete objects, in order, as many at once as a request takes."""
    for start in range(0, len(keys), _BATCH):
        store.delete(keys[start : start + _BATCH])
