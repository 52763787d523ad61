"""Revokes a clip or a person: tombstones first, then a statement, then datasets, then results, the last ones first.

Whatever stops it, the tombstones block what is left, the statement names it, and the same call finishes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from facefoundry.dataset.statements import ChangedPlace, Statement, load_statement, save_statement
from facefoundry.errors import Conflict, DataLoss, NotFound
from facefoundry.revocation.asked import UNREADABLE, Asked, Recorded, asked_for, recorded
from facefoundry.revocation.derived import REMOVED_FIRST, Derived, Inventory
from facefoundry.revocation.folders import change_folder
from facefoundry.revocation.records import not_reused
from facefoundry.revocation.stored import change_dataset, change_stored_run, delete_all, unfinished_files
from facefoundry.storage import keys
from facefoundry.storage.revocation import Tombstone, bury, digests_in
from facefoundry.storage.store import Store

__all__ = ["Found", "find", "revoke"]

_ROUNDS = 5
_NAMED = 12
_THREADS = 16

Progress = Callable[[str], object]
"""Called with what is removed next: a place, or a prefix."""


@dataclass(frozen=True)
class Found:
    """What there is to remove.

    Attributes:
        statement: What the statement says once that is removed.
        places: The datasets and records of runs that name what is removed, or whose removal was not finished.
        results: The prefixes that are there.
        keys: Other objects: uploads, signing keys, entries of the list of trainings, files of unfinished datasets.
        size: Bytes of the results that are whole.
        unfinished: Prefixes of results without a manifest: nothing says what they are made of.
        damaged: Keys of manifests and records that cannot be read: nobody knows what they are made of, or name.
    """

    statement: Statement
    places: tuple[ChangedPlace, ...]
    results: tuple[str, ...]
    keys: tuple[str, ...]
    size: int
    unfinished: tuple[str, ...]
    damaged: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left to remove."""
        return not (self.places or self.results or self.keys)


def find(store: Store, text: str, folders: Sequence[Path] = ()) -> Found:
    """Find what a revocation removes. Nothing is changed.

    Args:
        store: The bucket, with the keys of its owner.
        text: The URI of a clip below `sources/`, its digest, the SHA-256 of a video, or a subject.
        folders: Folders of datasets that were made of the bucket.

    Raises:
        InvalidInput: it is the URI of something else (URI), or a folder has no run record (NO_RUN).
        NotFound: no clip, no record of rights and no earlier statement is about it (NOTHING_TO_REVOKE).
        DataLoss: the statement, or the rights in a folder, are damaged.
    """
    known, damaged = recorded(store, folders)
    asked = asked_for(text, store.bucket, known)
    before = load_statement(store, Statement.about(asked.revoked))
    return _find(store, asked, before, known, damaged)


def _find(
    store: Store, asked: Asked, before: Statement | None, known: Sequence[Recorded], unread: Sequence[str]
) -> Found:
    inventory, damaged = Inventory(store), set(unread)
    derived = _made_of(inventory, {**(before.digests if before else {}), **asked.digests}, known, damaged)
    digests = dict(derived.digests)
    places = [change for each in known if (change := each.change(digests))]
    if before is None and not (derived.results or places or "rights" in asked.digests.values()):
        raise NotFound(
            f"Expected a clip in {store.uri('sources/')}, or a subject that records of rights name. Found nothing of "
            f"{asked.revoked}. Name folders of datasets with --dataset, or a clip by the SHA-256 of its file.",
            reason="NOTHING_TO_REVOKE",
            resource=asked.revoked,
        )
    # What is left of a result without its document, or with a damaged one, has the digest of what there was.
    without = [*inventory.unfinished, *(key.rpartition("/")[0] for key in inventory.damaged)]
    named = [prefix for prefix in without if prefix.split("/")[1] in digests]
    damaged |= {key for key in inventory.damaged if key.split("/")[1] not in digests}
    statement = (before or Statement.about(asked.revoked)).with_found(
        digests, [*(result.prefix for result in derived.results), *named], places
    )
    left = places if before is None or before.ended else _half_changed(statement, places, known)
    return Found(
        statement,
        tuple(left),
        tuple(_there(store, statement.results)),
        tuple(_others(store, inventory, derived, digests, known)),
        sum(result.size for result in derived.results),
        tuple(prefix for prefix in inventory.unfinished if prefix not in named and not prefix.startswith("trainings/")),
        tuple(sorted(damaged)),
    )


def _made_of(inventory: Inventory, digests: dict[str, str], known: Sequence[Recorded], damaged: set[str]) -> Derived:
    """Return what was made of what has some digests, by manifests and by the records of runs and datasets."""
    while True:
        derived = inventory.made_of(digests)
        digests = dict(derived.digests)
        for each in known:
            digests = {**each.named(digests, damaged), **digests}
        if len(digests) == len(derived.digests):
            return derived


def _half_changed(
    statement: Statement, places: Iterable[ChangedPlace], known: Iterable[Recorded]
) -> list[ChangedPlace]:
    """Return what is left of the places of a statement that has not ended, of those whose records were read."""
    stated, now = ({place.where: place for place in each} for each in (statement.places, places))
    return [
        left
        for each in known
        if each.run and each.where in stated
        if (left := not_reused(stated[each.where], now.get(each.where), each.run, each.rights))
    ]


