"""Deletes results of ended runs by the retention of their dataset files.

Results are shared: a run finds what another one has stored. So a result is deleted only when every run whose record
names it has ended and no longer keeps it, and when nothing was written to it for as many days, as a training is that
another run goes on with. What no record names is left.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone

from facefoundry.dataset.record import PairRecord, RunRecord
from facefoundry.dataset.run_folder import RUN_FILE, pair_file
from facefoundry.errors import DataLoss, InvalidInput, NotFound
from facefoundry.storage import document, keys
from facefoundry.storage.store import Store

__all__ = ["KINDS", "expire_results"]

KINDS = ("sources", "extractions", "trainings", "models", "conversions")
"""The kinds of results that a retention names."""

_RUN = re.compile(rf"runs/[^/]+/{re.escape(RUN_FILE)}")
_MANIFEST = "manifest.json"
_BATCH = 1000


def _now() -> datetime:
    return datetime.now(timezone.utc)


def expire_results(store: Store, now: Callable[[], datetime] = _now) -> dict[str, int]:
    """Delete the results that no run keeps any more.

    Args:
        store: The bucket.
        now: Returns the time, UTC.

    Returns:
        How many results of each kind were deleted.

    Raises:
        DataLoss: the record of a run is damaged or incomplete, so nobody knows what it keeps; nothing is deleted.
        Unusable: the same of a record that a newer version wrote (NEWER_FORMAT).
    """
    time, counts = now(), Counter(dict.fromkeys(KINDS, 0))
    for prefix, days in sorted(_expired(store, time).items()):
        if _delete(store, prefix, time - timedelta(days=days)):
            counts[prefix.partition("/")[0]] += 1
    return dict(counts)


def _expired(store: Store, time: datetime) -> dict[str, int]:
    """Return the prefixes of results that some run names and none keeps, with the most days that one kept it."""
    kept, expired = set[str](), dict[str, int]()
    for found in store.objects("runs/"):
        if not _RUN.fullmatch(found.key) or found.modified is None:
            continue
        folder = found.key.removesuffix(f"/{RUN_FILE}")
        try:
            record = document.get(store, found.key, RunRecord)
        except NotFound:  # deleted since it was listed
            continue
        has_ended = record.done + len(record.failures) >= len(record.pairs)
        for prefix in _results(store, folder, record, has_ended=has_ended):
            days = record.retention.get(prefix.partition("/")[0])
            if days is None or not has_ended or time < found.modified + timedelta(days=days):
                kept.add(prefix)
            else:
                expired[prefix] = max(days, expired.get(prefix, 0))
    return {prefix: days for prefix, days in expired.items() if prefix not in kept}


def _results(store: Store, folder: str, record: RunRecord, *, has_ended: bool) -> Iterator[str]:
    """Yield the prefixes of the results that a run's record names. A run that has ended has files of all its pairs."""
    uris = [uri for each in record.sequences.values() for uri in (each.source_uri, each.extraction_uri)]
    for pair_id in record.pairs:
        key = f"{folder}/{pair_file(pair_id)}"
        try:
            pair = document.get(store, key, PairRecord)
        except NotFound as error:
            if has_ended:
                raise DataLoss(
                    f"Expected {key}, because all pairs in {folder}/{RUN_FILE} have ended. Found none, so it is not "
                    f"known what the run keeps. Run its dataset again, or delete {folder}/{RUN_FILE}.",
                    reason="BAD_DOCUMENT",
                    resource=key,
                ) from error
            continue
        uris += [pair.training.uri, pair.training.model_uri, *(fake.uri for fake in pair.fakes)]
        if other := pair.retraining:
            uris += [other.training.uri, other.training.model_uri, *(fake.uri for fake in other.fakes)]
    for uri in uris:
        try:
            yield keys.prefix_of(store.bucket, uri, KINDS)
        except InvalidInput:  # empty, or an imported model, which its owner keeps
            continue


def _delete(store: Store, prefix: str, before: datetime) -> bool:
    """Delete a result, first its manifest, so that readers see all of it or nothing.

    Args:
        store: The bucket.
        prefix: Prefix of the result.
        before: The time before which all its objects must have been written.

    Returns:
        Whether there was such a result.
    """
    found = store.objects(f"{prefix}/")
    if not found or any(each.modified is None or each.modified >= before for each in found):
        return False
    manifest = f"{prefix}/{_MANIFEST}"
    store.delete([manifest])
    parts = [each.key for each in found if each.key != manifest]
    for start in range(0, len(parts), _BATCH):
        store.delete(parts[start : start + _BATCH])
    return True
