"""Reads a finished dataset for exports: its real videos and fakes, labels, splits, levels and alignments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from google.protobuf import json_format

from facefoundry import codec
from facefoundry.checks.videos import levels_of
from facefoundry.dataset.dropped import dropped_file, read_dropped
from facefoundry.dataset.file_digests import FileDigests, sha256_of
from facefoundry.dataset.labels import Labels
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.layouts import layout_of
from facefoundry.dataset.plan import Pair, read_filelist
from facefoundry.dataset.record import RunRecord, SequenceRecord
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.dataset.splits import Split, split_files, splits_folder
from facefoundry.dataset.version_places import folder_index
from facefoundry.errors import InvalidInput, NotFound
from facefoundry.recipes import ranges
from facefoundry.v1 import recipe_pb2

__all__ = ["Dataset", "Fake", "Sound", "load_dataset"]

_NAMED = 5

FetchAlignments = Callable[[Mapping[str, SequenceRecord]], Mapping[str, Path]]
"""Fetches the alignments of sequences, given their records by id, and returns the files."""


@dataclass(frozen=True)
class Sound:
    """The sound of a clip.

    Attributes:
        path: A file with it, in step with the frames of the dataset's videos; None if there is none.
        reason: Why there is none, as the end of a sentence.
    """

    path: Path | None
    reason: str = ""


FetchSounds = Callable[[Mapping[str, SequenceRecord]], Mapping[str, Sound]]
"""Fetches the sound of sequences from their stored clips, given their records by id."""


@dataclass(frozen=True)
class Fake:
    """A fake: the target's frames with the source's face.

    Attributes:
        id: `<target>_<source>`.
        target: Id of the sequence whose frames it keeps.
        source: Id of the sequence that gives the face.
        labels: Its labels. It has at least one swapped frame.
    """

    id: str
    target: str
    source: str
    labels: Labels


@dataclass(frozen=True)
class Dataset:
    """A finished dataset on disk.

    Attributes:
        layout: Names the paths of its files.
        record: The record of the run that made it.
        fakes: The fakes, by id. Those that gates dropped, and those without a swapped frame, are no part of it.
        splits: The pairs of each split that have a fake. Without splits, all pairs are in `train`.
        left_out: A sentence for each fake or pair that is no part of it.
        remarks: Sentences on fakes with few swapped frames, on missing splits, and on a run that has not ended.
        fetch_alignments: Gets the alignments of sequences.
        fetch_sounds: Gets the sound of sequences.
        whole_version: The version of the dataset of which this is a part; empty if it is computed from the files.
        keep_digests: Whether digests of files that are read are kept in the dataset's folder.
    """

    layout: Layout
    record: RunRecord
    fakes: Mapping[str, Fake]
    splits: Mapping[Split, tuple[Pair, ...]]
    left_out: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    fetch_alignments: FetchAlignments = field(repr=False, default=lambda _: {})
    fetch_sounds: FetchSounds = field(repr=False, default=lambda _: {})
    whole_version: str = ""
    keep_digests: bool = True

    @property
    def name(self) -> str:
        """Name of the run that made it."""
        return self.record.name

    @cached_property
    def version(self) -> str:
        """The version of the dataset, also if only a part of it was fetched."""
        return self.whole_version or folder_index(self.layout, self._digests).version

    def sha256(self, path: Path) -> str:
        """Return the SHA-256 of a file of the dataset or of alignments. It is read unless its digest is known.

        Raises:
            OSError: the file cannot be read.
        """
        return self._digests.of(path) if path.is_relative_to(self.layout.root) else sha256_of(path)

    @cached_property
    def _digests(self) -> FileDigests:
        return FileDigests(self.layout, keep=self.keep_digests)

    @property
    def sequences(self) -> tuple[str, ...]:
        """The ids of the real videos: the targets and sources of all fakes, sorted."""
        return tuple(sorted({id_ for fake in self.fakes.values() for id_ in (fake.target, fake.source)}))

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all videos: of the real ones, then of the fakes."""
        return (*self.sequences, *self.fakes)

    @property
    def levels(self) -> tuple[str, ...]:
        """Names of the levels at which there are videos of fakes, in the order of the recipe."""
        fakes = list(self.fakes)
        names = levels_of(self.layout)
        return tuple(name for name in names if any(self.layout.fake_video(name, id_).is_file() for id_ in fakes))

    def video(self, level: str, id_: str) -> Path:
        """Return the path of a real video or of a fake at a level."""
        layout = self.layout
        return layout.fake_video(level, id_) if id_ in self.fakes else layout.real_video(level, id_)

    def split_of(self, id_: str) -> Split:
        """Return the split of a sequence or of a fake."""
        return self._split_by_id[id_.partition("_")[0]]

    def fakes_of(self, target: str) -> tuple[Fake, ...]:
        """Return the fakes that keep the frames of a sequence."""
        return tuple(fake for fake in self.fakes.values() if fake.target == target)

    def facts(self, sequence: str) -> SequenceRecord:
        """Return the record of a sequence, which has its frames and frame rate.

        Raises:
            InvalidInput: the run record does not have them (NO_SEQUENCE).
        """
        found = self.record.sequences.get(sequence)
        if found is None or not found.frames or not found.fps:
            message = f"Expected the run record of {self.name} to have the frames and the frame rate of {sequence}. It "
            raise InvalidInput(f"{message}does not. Run the dataset again.", reason="NO_SEQUENCE")
        return found

    def frame_numbers(self, id_: str) -> list[int]:
        """Return the number in the target's clip of each frame of a video.

        With `conversion.discard`, all videos have these frames only: those of the labels of the target's fakes, and
        without any, those of the recipe.
        """
        fake = self.fakes.get(id_) or self._first_fakes.get(id_)
        if fake:
            return [row.frame for row in fake.labels.frames]
        return ranges.frame_numbers(self._ranges, self.facts(id_).frames)

    def paired_both_ways(self) -> Dataset:
        """Return the dataset without pairs that have only one fake, for forms that list pairs without direction.

        Raises:
            InvalidInput: no pair has both (NO_FAKES).
        """
        alone = [id_ for id_, fake in self.fakes.items() if f"{fake.source}_{fake.target}" not in self.fakes]
        reason = "the other fake of its pair is missing, and this format lists whole pairs."
        return self.without(dict.fromkeys(alone, reason))

    def without(self, fakes: Mapping[str, str]) -> Dataset:
        """Return the dataset without some fakes, given why by id, as ends of sentences; their pairs' others stay.

        Raises:
            InvalidInput: no fake is left (NO_FAKES).
        """
        kept = {id_: fake for id_, fake in self.fakes.items() if id_ not in fakes}
        if not kept:
            named = " ".join(f"{id_}: {reason}" for id_, reason in list(fakes.items())[:_NAMED])
            raise InvalidInput(f"The format can hold no fake of {self.name}. {named}", reason="NO_FAKES")
        splits = {
            split: tuple(pair for pair in pairs if {pair.id, pair.mirrored} & set(kept))
            for split, pairs in self.splits.items()
        }
        sentences = (f"{id_}: {reason}" for id_, reason in fakes.items())
        return replace(self, fakes=kept, splits=splits, left_out=tuple(sorted({*self.left_out, *sentences})))

    def alignments(self) -> dict[str, Path]:
        """Fetch the alignments of all real videos, and return their files by id.

        Raises:
            InvalidInput: there are no keys of the store, or it no longer has the alignments of a sequence.
        """
        records = {}
        for id_ in self.sequences:
            found = self.record.sequences.get(id_)
            if found is None or not found.extraction_uri:
                raise InvalidInput(
                    f"Expected the run record of {self.name} to name the extraction of {id_}. It does not. Run the "
                    "dataset again.",
                    reason="NO_ALIGNMENTS",
                )
            records[id_] = found
        return dict(self.fetch_alignments(records))

    def sounds(self) -> dict[str, Sound]:
        """Fetch the sound of the clips of all real videos, and return it by id. Fakes have that of their target.

        Raises:
            InvalidInput: there are no keys of the store, or it no longer has a clip.
        """
        some = {id_ for id_ in self.sequences if self.frame_numbers(id_) != list(range(self.facts(id_).frames))}
        found = dict(self.fetch_sounds({id_: self.facts(id_) for id_ in self.sequences if id_ not in some}))
        return found | {id_: Sound(None, "its videos leave out frames") for id_ in some}

    def require(self, paths: Iterable[Path]) -> None:
        """Check that files exist.

        Raises:
            InvalidInput: some are missing (FILE).
        """
        missing = [path for path in paths if not path.is_file()]
        if missing:
            named = ", ".join(str(path) for path in missing[:_NAMED])
            raise InvalidInput(
                f"The dataset lacks {len(missing):,} files that this export needs, such as {named}. Fetch them, or "
                "choose other levels.",
                reason="FILE",
            )

    @cached_property
    def _first_fakes(self) -> dict[str, Fake]:
        return {fake.target: fake for fake in reversed(list(self.fakes.values()))}

    @cached_property
    def _ranges(self) -> list[ranges.Range]:
        values = {"conversion": self.record.recipe.get("conversion") or {}}
        recipe = json_format.ParseDict(values, recipe_pb2.Recipe(), ignore_unknown_fields=True)
        return ranges.of(recipe.conversion) if recipe.conversion.discard else []

    @cached_property
    def _split_by_id(self) -> dict[str, Split]:
        return {id_: split for split, pairs in self.splits.items() for pair in pairs for id_ in (pair.a, pair.b)}


