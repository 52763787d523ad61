"""Exports a dataset from a folder or a bucket, to a folder or a bucket, with the alignments of the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from facefoundry.dataset.record import SequenceRecord
from facefoundry.dataset.stored_dataset import DatasetPlace, is_uri
from facefoundry.errors import InvalidInput, NotFound
from facefoundry.exports.dataset import Sound, load_dataset
from facefoundry.exports.export import Export, O
from facefoundry.exports.place import BucketPlace, ExportPlace, FolderPlace
from facefoundry.exports.run import Exported, export_dataset
from facefoundry.planning.fetching import fetch_with
from facefoundry.planning.sounds import fetch_sounds
from facefoundry.settings import StoreSettings
from facefoundry.storage import keys, manifest
from facefoundry.storage.parts import ALIGNMENTS, MASKS
from facefoundry.storage.store import Store

if TYPE_CHECKING:
    from facefoundry.dataset.download import Fetched

__all__ = ["export_with"]

_THREADS = 16


def export_with(
    settings: StoreSettings,
    export: Export[O],
    dataset: str,
    out: str,
    *,
    levels: Sequence[str] = (),
    options: O | None = None,
    min_swapped: float = 0.5,
    update: bool = False,
    dry_run: bool = False,
    processes: int | None = None,
    on_start: Callable[[Exported], object] = lambda _: None,
    on_progress: Callable[[Exported], object] = lambda _: None,
    on_fetch: Callable[[Fetched], object] = lambda _: None,
    on_wait: Callable[[str], object] = lambda _: None,
) -> Exported:
    """Export a dataset as `exports.run.export_dataset` does.

    A dataset in a bucket is fetched to a temporary folder first, if that has the space.

    Args:
        settings: Address and keys of the object store. Keys are needed for a dataset or an export in a bucket, and for
            formats with landmarks or sound.
        export: The format.
        dataset: Folder of the dataset, or its place `s3://bucket/datasets/NAME/`.
        out: Folder for the export, or a place in a bucket.
        levels: Names of the levels; all that the dataset has if empty.
        options: The options of the format.
        min_swapped: Fakes with a smaller share of swapped frames are named.
        update: Whether to update an export that differs.
        dry_run: Whether to end before anything is written.
        processes: Number of items that are made at once; by default one for each core.
        on_start: Called once it is known what there is to do.
        on_progress: Called after each item.
        on_fetch: Called before the first file of a dataset in a bucket, and after each.
        on_wait: Called with a sentence for the user when a request has failed and will be repeated.

    Raises:
        InvalidInput: there is no such dataset, the format cannot hold it, there are no keys (NO_KEYS), or the disk has
            too little space (DISK_SPACE).
        NotFound: the bucket has no such dataset.
        Unavailable: the store does not answer.
    """

    def store_for(purpose: str) -> Store:
        if not settings.has_keys:
            raise InvalidInput(
                f"{purpose} needs keys of the object store, of the account `client` for example. Set "
                "FACEFOUNDRY_STORE_ENDPOINT, FACEFOUNDRY_STORE_ACCESS_KEY and FACEFOUNDRY_STORE_SECRET_KEY, or add "
                "--local for the store of this machine.",
                reason="NO_KEYS",
            )
        return Store(settings).with_retries_for(settings.retry_seconds, on_wait)

    with ExitStack() as stack:
        work = Path(stack.enter_context(TemporaryDirectory(prefix="export-")))
        place: ExportPlace = FolderPlace(Path(out))
        if is_uri(out):
            place = BucketPlace(store_for(f"Writing {out}"), DatasetPlace.of(out, settings))
        folder, version, lost = Path(dataset), "", tuple[str, ...]()
        if is_uri(dataset):
            folder = work / "dataset"
            kinds = [*levels, "labels", "report"] if levels else []
            fetched = fetch_with(
                settings,
                dataset,
                folder,
                kinds,
                [],
                8,
                if_there=MASKS,
                on_start=on_fetch,
                on_progress=on_fetch,
                on_wait=on_wait,
            )
            version, lost = fetched.version, fetched.lost

        def fetch_alignments(records: Mapping[str, SequenceRecord]) -> Mapping[str, Path]:
            return _fetch_alignments(store_for("Reading landmarks"), records, work / "alignments")

        def fetch_sounds_of(records: Mapping[str, SequenceRecord]) -> Mapping[str, Sound]:
            return fetch_sounds(store_for("Reading sound"), records, work / "sounds")

        found = load_dataset(folder, min_swapped=min_swapped, fetch_alignments=fetch_alignments, version=version)
        return export_dataset(
            export,
            replace(found, fetch_sounds=fetch_sounds_of, remarks=(*found.remarks, *lost), keep_digests=not dry_run),
            place,
            levels=levels,
            options=options,
            update=update,
            dry_run=dry_run,
            processes=processes,
            on_start=on_start,
            on_progress=on_progress,
        )


def _fetch_alignments(store: Store, records: Mapping[str, SequenceRecord], folder: Path) -> dict[str, Path]:
    """Fetch the alignments of sequences, and return their files by id.

    Raises:
        InvalidInput: the store does not have them any more (NO_ALIGNMENTS), or they are in another bucket.
    """
    folder.mkdir()

    def fetch(id_: str) -> Path:
        uri = records[id_].extraction_uri
        prefix = keys.prefix_of(store.bucket, uri, "extractions", f"extraction_uri of {id_}")
        try:
            part = manifest.load(store, prefix).part(ALIGNMENTS)
            return manifest.fetch_part(store, part, folder / f"{id_}.safetensors")
        except NotFound as error:
            raise InvalidInput(
                f"Expected the alignments of {id_} in {uri}, as this format has landmarks. {error.message} Run the "
                "dataset again: it extracts what the store has lost.",
                reason="NO_ALIGNMENTS",
                resource=uri,
            ) from error

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="alignments") as pool:
        return dict(zip(records, pool.map(fetch, records), strict=True))
