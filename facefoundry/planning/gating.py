"""Holds the fakes of a dataset that exists to gates, and says what a run would do with them. It changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from facefoundry.dataset import verdict
from facefoundry.dataset.gates import Action, Gate, actions
from facefoundry.dataset.layouts import layout_of
from facefoundry.dataset.record import FakeRecord, PairRecord, RunRecord
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.errors import NotFound
from facefoundry.planning.stored_run import stored_records
from facefoundry.storage.store import Store

__all__ = ["Gated", "gated", "load"]


@dataclass(frozen=True)
class Gated:
    """A fake that does not pass the gates.

    Attributes:
        fake: Its id.
        outcome: What a run would do. A pair of which either fake asks for it is trained once more, unless it was
            trained twice or its model was given. Otherwise the fake is dropped if a gate that it fails drops, and is
            flagged if not.
        faults: Why, as ends of sentences that begin with the id.
        measures: Name, value and bar of each measure that it does not pass.
    """

    fake: str
    outcome: Action
    faults: tuple[str, ...]
    measures: tuple[tuple[str, float, float], ...]


def load(place: str, store: Store | None) -> tuple[RunRecord, list[PairRecord]]:
    """Read the record of a run.

    Args:
        place: The output folder of the run, or its name in the bucket.
        store: The bucket; None without keys of it.

    Raises:
        NotFound: there is no such record (NO_RUN).
        InvalidInput: the record has another format or a wrong field, or the name is not valid.
        Unusable: a newer version of FaceFoundry wrote it (NEWER_FORMAT).
    """
    if Path(place).is_dir():
        folder = RunFolder(layout_of(Path(place)).run_folder())
        return folder.load_run(), list(folder.load_pairs())
    found = stored_records(store, place) if store is not None else None
    if found is None:
        where = "the bucket" if store is not None else "a bucket, as no keys of the object store are set"
        message = (
            "Expected the output folder of a run, or the name of one whose record is in the bucket. Received "
            f"{place!r}: no such folder, and no such run in {where}. Check the name, or set "
            "FACEFOUNDRY_STORE_ACCESS_KEY and FACEFOUNDRY_STORE_SECRET_KEY."
        )
        raise NotFound(message, reason="NO_RUN", resource=place)
    return found


def gated(pairs: Sequence[PairRecord], gates: Sequence[Gate]) -> Iterator[Gated]:
    """Yield the fakes that do not pass gates, in order. The records are judged again, and hold the new verdict.

    Args:
        pairs: The pairs of a run.
        gates: The gates.
    """
    for pair in pairs:
        for fake in pair.fakes:
            verdict.judge(fake, gates)
        for fake in pair.fakes:
            if fake.failed:
                measures = tuple((failed.measure, failed.value, failed.bar) for failed in fake.failed)
                yield Gated(fake.id, _outcome(pair, fake), tuple(fake.faults), measures)


def _outcome(pair: PairRecord, fake: FakeRecord) -> Action:
    may_retrain = pair.training.uri and pair.retraining is None
    if may_retrain and "retrain" in actions(gate for each in pair.fakes for gate in each.failed):
        return "retrain"
    return "drop" if "drop" in actions(fake.failed) else "flag"