def load_dataset(
    folder: Path,
    *,
    min_swapped: float = 0.5,
    fetch_alignments: FetchAlignments = lambda _: {},
    version: str = "",
) -> Dataset:
    """Read a dataset.

    Args:
        folder: Its folder.
        min_swapped: Fakes with a smaller share of swapped frames are named in `Dataset.remarks`.
        fetch_alignments: Gets the alignments when an export asks for them.
        version: Version of the dataset of which the folder has a part; empty to compute it.

    Raises:
        InvalidInput: there is no dataset with a run record (NO_RUN), it has no fakes (NO_FAKES), its labels are missing
            (FILE), or a sequence is in two splits (SPLIT).
        DataLoss: labels or a list are damaged (BAD_DOCUMENT).
    """
    layout = layout_of(folder)
    run = RunFolder(layout.run_folder())
    try:
        record = run.load_run()
    except NotFound as error:
        raise InvalidInput(error.message, reason=error.reason) from error
    dropped = {fake.id for fake in read_dropped(dropped_file(layout))}
    left_out = [f"{id_}: a gate left it out of the dataset." for id_ in sorted(dropped)]
    fakes, remarks = dict[str, Fake](), list[str]()
    # The ids were checked when the record was read, and become parts of paths.
    listed = [Pair(*id_.split("_")) for id_ in record.pairs]
    states = {pair.id: run.load_pair(pair.id).state for pair in listed}
    pairs = [pair for pair in listed if states[pair.id] == "done"]
    absent = sorted((id_, states[pair.id]) for pair in listed for id_ in (pair.id, pair.mirrored) if pair not in pairs)
    left_out += [f"{id_}: its pair is {state}." for id_, state in absent if id_ not in dropped]
    if not set(states.values()) <= {"done", "failed"}:
        remarks.append(f"The run has not ended: {len(pairs):,} of {len(listed):,} pairs are done.")
    for id_ in sorted(id_ for pair in pairs for id_ in (pair.id, pair.mirrored) if id_ not in dropped):
        fake = _fake(layout, id_)
        if fake is None:
            left_out.append(f"{id_}: the dataset has no labels of it.")
        elif not fake.labels.swapped:
            left_out.append(f"{id_}: none of its frames is swapped.")
        else:
            fakes[id_] = fake
            if fake.labels.share < min_swapped:
                swapped, frames = len(fake.labels.swapped), len(fake.labels.frames)
                remarks.append(f"{id_}: only {swapped} of {frames} frames are swapped.")
    splits, unsplit = _splits(layout, pairs)
    if unsplit:
        remarks.append("The dataset has no splits: all pairs are in train.")
    splits = {name: tuple(p for p in found if {p.id, p.mirrored} & set(fakes)) for name, found in splits.items()}
    known = {id_ for found in splits.values() for pair in found for id_ in (pair.id, pair.mirrored)}
    for id_ in sorted(set(fakes) - known):
        del fakes[id_]
        left_out.append(f"{id_}: no split has its pair.")
    if not fakes:
        raise InvalidInput(
            f"Expected fakes with labels in {folder}. Received none. {' '.join(left_out[:_NAMED])}", reason="NO_FAKES"
        )
    return Dataset(
        layout,
        record,
        fakes,
        splits,
        tuple(left_out),
        tuple(remarks),
        fetch_alignments=fetch_alignments,
        whole_version=version,
    )


