"""Compares two datasets, wherever they lie."""

from __future__ import annotations

from pathlib import Path

from facefoundry.dataset.layouts import layout_of
from facefoundry.dataset.stored_dataset import DatasetPlace, is_uri
from facefoundry.dataset.version_diff import DatasetDiff, compare
from facefoundry.dataset.version_places import IndexedDataset, in_bucket, in_folder
from facefoundry.errors import InvalidInput
from facefoundry.settings import StoreSettings, read
from facefoundry.storage.store import Store

__all__ = ["diff", "diff_with"]


def diff(first: str | Path, second: str | Path) -> DatasetDiff:
    """Tell what differs between two datasets: levels, clips, pairs, fakes, labels and splits.

    Keys of the object store are those of the environment.

    Args:
        first: The folder of a dataset, or its place `s3://bucket/datasets/NAME/`, or its name below `datasets/`.
        second: The other one.

    Raises:
        InvalidInput: there is no dataset in a folder (NO_DATASET), or a place needs keys of the object store (NO_KEYS).
        NotFound: there is no dataset at a place (NO_SUCH_DATASET), or it is not finished (DATASET_NOT_FINISHED).
        DataLoss: a document of a dataset is damaged.
        Unavailable: the store does not answer.
    """
    return diff_with(read(StoreSettings), str(first), str(second))


def diff_with(settings: StoreSettings, first: str, second: str) -> DatasetDiff:
    """Compare two datasets as `diff` does, with settings of the object store."""
    return compare(_find(settings, first), _find(settings, second))


def _find(settings: StoreSettings, place: str) -> IndexedDataset:
    if not is_uri(place) and ("/" in place or Path(place).exists()):
        return in_folder(layout_of(Path(place)))
    found = DatasetPlace.of(place, settings)
    if not settings.has_keys:
        raise InvalidInput(
            f"Expected the folder of a dataset, or keys of the object store to read {found.uri}. Received {place!r}, "
            "which is no folder, and no keys. Check the path, or set FACEFOUNDRY_STORE_ENDPOINT, "
            "FACEFOUNDRY_STORE_ACCESS_KEY and FACEFOUNDRY_STORE_SECRET_KEY.",
            reason="NO_KEYS",
        )
    return in_bucket(Store(settings).in_bucket(found.bucket), found)
