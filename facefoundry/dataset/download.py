"""Fetches a dataset from a bucket: several files at once, verified, and resumed after an interruption."""

from __future__ import annotations

import hashlib
import re
import shutil
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path

from facefoundry.dataset import files
from facefoundry.dataset.dropped import dropped_file
from facefoundry.dataset.file_digests import FileDigests
from facefoundry.dataset.layouts import GROUP
from facefoundry.dataset.plan import Pair
from facefoundry.dataset.results import matches
from facefoundry.dataset.stored_dataset import (
    LISTS,
    REPORT,
    DatasetManifest,
    DatasetPlace,
    IndexedFile,
    PairEntry,
    PairIndex,
)
from facefoundry.errors import Cancelled, DataLoss, InvalidInput, NotFound
from facefoundry.storage.parts import MASKS
from facefoundry.storage.store import Store

__all__ = ["Fetched", "download", "index_of_entry", "load_manifest"]

_BLOCK = 1 << 20
_SEGMENT = re.compile(r"[^\x00-\x1f\x7f/\\:]+")
_NAMED = 12
_WITHOUT_VERSION = frozenset({LISTS, REPORT, "models", "faces"})  # no part of a dataset's version


@dataclass(frozen=True)
class Fetched:
    """How far a fetch is, or what it has fetched.

    Attributes:
        pairs: Number of pairs.
        files: Number of files to fetch.
        size: Their bytes.
        done: Number of files that are there now, verified.
        done_bytes: Their bytes.
        found: How many of them were there before.
        replaced: Paths of those that were there with other bytes, and were fetched again.
        removed: Paths of files that were there, of fakes that gates have left out of the dataset since.
        lost: A sentence about each file that the bucket does not have as it was written.
        missing: The pairs that the dataset does not have, because they failed.
        version: The version of the dataset; empty if an earlier version of FaceFoundry made it.
    """

    pairs: int
    files: int
    size: int
    done: int = 0
    done_bytes: int = 0
    found: int = 0
    replaced: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    missing: tuple[PairEntry, ...] = field(default=())
    version: str = ""


def load_manifest(store: Store, place: DatasetPlace) -> DatasetManifest:
    """Read the manifest of a dataset.

    Raises:
        NotFound: there is no such dataset (NO_SUCH_DATASET), or it is not finished (DATASET_NOT_FINISHED).
    """
    found = place.manifest(store)
    if found is not None:
        return found
    if store.objects(place.key(""), limit=1):
        message = f"{place.uri} is not finished: it has no manifest.json. Wait for its run, or run it again."
        raise NotFound(message, reason="DATASET_NOT_FINISHED", resource=place.uri)
    above = place.key("").removesuffix("/").rpartition("/")[0] + "/"
    names = [item.key.removeprefix(above).rstrip("/") for item in store.objects(above, folder=True, limit=_NAMED)]
    there = (
        f"s3://{place.bucket}/{above} has {', '.join(names)}." if names else f"s3://{place.bucket}/{above} is empty."
    )
    raise NotFound(f"There is no dataset {place.uri}. {there}", reason="NO_SUCH_DATASET", resource=place.uri)


