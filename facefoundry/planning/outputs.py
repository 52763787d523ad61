"""Opens the output of a run: a folder on this machine, or a place in a bucket."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facefoundry.dataset.bucket_output import BucketOutput
from facefoundry.dataset.layouts import layout_of
from facefoundry.dataset.output import FolderOutput, Output
from facefoundry.dataset.record import Estimate
from facefoundry.dataset.stored_dataset import DatasetPlace, is_uri
from facefoundry.errors import InvalidInput
from facefoundry.settings import StoreSettings
from facefoundry.storage.store import Store

__all__ = ["FOLDER", "check_output", "open_output", "space_sentences"]

FOLDER = "output"
"""The folder of a dataset whose place nothing says."""


def check_output(out: str, layout: str | None, settings: StoreSettings) -> None:
    """Check the place of an output, before anything is started. It raises the errors of `open_output` but NO_KEYS.

    Args:
        out: A folder, or a place such as `s3://bucket/datasets/NAME/`.
        layout: Name of the layout; None for that of the folder's earlier run, or `ffpp`.
        settings: Those of the object store.
    """
    if is_uri(out):
        DatasetPlace.of(out, settings)
        layout_of(Path("output"), layout)
        return
    if Path(out).is_file():
        raise InvalidInput(f"Expected a folder for the output. Received {out}, which is a file.", reason="OUTPUT")
    layout_of(Path(out), layout)


def space_sentences(out: str, estimate: Estimate | None) -> list[str]:
    """Return what to say of the space that an output in a bucket takes; empty for a folder.

    Args:
        out: A folder, or a place in a bucket.
        estimate: What the plan expects the dataset to cost; None if unknown.
    """
    if not is_uri(out):
        return []
    known = estimate.video_bytes if estimate else None
    size = (
        f"about {known / 1e9:.2f} GB"
        if known is not None
        else "as much as they have; `plan --check --rates` estimates it"
    )
    return [f"The store copies the files of the dataset to {out}. The copies take space beside the results: {size}."]


@contextmanager
def open_output(out: str, layout: str | None, store: Store | None, *, with_models: bool = False) -> Iterator[Output]:
    """Open an output during the block.

    Args:
        out: A folder, or a place such as `s3://bucket/datasets/NAME/`.
        layout: Name of the layout; None for that of the folder's earlier run, or `ffpp`.
        store: The object store; None without keys of it.
        with_models: Whether a dataset in a bucket holds models too. A folder always does.

    Raises:
        InvalidInput: the layout is not installed or another one, the place is wrong (OUTPUT), or it is in a bucket and
            there are no keys (NO_KEYS).
    """
    if not is_uri(out):
        yield FolderOutput(layout_of(Path(out), layout))
        return
    if store is None:
        raise InvalidInput(
            f"Output to {out} needs keys of the object store, of the account `client` for example. Set "
            "FACEFOUNDRY_STORE_ENDPOINT, FACEFOUNDRY_STORE_ACCESS_KEY and FACEFOUNDRY_STORE_SECRET_KEY.",
            reason="NO_KEYS",
        )
    place = DatasetPlace.of(out, store.settings)
    with tempfile.TemporaryDirectory(prefix="facefoundry-run-") as folder:
        yield BucketOutput(layout_of(Path(folder), layout), store, place, with_models=with_models)
