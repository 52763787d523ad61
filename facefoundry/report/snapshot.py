"""Reads the record of a run for its pages. What did not change since the last time is not read again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from facefoundry.checks import balance, leaks
from facefoundry.checks.balance import BalanceReport
from facefoundry.checks.leaks import LeakReport
from facefoundry.dataset.record import PairRecord, RunRecord
from facefoundry.dataset.run_folder import RUN_FILE, pair_file, parse_pair, parse_run
from facefoundry.dataset.samples import samples_of
from facefoundry.dataset.splits import split_files
from facefoundry.report.source import Source, Version

__all__ = ["Snapshot", "Snapshots"]


@dataclass(frozen=True)
class Snapshot:
    """The record of a run at one time.

    Attributes:
        run: The record of the run.
        pairs: The records of its pairs, in order, without losses and labels.
        saved: When the record of each pair was written, seconds since 1970; pending pairs are missing.
        run_saved: When the record of the run was written.
        changed: Ids of the pairs whose records were read for this snapshot.
        leaks: The result of the leak test; None if there is none.
        balance: The result of the check of the balance; None if there is none.
        splits: The split of each pair; empty without splits.
        version: A text that changes with the content.
    """

    run: RunRecord
    pairs: list[PairRecord]
    saved: Mapping[str, float]
    run_saved: float
    changed: frozenset[str]
    leaks: LeakReport | None = None
    balance: BalanceReport | None = None
    splits: Mapping[str, str] = field(default_factory=dict)
    version: str = ""


class Snapshots:
    """Reads snapshots of one dataset, each on top of the one before. One thread at a time may call `load`.

    Args:
        source: The files of the dataset.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._run: tuple[Version, RunRecord] | None = None
        self._pairs: dict[str, tuple[Version, PairRecord]] = {}

    def load(self) -> Snapshot:
        """Read the record.

        Raises:
            NotFound: there is no run record.
            InvalidInput: the run record has another format or a wrong field; the message names it.
            Unusable: a newer version of FaceFoundry wrote it (NEWER_FORMAT).
        """
        versions = self._source.versions()
        run = self._load_run(versions[RUN_FILE])
        changed = self._load_pairs(run, versions)
        known = {pair_id: self._pairs[pair_id] for pair_id in run.pairs if pair_id in self._pairs}
        leaks_found, balance_found, splits = self._leaks(), self._balance(), self._splits()
        tags = frozenset((name, version.tag) for name, version in versions.items())
        return Snapshot(
            run=run,
            pairs=[known[pair_id][1] if pair_id in known else _pending(pair_id) for pair_id in run.pairs],
            saved={pair_id: version.modified for pair_id, (version, _) in known.items()},
            run_saved=versions[RUN_FILE].modified,
            changed=frozenset(changed),
            leaks=leaks_found,
            balance=balance_found,
            splits=splits,
            version=str(hash((tags, repr(leaks_found), repr(balance_found), tuple(splits.items())))),
        )

    def pair(self, snapshot: Snapshot, pair_id: str) -> PairRecord:
        """Read the whole record of a pair, with losses, labels and the paths of its pictures.

        It raises the errors of `load`.
        """
        name = pair_file(pair_id)
        pair = parse_pair(self._source.record(name), pair_id, f"{self._source.place}: {name}")
        pair.id = pair_id
        self.add_samples(snapshot, pair)
        return pair

    def add_samples(self, snapshot: Snapshot, pair: PairRecord) -> None:
        """Name the sample pictures that the record does not name, because a run into a bucket wrote it."""
        for fake in pair.fakes:
            if not fake.samples and (found := self._source.samples(fake.id)):
                sequence = snapshot.run.sequences.get(fake.source)
                faces = [views[""] for views in self._source.samples(fake.source).values() if "" in views]
                fake.samples = samples_of(found, (sequence.samples if sequence else []) or faces)

    def _load_run(self, version: Version) -> RunRecord:
        if self._run is None or self._run[0] != version:
            data = self._source.record(RUN_FILE) or b""
            self._run = version, parse_run(data, f"{self._source.place}: {RUN_FILE}")
        return self._run[1]

    def _load_pairs(self, run: RunRecord, versions: Mapping[str, Version]) -> set[str]:
        """Read the records of pairs that changed, and return their ids."""
        wanted = {pair_id: versions[name] for pair_id in run.pairs if (name := pair_file(pair_id)) in versions}
        self._pairs = {pair_id: kept for pair_id, kept in self._pairs.items() if pair_id in wanted}
        changed = [
            pair_id
            for pair_id, version in wanted.items()
            if pair_id not in self._pairs or self._pairs[pair_id][0] != version
        ]
        records = self._source.records([pair_file(pair_id) for pair_id in changed])
        for pair_id, data in zip(changed, records, strict=True):
            pair = parse_pair(data, pair_id, f"{self._source.place}: {pair_file(pair_id)}")
            pair.id = pair_id  # it becomes part of links, and was checked
            pair.training.losses = []
            for fake in pair.fakes:
                fake.labels = []
            self._pairs[pair_id] = wanted[pair_id], pair
        return set(changed)

    def _leaks(self) -> LeakReport | None:
        data = self._source.record(leaks.path_of(self._source.layout).name)
        return leaks.parse(data) if data else None

    def _balance(self) -> BalanceReport | None:
        data = self._source.record(balance.path_of(self._source.layout).name)
        return balance.parse(data) if data else None

    def _splits(self) -> dict[str, str]:
        """Return the split of each pair, by its id, in both orders."""
        found = dict[str, str]()
        for split, path in split_files(self._source.layout).items():
            data = self._source.list_file(path)
            with suppress(ValueError, TypeError, RecursionError):
                for a, b in json.loads(data) if data else ():
                    found |= {f"{a}_{b}": split, f"{b}_{a}": split}
        return found


def _pending(pair_id: str) -> PairRecord:
    return parse_pair(None, pair_id, "")
