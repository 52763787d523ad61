"""Leaves the files of a dataset in a bucket: the server copies each from the result that holds it.

Manifests and labels are read, and records and indexes are written; no other bytes pass through this process. What was
copied before is found, so a run that was stopped goes on. The dataset has a manifest once all its pairs have ended, and
a manifest lists only pairs whose files are all there. A later run never writes other bytes over a file that a manifest
lists for a pair; it replaces indexes, lists and report only when it ends, just before the manifest.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from facefoundry.codec import JsonObject
from facefoundry.dataset import models
from facefoundry.dataset.dropped import dropped_file
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.output import Output
from facefoundry.dataset.plan import read_filelist
from facefoundry.dataset.record import PairRecord, RunRecord
from facefoundry.dataset.results import StoredResult
from facefoundry.dataset.samples import Pictures
from facefoundry.dataset.stored_dataset import (
    LISTS,
    MANIFEST,
    REPORT,
    DatasetManifest,
    DatasetPlace,
    IndexedFake,
    IndexedFile,
    PairEntry,
    PairIndex,
)
from facefoundry.dataset.version import index_of
from facefoundry.dataset.version_places import folder_splits
from facefoundry.errors import DataLoss, InvalidInput
from facefoundry.storage import document, manifest
from facefoundry.storage.info import ModelInfo, PreviewInfo
from facefoundry.storage.manifest import Part, content_type
from facefoundry.storage.parts import ALIGNMENTS, FACES, SAMPLES
from facefoundry.storage.server_copy import Copied, copy_object
from facefoundry.storage.store import Store

__all__ = ["BucketOutput"]

_PROBE = "misc/probe"
_THREADS = 16  # that read indexes
_NAMED = 5


class BucketOutput(Output):
    """Copies the files within the object store.

    Args:
        layout: Names the paths of the files. Its root is a folder on this machine for what the run writes itself.
        store: The store, with keys that may read results and write the dataset.
        place: Where the dataset goes.
        with_models: Whether to copy models too.
    """

    def __init__(self, layout: Layout, store: Store, place: DatasetPlace, *, with_models: bool = False) -> None:
        super().__init__(layout, place.uri)
        self._store, self._place, self._with_models = store.in_bucket(place.bucket), place, with_models
        self._files = defaultdict[str, dict[str, IndexedFile]](dict)
        self._indexes: dict[str, str] = {}
        self._made: dict[str, PairIndex] = {}
        self._before: dict[str, tuple[PairEntry, PairIndex]] = {}
        self._listed: dict[str, str] = {}
        self._replaced: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def shown(self, path: Path) -> str:
        """Return the URI of a file."""
        return self.place + self._relative(path)

    def put(self, result: StoredResult, name: str, path: Path, item: str, kind: str) -> None:
        """Copy a file, unless it is there."""
        self._copy(result, result.part(name), path, item, kind)

    def put_faces(self, extraction: StoredResult, sequence: str) -> None:
        """Copy the tars of the face crops, and the alignments, as they are stored."""
        for name in filter(FACES.matches, extraction.names):
            self.put(extraction, name, self.layout.faces(sequence) / name, sequence, "faces")
        path = self.layout.alignments(sequence).with_suffix(Path(ALIGNMENTS).suffix)
        self.put(extraction, ALIGNMENTS, path, sequence, "faces")

    def put_samples(self, result: StoredResult, name: str) -> Pictures:
        """Copy the tar of the sample pictures. Who fetches the dataset unpacks it."""
        self.put(result, SAMPLES, self.layout.run_folder() / name / SAMPLES, name, REPORT)
        return {}

    def put_model(self, model: StoredResult, pair: str) -> ModelInfo:
        """Copy a model if models are wanted."""
        committed = model.manifest()
        if self._with_models:
            folder = self.layout.models() / pair
            for part in committed.parts:
                self._copy(model, part, folder / part.name, pair, "models")
            record = models.record_of(model)
            self._refuse_other(folder / models.RECORD, hashlib.sha256(record).hexdigest())
            self._keep(pair, self._write(folder / models.RECORD, record, "models"))
        return committed.info_as(ModelInfo)

    def put_preview(self, model: StoredResult, preview: PreviewInfo, pair: str, path: Path) -> None:
        """Copy a preview."""
        part = model.part(manifest.part_of_key(preview.key).name, preview.key)
        self._copy(model, part, path, pair, REPORT)

    def begin(self, run: RunRecord) -> None:
        """Read what is there, and write an empty object, which shows whether the dataset can be written.

        Raises:
            InvalidInput: there is a dataset that another recipe made, or that has pairs that this run does not make
                (OUTPUT).
            Denied: the account may not write here.
        """
        before = self._place.manifest(self._store)
        if before:
            self._check(before, run)
            self._load(before)
        self.dropped.begin(self._dropped_before(before))
        self._write(self.layout.root / _PROBE, b"", REPORT)

    def finish(self, pair: PairRecord) -> None:
        """Write the index of a pair, unless it is there. One that the manifest names is replaced when the run ends."""
        with self._lock:
            items = {pair.id, pair.a, pair.b, *(fake.id for fake in pair.fakes)}
            found = {path: file for item in items for path, file in self._files[item].items()}
        fakes = (IndexedFake(fake.id, fake.quality, tuple(fake.failed), fake.dropped) for fake in pair.fakes)
        index = PairIndex(pair.id, tuple(found[path] for path in sorted(found)), tuple(fakes), pair.rights)
        data = document.encode(index)
        stored = self._place.index(self._store, pair.id)
        if stored is None or stored[0] != index:
            if pair.id in self._before:
                self._replaced[pair.id] = data
            else:
                self._put_index(pair.id, data)
            stored = index, hashlib.sha256(data).hexdigest()
        with self._lock:
            self._indexes[pair.id] = stored[1]
            self._made[pair.id] = index

    def version(self) -> str:
        """Return the version, by the digests of the files that were copied."""
        before = {pair_id: index for pair_id, (_, index) in self._before.items()}
        indexes = (before | self._made).values()
        files = {file.path: file.sha256 for index in indexes for file in index.files}
        index = index_of(files.items(), self.layout, folder_splits(self.layout))
        return "" if index.is_empty else index.version

    def commit(self, run: RunRecord, pairs: Sequence[PairRecord]) -> None:
        """Write lists, record and report, then indexes that changed, and finally the manifest."""
        files = tuple(self._write(path, path.read_bytes(), self._kind(path)) for path in _files_below(self.layout.root))
        for pair_id, data in self._replaced.items():
            self._put_index(pair_id, data)
        made = DatasetManifest(
            name=run.name,
            layout=self.layout.name,
            recipe=run.recipe,
            pairs=tuple(self._entry(pair) for pair in pairs),
            files=files,
            version=run.dataset_version,
        )
        document.put(self._store, self._place.key(MANIFEST), document.encode(made))

    def _check(self, before: DatasetManifest, run: RunRecord) -> None:
        """Refuse a dataset that this run would mix with its own files, or would drop pairs of."""
        if before.recipe != run.recipe:
            raise InvalidInput(
                f"Expected a dataset of this recipe at {self.place}, or none. Found one of another recipe: "
                f"{_difference(before.recipe, run.recipe)}. Choose another place, or delete that dataset.",
                reason="OUTPUT",
            )
        made = {pair.id for pair in read_filelist(self.layout.filelist())}
        dropped = [entry.id for entry in before.pairs if entry.index and entry.id not in made]
        if dropped:
            raise InvalidInput(
                f"Expected a dataset at {self.place} whose pairs this run makes too, or none. Found one with "
                f"{len(dropped)} other pairs: {', '.join(dropped[:_NAMED])}. Choose another place, or delete that "
                "dataset.",
                reason="OUTPUT",
            )

    def _load(self, before: DatasetManifest) -> None:
        """Remember the pairs that are whole, and the digests of their files."""

        def load(entry: PairEntry) -> PairIndex | None:
            try:
                found = self._place.index(self._store, entry.id)
            except DataLoss:  # `finish` tells it
                return None
            return found[0] if found and found[1] == entry.index else None

        entries = [entry for entry in before.pairs if entry.index]
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="index") as pool:
            for entry, index in zip(entries, pool.map(load, entries), strict=True):
                if index:
                    self._before[entry.id] = entry, index
                    self._listed |= {file.path: file.sha256 for file in index.files}

    def _dropped_before(self, before: DatasetManifest | None) -> bytes | None:
        """Read which fakes the dataset lacks because gates left them out; pairs that fail now keep that."""
        path = self._relative(dropped_file(self.layout))
        listed = before is not None and path in {file.path for file in before.files}
        return document.read(self._store, self._place.key(path)) if listed else None

    def _refuse_other(self, path: Path, sha256: str) -> None:
        """Refuse to write over a file that the manifest lists with other bytes."""
        relative = self._relative(path)
        if self._listed.get(relative, sha256) != sha256:
            raise InvalidInput(
                f"Expected {self.place}{relative} to have the SHA-256 {self._listed[relative]}, as the dataset there "
                f"lists it. This run made {sha256}: its clips, exclusions, subjects, frame rates or version differ, or "
                "a gate asked for a second training. Choose another place, or delete that dataset.",
                reason="OUTPUT",
            )

    def _put_index(self, pair_id: str, data: bytes) -> None:
        document.put(self._store, self._place.key(self._place.index_path(pair_id)), data)

    def _entry(self, pair: PairRecord) -> PairEntry:
        """Return what the manifest says of a pair. One that failed now but not before keeps its files."""
        if pair.id in self._indexes:
            return PairEntry(pair.id, self._indexes[pair.id])
        if pair.id in self._before:
            return self._before[pair.id][0]
        return PairEntry(pair.id, reason=pair.failure.reason if pair.failure else "")

    def _copy(self, result: StoredResult, part: Part, path: Path, item: str, kind: str) -> None:
        self._refuse_other(path, part.sha256)
        relative = self._relative(path)
        bucket = result.uri.partition("://")[2].partition("/")[0]
        source = Copied(bucket, part.key, part.size, part.sha256, content_type(path.name))
        copy_object(self._store, self._place.key(relative), source)
        self._keep(item, IndexedFile(relative, kind, part.size, part.sha256))

    def _write(self, path: Path, data: bytes, kind: str) -> IndexedFile:
        relative, sha256 = self._relative(path), hashlib.sha256(data).hexdigest()
        self._store.put_bytes(self._place.key(relative), data, content_type(path.name), {"sha256": sha256})
        return IndexedFile(relative, kind, len(data), sha256)

    def _kind(self, path: Path) -> str:
        is_list = self.layout.filelist().parent in path.parents and self.layout.run_folder() not in path.parents
        return LISTS if is_list and path != self.layout.report_page() else REPORT

    def _keep(self, item: str, file: IndexedFile) -> None:
        with self._lock:
            self._files[item][file.path] = file

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.layout.root).as_posix()


def _difference(before: JsonObject, now: JsonObject) -> str:
    """Return the first option that two recipes do not have in common, with both values."""
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict) and old != new:
            return f"{name}.{_difference(old, new)}"
        if old != new:
            return f"{name} is {json.dumps(old)}, not {json.dumps(new)}"
    return "none"


def _files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
