"""Reads the index of a dataset from where it lies: a folder, or a place in a bucket."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from facefoundry.dataset.download import index_of_entry, load_manifest
from facefoundry.dataset.file_digests import FileDigests
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.layouts import GROUP
from facefoundry.dataset.plan import Pair, parse_filelist, read_filelist
from facefoundry.dataset.splits import splits_folder
from facefoundry.dataset.stored_dataset import DatasetPlace
from facefoundry.dataset.version import DatasetIndex, index_of
from facefoundry.errors import DataLoss, InvalidInput
from facefoundry.storage.parts import MASKS
from facefoundry.storage.store import Store

__all__ = ["IndexedDataset", "folder_index", "folder_splits", "in_bucket", "in_folder"]

_THREADS = 16
_ANY = "*"


@dataclass(frozen=True)
class IndexedDataset:
    """A dataset with its index.

    Attributes:
        place: Where it is, for the user.
        index: What is in it.
        read_labels: Reads `labels.json` of a fake, by its id.
    """

    place: str
    index: DatasetIndex
    read_labels: Callable[[str], bytes]


def folder_index(layout: Layout, digests: FileDigests | None = None) -> DatasetIndex:
    """Return the index of the files that a folder has. Each is read, unless its digest is known from before.

    Args:
        layout: Names the paths of the files.
        digests: The digests that are known; those that the folder keeps if None.

    Raises:
        InvalidInput: a file cannot be read, or a split is not a list of pairs.
    """
    digests = FileDigests(layout) if digests is None else digests
    found = sorted(_files(layout))
    try:
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="digest") as pool:
            sha256 = list(pool.map(digests.of, found))
    except OSError as error:
        message = f"Cannot read {error.filename}: {error.strerror}. Check its permissions."
        raise InvalidInput(message, reason="INPUT_FILE") from error
    digests.save()
    paths = [path.relative_to(layout.root).as_posix() for path in found]
    return index_of(zip(paths, sha256, strict=True), layout, folder_splits(layout))


def folder_splits(layout: Layout) -> dict[str, list[Pair]]:
    """Read the pairs of each split of a folder, by its name; empty without splits.

    Raises:
        InvalidInput: a split is not a list of pairs (FILELIST).
    """
    paths = sorted(splits_folder(layout).glob("*.json"))
    return {path.stem: read_filelist(path, may_be_empty=True) for path in paths}


def in_folder(layout: Layout) -> IndexedDataset:
    """Return the dataset in a folder. It raises the errors of `folder_index`.

    Raises:
        InvalidInput: there is no video (NO_DATASET).
    """
    index = folder_index(layout)
    if index.is_empty:
        message = f"Expected a dataset in {layout.root}, with videos as the layout {layout.name} names them, such as "
        message += f"{layout.real_video('c23', '000')}. Received a folder without any. Give the output folder of a run."
        raise InvalidInput(message, reason="NO_DATASET")
    return IndexedDataset(str(layout.root), index, lambda fake: layout.labels(fake).read_bytes())


def in_bucket(store: Store, place: DatasetPlace) -> IndexedDataset:
    """Return the dataset at a place in a bucket. Videos are not read: the index of each pair has their digests.

    Args:
        store: The bucket of the dataset.
        place: Its place.

    Raises:
        NotFound: there is no such dataset, or it is not finished.
        DataLoss: a document of the dataset is damaged, or is not the one that the manifest names.
        Unavailable: the store does not answer.
    """
    manifest = load_manifest(store, place)
    layout = GROUP.find(manifest.layout)(Path())
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="index") as pool:
        entries = [entry for entry in manifest.pairs if entry.index]
        indexes = list(pool.map(lambda entry: index_of_entry(store, place, entry), entries))
    files = {file.path: file.sha256 for index in indexes for file in index.files}
    folder = splits_folder(layout)
    splits = {
        Path(file.path).stem: parse_filelist(_read(store, place, file.path, file.sha256), place.uri + file.path)
        for file in manifest.files
        if Path(file.path).parent == folder
    }

    def read_labels(fake: str) -> bytes:
        path = layout.labels(fake).as_posix()
        return _read(store, place, path, files[path])

    return IndexedDataset(place.uri, index_of(files.items(), layout, splits), read_labels)


def _files(layout: Layout) -> Iterator[Path]:
    """Yield the videos, masks and labels in a folder, and maybe files with similar names."""
    shapes = {
        *(layout.mask_video(kind, _ANY) for kind in MASKS),
        layout.labels(_ANY),
        layout.fake_video(_ANY, _ANY),
        layout.real_video(_ANY, _ANY),
    }
    for shape in shapes:
        yield from layout.root.glob(shape.relative_to(layout.root).as_posix())


def _read(store: Store, place: DatasetPlace, path: str, sha256: str) -> bytes:
    """Read a file of a dataset, and check its digest."""
    data = store.get_bytes(place.key(path))
    if hashlib.sha256(data).hexdigest() != sha256:
        raise DataLoss(f"{place.uri}{path} does not have the SHA-256 {sha256}.", resource=place.key(path))
    return data