def revoke(
    store: Store,
    text: str,
    folders: Sequence[Path] = (),
    *,
    with_unfinished: bool = False,
    on_progress: Progress = lambda _: None,
) -> tuple[Statement, bytes]:
    """Remove everything that was made of a clip or of a person's clips, and block that it is made again.

    A call that was stopped is finished by the same call.

    Args:
        store: The bucket, with the keys of its owner.
        text: As in `find`.
        folders: As in `find`.
        with_unfinished: Whether to remove all results without a manifest too, whatever they are made of.
        on_progress: Called with what is removed next.

    Returns:
        The statement of what was removed, and its bytes as they are stored.

    Raises:
        Conflict: running work makes more of it all the time (REVOCATION_RACES).
        DataLoss: records cannot be read or changed; all else was removed, and the statement has not ended
            (BAD_DOCUMENT).
        FaceFoundryError: as in `find`.
    """
    for _ in range(_ROUNDS):
        found = find(store, text, folders)
        _bury(store, found.statement)
        found = find(store, text, folders)  # what was made of it meanwhile
        _bury(store, found.statement)
        unfinished = found.unfinished if with_unfinished else ()
        if found.is_empty and found.statement.ended and not unfinished:
            if found.damaged:
                save_statement(store, replace(found.statement, ended=""))
                raise _not_all(found.statement, found.damaged)
            return found.statement, save_statement(store, found.statement)
        save_statement(store, found.statement)
        failed = _remove(store, found, unfinished, on_progress)
        if failed:
            raise _not_all(found.statement, [*failed, *found.damaged])
        save_statement(store, found.statement.finished())  # unless the next round finds more
    raise Conflict(
        f"Expected that nothing more is made of {found.statement.revoked}. It still is: stop runs and trainings that "
        "use it, and repeat the command.",
        reason="REVOCATION_RACES",
    )


def _bury(store: Store, statement: Statement) -> None:
    """Write a tombstone for each digest that has none."""
    stones = {key.removeprefix("revoked/").removesuffix(".json") for key in store.list("revoked/")}
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    missing = [
        Tombstone(digest, kind, statement.id, now) for digest, kind in statement.digests.items() if digest not in stones
    ]
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="bury") as pool:
        list(pool.map(lambda stone: bury(store, stone), missing))


def _remove(store: Store, found: Found, unfinished: Iterable[str], on_progress: Progress) -> list[str]:
    """Remove what was found, and return which places could not be changed, and why."""
    failed = []
    for place in found.places:
        on_progress(place.where)
        try:
            _change(store, place, found.statement)
        except UNREADABLE as error:
            failed.append(f"{place.where} ({error.message})")
    delete_all(store, list(found.keys))
    prefixes = sorted(found.results, key=lambda prefix: REMOVED_FIRST.index(prefix.partition("/")[0]))
    for prefix in (*prefixes, *unfinished):
        on_progress(prefix)
        _delete_result(store, prefix)
    return failed


def _change(store: Store, place: ChangedPlace, statement: Statement) -> None:
    if place.where.startswith("runs/"):
        change_stored_run(store, place, statement)
    elif place.where.startswith("datasets/"):
        change_dataset(store, place)
    else:
        change_folder(place)


def _not_all(statement: Statement, damaged: Sequence[str]) -> DataLoss:
    more = f" and {len(damaged) - _NAMED} more" if len(damaged) > _NAMED else ""
    return DataLoss(
        f"Expected records that can be read. Received {', '.join(damaged[:_NAMED])}{more}: nobody knows whether they "
        f"name {statement.revoked}. All else was removed, and the statement {statement.key} has not ended. Restore "
        "them or delete their prefixes, and repeat the command.",
        reason="BAD_DOCUMENT",
    )


def _delete_result(store: Store, prefix: str) -> None:
    """Delete a result, first what makes it visible, so that readers see all of it or nothing."""
    first = [f"{prefix}/manifest.json", f"{prefix}/attempt.json"]
    parts = [key for key in store.list(f"{prefix}/") if key not in first]
    store.delete(first)
    delete_all(store, parts)


def _there(store: Store, prefixes: Sequence[str]) -> list[str]:
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="left") as pool:
        left = pool.map(lambda prefix: bool(store.objects(f"{prefix}/", limit=1)), prefixes)
        return [prefix for prefix, is_left in zip(prefixes, left, strict=True) if is_left]


def _others(
    store: Store, inventory: Inventory, derived: Derived, digests: dict[str, str], known: Sequence[Recorded]
) -> list[str]:
    """Return the keys of objects of what is removed that belong to no result."""
    trainings = {digest for digest, kind in digests.items() if kind in ("trainings", "models")}
    found = [key for key in store.list("trainings/index/") if trainings & set(digests_in(key))]
    found += [key for digest in sorted(trainings) if store.exists(key := keys.signing(digest))]
    for prefix in inventory.uploads(digests):
        found += [f"{prefix}.json", *store.list(f"{prefix}/")]
    parts = derived.parts
    for each in known if parts else ():
        if each.run is None:
            found += unfinished_files(store, each.where, parts)
    return found
