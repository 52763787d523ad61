"""Writes an export: only what is not there yet, in parallel, with a record from which it can be continued."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Final

from facefoundry import codec
from facefoundry.errors import InvalidInput
from facefoundry.exports.dataset import Dataset
from facefoundry.exports.export import Export, O, Request
from facefoundry.exports.hashing import item_digest
from facefoundry.exports.making import make_all, name_of, outputs_of
from facefoundry.exports.place import ExportPlace
from facefoundry.exports.plan import Copied, Item, Made, Plan, Written
from facefoundry.exports.record import RECORD, ExportRecord, ItemRecord, parse_record

__all__ = ["Exported", "export_dataset"]

_SAVE_SECONDS: Final = 2.0
_HASHING: Final = 4


@dataclass(frozen=True)
class Exported:
    """How far an export is, or what it did.

    Attributes:
        record: The record in `export.json`.
        items: Number of items of the export.
        size: Bytes that are expected to be written in this run.
        free: Bytes that can be written there; None if nobody can say.
        done: Number of items that are there.
        found: How many of them were there before.
        removed: The paths that were removed, because the dataset no longer has what they were made of.
        failed: A sentence for each item that could not be made.
    """

    record: ExportRecord
    items: int
    size: int
    free: int | None
    done: int = 0
    found: int = 0
    removed: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


def export_dataset(
    export: Export[O],
    dataset: Dataset,
    place: ExportPlace,
    *,
    levels: Sequence[str] = (),
    options: O | None = None,
    update: bool = False,
    dry_run: bool = False,
    processes: int | None = None,
    on_start: Callable[[Exported], object] = lambda _: None,
    on_progress: Callable[[Exported], object] = lambda _: None,
) -> Exported:
    """Write an export of a dataset. What is there from an earlier run is not made again.

    A run that is stopped leaves `export.json`; the same call continues it.

    Args:
        export: The format.
        dataset: The dataset.
        place: Where the export goes: an empty place, or one with an export of the same dataset.
        levels: Names of the levels to export; by default all that the dataset has videos of.
        options: The options of the format; by default its defaults.
        update: Whether to write what has changed, and to remove what is gone, where the export there has another
            version of the dataset, other levels or other options.
        dry_run: Whether to end before anything is written.
        processes: Number of items that are made at once; by default one for each core.
        on_start: Called once it is known what there is to do.
        on_progress: Called after each item, by one thread at a time.

    Raises:
        InvalidInput: the format cannot hold the dataset; the place has other files, or another export (EXPORT); there
            is no such level (LEVEL); the disk has too little space (DISK_SPACE); or libraries are missing
            (EXTRA_MISSING).
    """
    chosen = _levels(export, dataset, levels)
    wanted = options if options is not None else export.options()
    data = place.read_record()
    before = parse_record(data, f"{place.shown}/{RECORD}") if data is not None else None
    earlier = before.items if before else {}
    new = ExportRecord(export.name, dataset.name, dataset.version, chosen, codec.to_values(wanted))
    _refuse_other(before, new, place, update=update)
    plan = export.plan(dataset, Request(chosen, wanted, before.numbers if before else {}))
    _check_outputs(export, plan)
    with ThreadPoolExecutor(_HASHING, thread_name_prefix="hash") as pool:
        digests = list(pool.map(lambda item: item_digest(item, dataset.sha256, export.revision), plan.items))
    named = {name_of(item): (item, digest) for item, digest in zip(plan.items, digests, strict=True)}
    kept = {
        name: done
        for name, done in earlier.items()
        if name in named and named[name][1] == done.digest and done.files == _count(place, done.outputs)
    }
    todo = [item for name, (item, _) in named.items() if name not in kept]
    gone = _gone(earlier, plan.items)
    items = kept | _unfinished(earlier, todo, kept)
    new = replace(new, numbers=dict(plan.numbers), items=items, left_out=plan.left_out, remarks=plan.remarks)
    state = Exported(new, len(named), _size(todo), place.free(), len(kept), len(kept))
    on_start(state)
    _check_space(state, place)
    if dry_run:
        return state
    if any(isinstance(item, Made) for item in todo):
        _require_libraries(export)
    with place.lock():
        if place.read_record() != data:
            message = f"Another export to {place.shown} has ended just now. Run the command again."
            raise InvalidInput(message, reason="EXPORT")
        run = _Run(export, place, state, on_progress)
        return run.run(todo, {name: digest for name, (_, digest) in named.items()}, gone, processes)


class _Run:
    """Makes the items, and keeps the record."""

    def __init__(
        self, export: Export[O], place: ExportPlace, state: Exported, on_progress: Callable[[Exported], object]
    ) -> None:
        self._modules, self._place, self._state, self._on_progress = export.modules, place, state, on_progress
        self._items = dict(state.record.items)

    def run(
        self, todo: Sequence[Item], digests: Mapping[str, str], gone: Sequence[str], processes: int | None
    ) -> Exported:
        """Remove what is gone, make what is to do, and write the record, also if it is stopped.

        Until a file is removed or replaced, the record names it: whatever stops this run, the next one finds it.
        """
        self._save(complete=False)
        try:
            for path in gone:
                self._place.remove(path)
            self._items = {name: item for name, item in self._items.items() if name in digests}
            self._state = replace(self._state, removed=tuple(gone))
            # An index comes after what it names.
            self._make([item for item in todo if not isinstance(item, Written)], digests, processes)
            self._make([item for item in todo if isinstance(item, Written)], digests, processes)
        except BaseException:
            self._save(complete=False)
            raise
        self._save(complete=not self._state.failed)
        return self._state

    def _make(self, todo: Sequence[Item], digests: Mapping[str, str], processes: int | None) -> None:
        saved = time.monotonic()
        with (
            self._place.working_folder() as folder,
            closing(make_all(todo, self._place, folder, self._modules, processes)) as made,
        ):
            for item, error in made:
                name = name_of(item)
                if error:
                    for path in outputs_of(item):  # of another version of the dataset
                        if self._place.count(path):
                            self._place.remove(path)
                    self._state = replace(self._state, failed=(*self._state.failed, f"{name}: {error.message}"))
                    continue
                outputs = outputs_of(item)
                self._items[name] = ItemRecord(digests[name], outputs, _count(self._place, outputs))
                self._state = replace(self._state, done=self._state.done + 1)
                self._on_progress(self._state)
                if time.monotonic() > saved + _SAVE_SECONDS:
                    self._save(complete=False)
                    saved = time.monotonic()

    def _save(self, *, complete: bool) -> None:
        record = replace(self._state.record, items=dict(sorted(self._items.items())))
        record = record.completed() if complete else record
        self._place.write(RECORD, codec.to_standard_json(record))
        self._state = replace(self._state, record=record)


def _levels(export: Export[O], dataset: Dataset, levels: Sequence[str]) -> tuple[str, ...]:
    """Return the levels to export, in the order of the recipe."""
    known = dataset.levels
    if export.one_level and not levels:
        levels = [level for level in export.one_level if level in known][:1] or [export.one_level[0]]
    if export.one_level and len(levels) > 1:
        message = f"Expected one level, as {export.name} holds one. Received {', '.join(levels)}. Export each apart."
        raise InvalidInput(message, reason="LEVEL")
    unknown = [level for level in levels if level not in known]
    if unknown or not known:
        raise InvalidInput(
            f"Expected levels of {dataset.layout.root}: {', '.join(known) or 'it has no videos of fakes'}. Received "
            f"{', '.join(unknown) or 'none'}.",
            reason="LEVEL",
        )
    return tuple(level for level in known if not levels or level in levels)


def _refuse_other(before: ExportRecord | None, new: ExportRecord, place: ExportPlace, *, update: bool) -> None:
    """Refuse a place with other files, with another export, or, without `update`, with one of other contents."""
    if before is None:
        if not place.is_empty():
            message = f"Expected an empty place, or an export with {RECORD}. {place.shown} has other files. Choose "
            raise InvalidInput(f"{message}another place.", reason="EXPORT")
        return
    if (before.export, before.dataset) != (new.export, new.dataset):
        raise InvalidInput(
            f"Expected an export of {new.dataset} as {new.export} in {place.shown}, or none. Found one of "
            f"{before.dataset} as {before.export}. Choose another place.",
            reason="EXPORT",
        )
    differing = [
        name
        for name, old, now in (
            ("version of the dataset", before.dataset_version, new.dataset_version),
            ("levels", before.levels, new.levels),
            ("options", before.options, new.options),
        )
        if old != now
    ]
    if differing and not update:
        raise InvalidInput(
            f"The export in {place.shown} has another {' and other '.join(differing)}. Add --update to write what has "
            "changed and to remove what is gone, or choose another place.",
            reason="EXPORT",
        )


def _check_outputs(export: Export[O], plan: Plan) -> None:
    """Refuse a plan with two items of one name or of one output, which is a mistake of the format."""
    for kind, values in (
        ("items", [name_of(item) for item in plan.items]),
        ("outputs", [path for item in plan.items for path in outputs_of(item)]),
    ):
        if len(set(values)) != len(values) or RECORD in values:
            raise ValueError(f"Expected {kind} of {export.name} that differ, and none called {RECORD}.")


def _gone(before: Mapping[str, ItemRecord], items: Iterable[Item]) -> list[str]:
    """Return the outputs of an earlier export that the plan does not have."""
    now = {path for item in items for path in outputs_of(item)}
    return sorted({path for done in before.values() for path in done.outputs} - now)


def _unfinished(
    before: Mapping[str, ItemRecord], todo: Sequence[Item], kept: Mapping[str, ItemRecord]
) -> dict[str, ItemRecord]:
    """Return the records of all items of which files may be there that are not those of the plan."""
    outputs = {name: set(done.outputs) for name, done in before.items() if name not in kept}
    for item in todo:
        outputs.setdefault(name_of(item), set()).update(outputs_of(item))
    return {name: ItemRecord("", tuple(sorted(paths))) for name, paths in outputs.items()}


def _count(place: ExportPlace, outputs: Iterable[str]) -> int:
    return sum(map(place.count, outputs))


def _size(items: Iterable[Item]) -> int:
    return sum(
        len(item.data)
        if isinstance(item, Written)
        else item.source.stat().st_size
        if isinstance(item, Copied)
        else item.size
        for item in items
    )


def _check_space(state: Exported, place: ExportPlace) -> None:
    if state.free is not None and state.size > state.free:
        raise InvalidInput(
            f"Expected {state.size / 1e9:.1f} GB of free space in {place.shown}. It has {state.free / 1e9:.1f} GB. "
            "Choose another place, or fewer levels.",
            reason="DISK_SPACE",
        )


def _require_libraries(export: Export[O]) -> None:
    missing = [name for name in export.libraries if importlib.util.find_spec(name) is None]
    if missing:
        message = f"Expected the packages that {export.name} needs. {', '.join(missing)} cannot be imported. "
        raise InvalidInput(f"{message}Install them: pip install {export.install}.", reason="EXTRA_MISSING")
