"""Checks a dataset before any of it is made: it imports every clip, and looks at the faces in some of its frames.

Clips are checked in parallel. What was found out about a clip is kept in a file of its own beside the dataset file, so
a check that was stopped goes on, and the imports are those that a run needs anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from facefoundry import codec
from facefoundry.dataset import files
from facefoundry.dataset.reading import Reading
from facefoundry.dataset.sources import import_source
from facefoundry.dataset.transfer import Transfers
from facefoundry.errors import DataLoss, InvalidInput, NotFound, Unusable
from facefoundry.planning.clips import SourceClip
from facefoundry.planning.dataset_file import DatasetFile
from facefoundry.planning.estimate import Rates
from facefoundry.planning.facts import ClipFacts, facts_of, features, oddness
from facefoundry.planning.sheet import contact_sheet

__all__ = ["CheckFolder", "Checker", "content_of", "features_of", "known_facts", "reading_of", "signature_of"]

# Errors that are about the clip. All others, such as an outage or an unknown engine, end the check.
_OF_CLIP = (Unusable, DataLoss, NotFound)


@dataclass(frozen=True)
class _Found:
    """The field of `check.json` that is read."""

    rates: Rates = field(default_factory=Rates)


@dataclass(frozen=True)
class CheckFolder:
    """The folder with the results of the check of a dataset file, `<name>.check` beside it."""

    path: Path

    @classmethod
    def of(cls, dataset_file: Path) -> CheckFolder:
        """Return the folder of a dataset file."""
        return cls(dataset_file.with_suffix(".check"))

    def sheet(self, clip_id: str) -> Path:
        """Return the path of a clip's contact sheet."""
        return self.path / "faces" / f"{clip_id}.png"

    def load(self, clip_id: str) -> ClipFacts | None:
        """Return what is known of a clip; None if it was not checked, or its file cannot be read."""
        try:
            return codec.from_json(ClipFacts, self._facts(clip_id).read_bytes())
        except (OSError, DataLoss):
            return None

    def save(self, facts: ClipFacts, sheet: bytes) -> None:
        """Keep what was found out about a clip. The facts are written last, because they say that all is there."""
        if sheet:
            files.write(self.sheet(facts.id), sheet)
        files.write(self._facts(facts.id), codec.to_json(facts))

    def rates(self) -> Rates:
        """Return the rates that the check used; none if there are none, or they cannot be read."""
        try:
            return codec.from_json(_Found, (self.path / "check.json").read_bytes()).rates
        except (OSError, DataLoss):
            return Rates()

    def _facts(self, clip_id: str) -> Path:
        return self.path / "clips" / f"{clip_id}.json"


class Checker:
    """Checks the clips of a dataset with the extractor.

    Args:
        dataset: The dataset.
        transfers: The client of the services, and the connections by which clips come in.
        folder: Where results are kept.
        engine: Name of the engine that searches for faces.
        sample_frames: Number of frames of each clip to search, at most 64.
    """

    def __init__(
        self, dataset: DatasetFile, transfers: Transfers, folder: CheckFolder, engine: str, sample_frames: int
    ) -> None:
        self._reading, self._transfers, self._folder = reading_of(dataset), transfers, folder
        self._engine, self._sample_frames = engine, sample_frames

    def check(
        self, clips: Mapping[str, SourceClip], threads: int, on_clip: Callable[[ClipFacts], None] = lambda _: None
    ) -> dict[str, ClipFacts]:
        """Check clips, and return what was found out about each.

        Args:
            clips: The clips by id.
            threads: Number of clips that are checked at once.
            on_clip: Called with the facts of each clip, from many threads; known ones first.

        Raises:
            FaceFoundryError: a service or the store does not answer.
        """
        self._reading.check(clips)
        asked = (self._engine, self._sample_frames)
        found = known_facts(self._folder, clips, self._reading)
        known = {clip_id: facts for clip_id, facts in found.items() if (facts.engine, facts.sample_frames) == asked}
        for facts in known.values():
            on_clip(facts)

        def check(clip: SourceClip) -> ClipFacts:
            looked_at, sheet = self._look_at(clip)
            facts = replace(looked_at, engine=self._engine, sample_frames=self._sample_frames)
            self._folder.save(facts, sheet)
            on_clip(facts)
            return facts

        with ThreadPoolExecutor(max(1, threads), thread_name_prefix="check") as pool:
            futures = {clip_id: pool.submit(check, clip) for clip_id, clip in clips.items() if clip_id not in known}
            try:
                made = {clip_id: future.result() for clip_id, future in futures.items()}
            except BaseException:
                self._transfers.client.stop()
                for future in futures.values():
                    future.cancel()
                raise
        return {clip_id: known.get(clip_id) or made[clip_id] for clip_id in clips}

    def _look_at(self, clip: SourceClip) -> tuple[ClipFacts, bytes]:
        signature = signature_of(clip, self._reading)
        try:
            source = import_source(self._transfers, clip.clip, self._reading)
        except (InvalidInput, *_OF_CLIP) as error:
            return ClipFacts(clip.id, signature, error.reason, error.message), b""
        try:
            found = self._transfers.client.inspect(source.uri, self._sample_frames, self._engine)
        except _OF_CLIP as error:
            return ClipFacts(clip.id, signature, error.reason, error.message), b""
        facts = facts_of(clip.id, signature, source, found)
        return facts, contact_sheet([sample.largest.picture for sample in found.samples], oddness(facts.samples))


