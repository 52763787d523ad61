"""Reads the record and the log of a run from the bucket, from anywhere."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from facefoundry.dataset.record import Failure, PairRecord, RunRecord
from facefoundry.dataset.run_folder import RUN_FILE, pair_file
from facefoundry.dataset.run_log import LOG_FILE, LogRecord
from facefoundry.errors import NotFound
from facefoundry.storage import document, keys
from facefoundry.storage.store import Store

__all__ = ["StoredRun", "stored_log", "stored_records", "stored_run"]

_THREADS = 16  # that read records of pairs


@dataclass(frozen=True)
class StoredRun:
    """How far a run was when its record was last saved.

    Attributes:
        name: Name of the run.
        created: When it was started, ISO 8601; again by each pod that follows another one.
        seconds: How long it has worked since then.
        pairs: Number of pairs.
        done: Number of pairs that are done, those that were found done among them.
        failures: Why pairs failed, by the id of the pair.
        version: The version of the dataset; empty until all pairs have ended.
        rights_end: Last day of those rights to clips that end first, ISO 8601; empty if none of them ends.
    """

    name: str
    created: str
    seconds: float
    pairs: int
    done: int
    failures: dict[str, Failure] = field(default_factory=dict)
    version: str = ""
    rights_end: str = ""


def stored_run(store: Store, name: str) -> StoredRun | None:
    """Return the record of a run; None if the bucket has none.

    Raises:
        InvalidInput: the name is not valid.
        DataLoss: the record is damaged.
        Unusable: a newer version of FaceFoundry wrote it (NEWER_FORMAT).
    """
    record = _run_record(store, name)
    if record is None:
        return None
    counts = record.seconds, len(record.pairs), record.done, record.failures
    return StoredRun(name, record.created, *counts, record.dataset_version, record.rights_end)


def stored_records(store: Store, name: str) -> tuple[RunRecord, list[PairRecord]] | None:
    """Return the record of a run with those of its pairs; None if the bucket has none.

    A pair that has not ended has no record in the bucket, and a pending one here. Errors are as in `stored_run`.
    """
    record = _run_record(store, name)
    if record is None:
        return None

    def pair_of(pair_id: str) -> PairRecord:
        key = f"{keys.run(name)}/{pair_file(pair_id)}"
        try:
            return document.parse(PairRecord, store.get_bytes(key), key)
        except NotFound:
            a, _, b = pair_id.partition("_")
            return PairRecord(pair_id, a, b)

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="record") as pool:
        return record, list(pool.map(pair_of, record.pairs))


def _run_record(store: Store, name: str) -> RunRecord | None:
    key = f"{keys.run(name)}/{RUN_FILE}"
    try:
        return document.parse(RunRecord, store.get_bytes(key), key)
    except NotFound:
        return None


def stored_log(store: Store, name: str) -> LogRecord | None:
    """Return the log of a run as it was when the record was last saved; None if the bucket has none.

    Raises:
        InvalidInput: the name is not valid.
        DataLoss: the log is damaged.
        Unusable: a newer version of FaceFoundry wrote it (NEWER_FORMAT).
    """
    try:
        return document.get(store, f"{keys.run(name)}/{LOG_FILE}", LogRecord)
    except NotFound:
        return None