def download(
    store: Store,
    place: DatasetPlace,
    out: Path,
    *,
    only: Collection[str] = (),
    if_there: Collection[str] = (),
    pairs: Collection[Pair] = (),
    made_here: Collection[str] = (),
    threads: int = 8,
    on_start: Callable[[Fetched], object] = lambda _: None,
    on_progress: Callable[[Fetched], object] = lambda _: None,
) -> Fetched:
    """Fetch the files of a dataset. Those that are there, with the right bytes, are not fetched again.

    Files of fakes that gates left out of the dataset are removed, since the folder may have them from before. Other
    files of the folder that the dataset does not have are left alone.

    Args:
        store: The bucket of the dataset.
        place: Its place.
        out: Folder for the files; it is made.
        only: Kinds of files to fetch, such as `c23` or `masks`; all if empty. Filelist and splits always come.
        if_there: With `only`, further kinds, of which the dataset may have none.
        pairs: The pairs to fetch, with their ids in either order; all if empty.
        made_here: Paths of files that the caller writes from others: one that is there counts as right.
        threads: Number of files that are fetched at once.
        on_start: Called once it is known how much there is to fetch.
        on_progress: Called after each file, by one thread at a time.

    Raises:
        NotFound: there is no such dataset, or it is not finished.
        InvalidInput: the dataset has no file of a kind, or no such pair (FETCH), or the disk has too little space
            (DISK_SPACE).
        DataLoss: a document of the dataset is damaged, or is not the one that the manifest names.
        Unavailable: the store does not answer.
    """
    found = load_manifest(store, place)
    entries = _choose(found, pairs)
    with ThreadPoolExecutor(threads, thread_name_prefix="fetch") as pool:
        wanted: dict[str, IndexedFile] = {file.path: file for file in found.files}
        done = [entry for entry in entries if entry.index]
        indexes = list(pool.map(lambda entry: index_of_entry(store, place, entry), done))
        for index in indexes:
            wanted |= {file.path: file for file in index.files}
        chosen = _of_kinds(wanted.values(), only, if_there, place)
        missing = tuple(entry for entry in entries if not entry.index)
        size = sum(file.size for file in chosen)
        state = Fetched(len(done), len(chosen), size, missing=missing, version=found.version)
        _check_space(out, chosen)
        on_start(state)
        work = _Download(store, place, out, state, on_progress, frozenset(made_here))
        fetched = work.run(pool, chosen)
    digests = FileDigests(GROUP.find(found.layout)(out))
    digests.learn(work.verified)
    digests.save()
    return replace(fetched, removed=_remove_dropped(out, found, indexes, place))


class _Download:
    """Fetches files in a pool of threads, and keeps count."""

    def __init__(
        self,
        store: Store,
        place: DatasetPlace,
        out: Path,
        state: Fetched,
        on_progress: Callable[[Fetched], object],
        made_here: frozenset[str],
    ) -> None:
        self._store, self._place, self._out = store, place, out
        self._state, self._on_progress, self._made_here = state, on_progress, made_here
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self.verified: dict[Path, str] = {}

    def run(self, pool: ThreadPoolExecutor, chosen: Sequence[IndexedFile]) -> Fetched:
        pending: list[Future[None]] = [pool.submit(self._fetch, file) for file in chosen]
        try:
            for future in wait(pending, return_when=FIRST_EXCEPTION).done:
                future.result()
        except BaseException:
            self._stopped.set()
            for future in pending:
                future.cancel()
            raise
        return self._state

    def _fetch(self, file: IndexedFile) -> None:
        path = self._out / file.path
        was_there = path.is_file()
        if was_there and (file.path in self._made_here or matches(path, file.size, file.sha256)):
            self._count(file, found=True)
            return
        partial = files.in_new_folder(path).with_name(path.name + ".partial")
        try:
            if not self._receive(file, partial) and not self._receive(file, partial):
                raise DataLoss(f"{self._place.uri}{file.path} does not have the SHA-256 {file.sha256}.")
        except (DataLoss, NotFound) as error:
            with self._lock:
                self._state = replace(self._state, lost=(*self._state.lost, error.message))
            return
        partial.replace(path)
        self._count(file, replaced=was_there)

    def _receive(self, file: IndexedFile, partial: Path) -> bool:
        """Fetch what a file lacks; return whether it then has the right bytes. If not, it is removed."""
        hashed = hashlib.sha256()
        with partial.open("a+b") as sink:
            sink.seek(0)
            while block := sink.read(_BLOCK):
                hashed.update(block)
            if sink.tell() > file.size:
                sink.truncate(0)
                hashed = hashlib.sha256()
            for block in self._store.blocks(self._place.key(file.path), file.size, sink.tell()):
                if self._stopped.is_set():
                    raise Cancelled("The fetch was stopped.")
                hashed.update(block)
                sink.write(block)
        if hashed.hexdigest() == file.sha256:
            return True
        partial.unlink()
        return False

    def _count(self, file: IndexedFile, *, found: bool = False, replaced: bool = False) -> None:
        with self._lock:
            state = self._state
            if file.kind not in _WITHOUT_VERSION:
                self.verified[self._out / file.path] = file.sha256
            self._state = replace(
                state,
                done=state.done + 1,
                done_bytes=state.done_bytes + file.size,
                found=state.found + found,
                replaced=(*state.replaced, file.path) if replaced else state.replaced,
            )
            self._on_progress(self._state)


