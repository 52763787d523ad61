"""The files of a dataset in a bucket, read while its run goes on and after it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

from facefoundry import archive
from facefoundry.checks.balance import path_of as balance_path
from facefoundry.checks.leaks import path_of as leaks_path
from facefoundry.dataset.layouts import layout_of
from facefoundry.dataset.run_folder import RUN_FILE
from facefoundry.dataset.samples import Pictures, add_picture
from facefoundry.dataset.stored_dataset import DatasetPlace
from facefoundry.errors import DataLoss, NotFound
from facefoundry.report.source import Source, Version, Video
from facefoundry.storage import keys
from facefoundry.storage.parts import SAMPLES
from facefoundry.storage.store import Store, StoredObject

__all__ = ["MAX_RECORD_BYTES", "BucketSource", "open_dataset"]

_THREADS: Final = 16
MAX_RECORD_BYTES: Final = 64 << 20
_MAX_PICTURE_BYTES: Final = 4 << 20
_MAX_TAR_BYTES: Final = 32 << 20
_KEPT_TAR_BYTES: Final = 32 << 20
_KEPT_VIDEOS: Final = 4096


class BucketSource(Source):
    """A dataset in a bucket.

    While its run goes on, the record is that below `runs/` of the bucket of the services, which has the pairs that
    ended. Afterwards it is that of the dataset itself.

    Args:
        store: The object store, on the bucket of the services.
        place: The place of the dataset.
        run: Name of the run.
    """

    def __init__(self, store: Store, place: DatasetPlace, run: str) -> None:
        self.layout, self.place = layout_of(Path("dataset")), place.uri
        self._runs, self._store, self._dataset = store, store.in_bucket(place.bucket), place
        self._run_prefix, self._folder = keys.run(run), self._key(self.layout.run_folder())
        self._record = self._runs, self._run_prefix
        self._lock = threading.Lock()
        self._tars = OrderedDict[str, Mapping[str, bytes]]()
        self._videos = OrderedDict[Path, Video]()

    def versions(self) -> Mapping[str, Version]:
        """Return the files of the record."""
        live = {
            found.key.removeprefix(f"{self._run_prefix}/"): _version(found)
            for found in self._runs.objects(f"{self._run_prefix}/")
        }
        kept = self._stat(f"{self._folder}/{RUN_FILE}")
        if kept is not None and (RUN_FILE not in live or live[RUN_FILE].modified <= kept.modified):
            self._record = self._store, self._folder
            pairs = self._store.objects(f"{self._folder}/pairs/")
            return {RUN_FILE: kept} | {found.key.removeprefix(f"{self._folder}/"): _version(found) for found in pairs}
        if RUN_FILE in live:
            self._record = self._runs, self._run_prefix
            return live
        message = f"Expected a run record at {self._runs.uri(self._run_prefix)}/ or at {self.place}. Found none. Check "
        message += "the name. A run leaves its record there if it has keys of the object store."
        raise NotFound(message, reason="NO_RUN", resource=self.place)

    def record(self, name: str) -> bytes | None:
        """Read a file of the record. What the checks found is beside the dataset's own record."""
        if name in (leaks_path(self.layout).name, balance_path(self.layout).name):
            return self._read(self._store, f"{self._folder}/{name}")
        store, prefix = self._record
        return self._read(store, f"{prefix}/{name}")

    def records(self, names: Sequence[str]) -> Iterator[bytes | None]:
        """Read several files of the record, several at once."""
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="record") as pool:
            yield from pool.map(self.record, names)

    def list_file(self, path: Path) -> bytes | None:
        """Read a file beside the filelist."""
        return self._read(self._store, self._key(path))

    def samples(self, item: str) -> Pictures:
        """Return the sample pictures of a sequence or a fake, which are in a tar."""
        pictures: Pictures = {}
        for name in self._tar(item):
            add_picture(pictures, f"{item}/{name}")
        return dict(sorted(pictures.items()))

    def _picture(self, file: str) -> bytes | None:
        item, _, name = file.partition("/")
        packed = self._tar(item).get(name)
        return packed if packed is not None else self._read(self._store, f"{self._folder}/{file}", _MAX_PICTURE_BYTES)

    def _video(self, path: Path) -> Video | None:
        with self._lock:
            if path in self._videos:
                return self._videos[path]
        try:
            found = self._store.stat(self._key(path))
        except NotFound:
            return None
        video = Video(found.size, found.etag.strip('"'))
        with self._lock:  # a dataset never gets other bytes of a video
            self._videos[path] = video
            if len(self._videos) > _KEPT_VIDEOS:
                self._videos.popitem(last=False)
        return video

    def _blocks(self, path: Path, start: int, stop: int) -> Iterator[bytes]:
        return self._store.blocks(self._key(path), stop, start)

    def _tar(self, item: str) -> Mapping[str, bytes]:
        """Return the pictures of a tar by their names in a folder; empty if there is none or it is damaged."""
        with self._lock:
            if item in self._tars:
                self._tars.move_to_end(item)
                return self._tars[item]
        data = self._read(self._store, f"{self._folder}/{item}/{SAMPLES}", _MAX_TAR_BYTES)
        pictures: dict[str, bytes] = {}
        with suppress(DataLoss):
            pictures = {name.replace("/", "-"): picture for name, picture in archive.unpack(data or b"").items()}
        if data is not None:
            with self._lock:
                self._tars[item] = pictures
                while len(self._tars) > 1 and sum(map(_size, self._tars.values())) > _KEPT_TAR_BYTES:
                    self._tars.popitem(last=False)
        return pictures

    def _stat(self, key: str) -> Version | None:
        try:
            return _version(self._store.stat(key))
        except NotFound:
            return None

    def _read(self, store: Store, key: str, max_size: int = MAX_RECORD_BYTES) -> bytes | None:
        try:
            return store.get_with_metadata(key, max_size)[0]
        except NotFound:
            return None

    def _key(self, path: Path) -> str:
        return self._dataset.key(path.relative_to(self.layout.root).as_posix())


def open_dataset(store: Store, place: DatasetPlace) -> BucketSource:
    """Open a dataset in a bucket. Until it is finished, its run is taken to have the name of the place.

    Args:
        store: The object store, on the bucket of the services.
        place: The place of the dataset.

    Raises:
        DataLoss: the manifest of the dataset is damaged (BAD_DOCUMENT).
        InvalidInput: the place has no name that a run can have.
    """
    manifest = place.manifest(store.in_bucket(place.bucket))
    return BucketSource(store, place, manifest.name if manifest else place.prefix.rpartition("/")[2])


def _size(pictures: Mapping[str, bytes]) -> int:
    return sum(map(len, pictures.values()))


def _version(found: StoredObject) -> Version:
    return Version(found.modified.timestamp() if found.modified else 0.0, found.etag)
