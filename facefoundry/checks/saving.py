"""Saves what a check found beside the record of a dataset in a bucket, where the web page reads it."""

from __future__ import annotations

from pathlib import Path

from facefoundry.dataset.download import load_manifest
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.dataset.stored_dataset import DatasetPlace
from facefoundry.errors import InvalidInput
from facefoundry.settings import StoreSettings
from facefoundry.storage.manifest import content_type
from facefoundry.storage.store import Store

__all__ = ["save"]


def save(settings: StoreSettings, dataset: str, layout: Layout, found: Path) -> str:
    """Save what a check found in the folder of a fetched dataset, and return the URI of the object.

    Args:
        settings: Address and keys of the object store, of an account that writes datasets.
        dataset: Name of the dataset in the bucket, or its place, `s3://bucket/datasets/NAME/`.
        layout: The folder.
        found: Path of the result in it.

    Raises:
        NotFound: there is no such dataset, or it is not finished, or the folder has no run record.
        InvalidInput: the folder has another version of the dataset, or another dataset (OUTPUT).
        Denied: the account may not write datasets.
    """
    place = DatasetPlace.of(dataset, settings)
    store = Store(settings).in_bucket(place.bucket)
    stored, own = load_manifest(store, place).version, RunFolder(layout.run_folder()).load_run().dataset_version
    if own != stored:
        message = f"Expected the version {stored or 'without videos'} of the dataset at {place.uri} in {layout.root}. "
        message += f"Received {own or 'one without videos'}, so what was found is not saved there. Fetch the dataset."
        raise InvalidInput(message, reason="OUTPUT", resource=str(layout.root))
    key = place.key(found.relative_to(layout.root).as_posix())
    store.put_bytes(key, found.read_bytes(), content_type(found.name))
    return store.uri(key)