def reading_of(dataset: DatasetFile) -> Reading:
    """Return how the clips of a dataset are read.

    Raises:
        InvalidInput: a frame rate is not a number from 1 to 1000 (FPS).
    """
    rates: dict[str, Fraction] = {}
    for clip_id, text in dataset.frame_rates.items():
        try:
            rates[clip_id] = Fraction(str(text)).limit_denominator(1001)
        except (ValueError, ZeroDivisionError, OverflowError) as error:
            raise _wrong_rate(clip_id, text) from error
        if not 1 <= rates[clip_id] <= 1000:
            raise _wrong_rate(clip_id, text)
    return Reading(rates=rates, tolerate_damage=dataset.tolerate_damage)


def signature_of(clip: SourceClip, reading: Reading) -> str:
    """Return the signature of a clip as it is now. Facts with another one are out of date."""
    stamps = [clip.version] if clip.is_object else _stamps(Path(clip.location))
    rate = reading.rate_of(clip.id, Path(clip.location))
    return " ".join([clip.location, *filter(None, stamps), f"rate={rate} damage={reading.tolerate_damage}"])


def known_facts(folder: CheckFolder, clips: Mapping[str, SourceClip], reading: Reading) -> dict[str, ClipFacts]:
    """Return what a check found out about the clips, by id, without those that changed since then."""
    found = ((clip, folder.load(clip.id)) for clip in clips.values())
    return {clip.id: facts for clip, facts in found if facts and facts.signature == signature_of(clip, reading)}


def features_of(
    facts: Mapping[str, ClipFacts], clips: Iterable[str], engine: str
) -> dict[str, tuple[float, ...]] | None:
    """Return the features of all clips that have faces, for `nearest`; None if a clip was not checked by the engine."""
    found = {clip_id: facts.get(clip_id) for clip_id in clips}
    if not all(known and known.engine == engine for known in found.values()):
        return None
    return {clip_id: row for clip_id, known in found.items() if known and (row := features(known)) is not None}


def content_of(facts: Mapping[str, ClipFacts]) -> dict[str, str]:
    """Return the URI of the stored clip of each clip that could be imported, by id. Equal clips have equal URIs."""
    return {clip_id: known.source_uri for clip_id, known in facts.items() if known.source_uri}


def _stamps(path: Path) -> list[str]:
    """Return size and time of a file, or of every file of a folder; empty for what cannot be read."""
    try:
        paths = sorted(path.iterdir()) if path.is_dir() else [path]
        stats = [entry.stat() for entry in paths]
    except OSError:
        return []
    return [f"{sum(stat.st_size for stat in stats)} bytes", f"time={max((s.st_mtime_ns for s in stats), default=0)}"]


def _wrong_rate(clip_id: str, text: object) -> InvalidInput:
    message = f"frame_rates.{clip_id} must be from 1 to 1000, such as 25 or 30000/1001. Received {text!r}."
    return InvalidInput(message, reason="FPS")