def _fake(layout: Layout, id_: str) -> Fake | None:
    path = layout.labels(id_)
    if not path.is_file():
        return None
    target, _, source = id_.partition("_")
    return Fake(id_, target, source, codec.from_json(Labels, path.read_bytes()))


def _splits(layout: Layout, pairs: Sequence[Pair]) -> tuple[dict[Split, tuple[Pair, ...]], bool]:
    """Read the splits, and return them with whether there were none.

    A pair of the run is kept as the run has it, whichever way round its split names it.
    """
    folder, paths = splits_folder(layout), split_files(layout)
    if not any(path.is_file() for path in paths.values()):
        return {"train": tuple(pairs), "val": (), "test": ()}, True
    found = dict[Split, tuple[Pair, ...]]()
    split_by_id = dict[str, Split]()
    for name, path in paths.items():
        listed = read_filelist(path, may_be_empty=True) if path.is_file() else []
        ids = {id_ for pair in listed for id_ in (pair.id, pair.mirrored)}
        found[name] = tuple(pair for pair in pairs if pair.id in ids)
        for id_ in dict.fromkeys(id_ for pair in listed for id_ in (pair.a, pair.b)):
            other = split_by_id.setdefault(id_, name)
            if other != name:
                raise InvalidInput(
                    f"Expected each sequence in one split. {id_} is in {other} and in {name} of {folder}: a detector "
                    "would be tested on people that it was trained with. Correct the splits.",
                    reason="SPLIT",
                )
    return found, False
