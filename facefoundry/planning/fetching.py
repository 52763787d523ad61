"""Fetches a dataset from a bucket to a folder, and completes its report there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from facefoundry import report
from facefoundry.dataset.download import Fetched, download, load_manifest
from facefoundry.dataset.layouts import layout_of
from facefoundry.dataset.plan import Pair, check_pairs, read_filelist
from facefoundry.dataset.run_folder import RUN_FILE, RunFolder
from facefoundry.dataset.samples import unpack_samples
from facefoundry.dataset.stored_dataset import REPORT, DatasetPlace
from facefoundry.errors import InvalidInput
from facefoundry.settings import StoreSettings, read
from facefoundry.storage.parts import SAMPLES
from facefoundry.storage.store import Store

__all__ = ["fetch", "fetch_with", "pairs_of"]


def fetch(
    dataset: str,
    out: str | Path,
    *,
    only: Sequence[str] = (),
    pairs: Sequence[str] = (),
    threads: int = 8,
    on_progress: Callable[[Fetched], object] = lambda _: None,
) -> Fetched:
    """Fetch a dataset that a run left in a bucket. What is there, with the right bytes, is not fetched again.

    Keys of the object store are those of the environment.

    Args:
        dataset: Name of the dataset, or its place, `s3://bucket/datasets/NAME/`.
        out: Folder for the files.
        only: Kinds of files to fetch: compression levels such as `c23`, `masks`, `masks_blend`, `masks_changed`,
            `labels`, `models`, `faces`, `report`; all if empty. Filelist and splits always come.
        pairs: Ids of the pairs to fetch, or paths of filelists; all if empty.
        threads: Number of files that are fetched at once.
        on_progress: Called after each file, by one thread at a time.

    Returns:
        What was fetched. `replaced` names the files that were there with other bytes, `removed` those of fakes that
        gates have left out since, and `lost` those that the bucket does not have as they were written.

    Raises:
        NotFound: there is no such dataset (NO_SUCH_DATASET), or it is not finished (DATASET_NOT_FINISHED).
        InvalidInput: the dataset has no file of a kind, or no such pair (FETCH), the disk has too little space
            (DISK_SPACE), the folder has another dataset (OUTPUT), or there are no keys of the object store (NO_KEYS).
        DataLoss: a document of the dataset is damaged.
        Unavailable: the store does not answer.
    """
    return fetch_with(read(StoreSettings), dataset, Path(out), only, pairs_of(pairs), threads, on_progress=on_progress)


def fetch_with(
    settings: StoreSettings,
    dataset: str,
    out: Path,
    only: Sequence[str],
    pairs: Sequence[Pair],
    threads: int,
    *,
    if_there: Sequence[str] = (),
    on_start: Callable[[Fetched], object] = lambda _: None,
    on_progress: Callable[[Fetched], object] = lambda _: None,
    on_wait: Callable[[str], object] = lambda _: None,
) -> Fetched:
    """Fetch a dataset as `fetch` does, with settings of the object store and pairs as ids.

    Args:
        settings: Address and keys of the object store.
        dataset: As in `fetch`, and so are all others that are not listed here.
        out: Folder for the files.
        only: Kinds of files.
        pairs: The pairs; all if empty.
        threads: Number of files at once.
        if_there: With `only`, further kinds, of which the dataset may have none.
        on_start: Called once it is known how much there is to fetch.
        on_progress: Called after each file.
        on_wait: Called with a sentence for the user when a request has failed and will be repeated.
    """
    place = DatasetPlace.of(dataset, settings)
    if not settings.has_keys:
        raise InvalidInput(
            f"Fetching {place.uri} needs keys of the object store, of the account `client` for example. Set "
            "FACEFOUNDRY_STORE_ENDPOINT, FACEFOUNDRY_STORE_ACCESS_KEY and FACEFOUNDRY_STORE_SECRET_KEY.",
            reason="NO_KEYS",
        )
    store = Store(settings).in_bucket(place.bucket).with_retries_for(settings.retry_seconds, on_wait)
    _refuse_other(out, load_manifest(store, place).name)
    fetched = download(
        store,
        place,
        out,
        only=only,
        if_there=if_there,
        pairs=pairs,
        made_here=[layout_of(out).report_page().relative_to(out).as_posix()],
        threads=threads,
        on_start=on_start,
        on_progress=on_progress,
    )
    if not only or REPORT in only:
        _write_report(out)
    return fetched


def pairs_of(texts: Sequence[str]) -> list[Pair]:
    """Return the pairs that texts name: ids such as `033_097`, or paths of filelists.

    Raises:
        InvalidInput: a text is neither (FILELIST).
    """
    pairs: list[Pair] = []
    for text in texts:
        if text.endswith(".json"):
            pairs += read_filelist(Path(text))
        else:
            a, _, b = text.partition("_")
            pairs += check_pairs([(a, b)], where=text)
    return pairs


def _refuse_other(out: Path, name: str) -> None:
    """Refuse a folder with the record of another run."""
    found = RunFolder(layout_of(out).run_folder()).run_name()
    if found not in (None, name):
        raise InvalidInput(
            f"Expected a folder of the dataset {name}, or a new one. {out} has the dataset {found}. Choose another "
            "folder.",
            reason="OUTPUT",
        )


def _write_report(out: Path) -> None:
    """Unpack the sample pictures, and write the report with them, if there is a run record."""
    layout = layout_of(out)
    folder = RunFolder(layout.run_folder())
    if not (folder.path / RUN_FILE).is_file():  # the bucket has lost it
        return
    for path in folder.path.glob(f"*/{SAMPLES}"):
        unpack_samples(path.read_bytes(), layout, path.parent.name)
    report.write(layout)