def _choose(found: DatasetManifest, pairs: Collection[Pair]) -> list[PairEntry]:
    """Return the pairs to fetch, in the order of the dataset."""
    if not pairs:
        return list(found.pairs)
    wanted = {name for pair in pairs for name in (pair.id, pair.mirrored)}
    known = {entry.id for entry in found.pairs}
    unknown = [pair.id for pair in pairs if not known & {pair.id, pair.mirrored}]
    if unknown:
        raise InvalidInput(
            f"The dataset {found.name} has no pair {', '.join(unknown[:_NAMED])}. It has {len(known)} pairs, such as "
            f"{', '.join(sorted(known)[:_NAMED])}.",
            reason="FETCH",
        )
    return [entry for entry in found.pairs if entry.id in wanted]


def index_of_entry(store: Store, place: DatasetPlace, entry: PairEntry) -> PairIndex:
    """Read the index of a pair.

    Raises:
        DataLoss: it is damaged, or not the one that the manifest names (DATASET_CHANGED).
    """
    found = place.index(store, entry.id)
    if found is None or found[1] != entry.index:
        raise DataLoss(
            f"Expected the index of the pair {entry.id} in {place.uri} as the manifest names it. Found "
            f"{'another one' if found else 'none'}: a later run was stopped. Run the dataset again.",
            reason="DATASET_CHANGED",
            resource=place.key(place.index_path(entry.id)),
        )
    return found[0]


def _remove_dropped(
    out: Path, found: DatasetManifest, indexes: Sequence[PairIndex], place: DatasetPlace
) -> tuple[str, ...]:
    """Remove what an earlier fetch left of fakes that gates have dropped since, and return the paths.

    If none is dropped, neither is there a list of them.
    """
    layout = GROUP.find(found.layout)(out)
    dropped = dropped_file(layout)
    if dropped.relative_to(out).as_posix() not in {file.path for file in found.files}:
        dropped.unlink(missing_ok=True)
    removed = []
    for index in indexes:
        kinds = {file.kind for file in index.files}
        for fake in (fake.id for fake in index.fakes if fake.dropped):
            _check_segments([*kinds, fake], place)
            for path in (
                *(layout.fake_video(kind, fake) for kind in kinds),
                *(layout.mask_video(kind, fake) for kind in MASKS),
                layout.labels(fake),
            ):
                if path.is_file():
                    path.unlink()
                    removed.append(path.relative_to(out).as_posix())
    return tuple(sorted(removed))


def _of_kinds(
    listed: Iterable[IndexedFile], only: Collection[str], if_there: Collection[str], place: DatasetPlace
) -> list[IndexedFile]:
    """Return the files of the wanted kinds, by path, after a check of all paths."""
    listed = sorted(listed, key=lambda file: file.path)
    for file in listed:
        _check_segments(file.path.split("/"), place)
    kinds = {file.kind for file in listed}
    if unknown := set(only) - kinds:
        raise InvalidInput(
            f"{place.uri} has no files of the kind {', '.join(sorted(unknown))}. It has {', '.join(sorted(kinds))}.",
            reason="FETCH",
        )
    return [file for file in listed if not only or file.kind in {*only, *if_there, LISTS}]


def _check_segments(segments: Sequence[str], place: DatasetPlace) -> None:
    """Refuse what could lead out of the folder."""
    if {".", ".."} & set(segments) or not all(map(_SEGMENT.fullmatch, segments)):
        message = f"Expected paths of files in the index of {place.uri}. Received {'/'.join(segments)!r}."
        raise DataLoss(message, reason="BAD_DOCUMENT", resource=place.uri)


def _check_space(out: Path, chosen: Sequence[IndexedFile]) -> None:
    files.make_folder(out)
    need = sum(file.size for file in chosen if not (out / file.path).is_file())
    free = shutil.disk_usage(out).free
    if need > free:
        message = f"Expected {need / 1e9:.1f} GB of free space in {out}. It has {free / 1e9:.1f} GB. Choose another "
        advice = "folder (TMPDIR of an export), or fetch less: --only or --pairs of fetch, --levels of an export."
        raise InvalidInput(message + advice, reason="DISK_SPACE")
