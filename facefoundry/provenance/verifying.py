"""Verifies a dataset on disk: signatures, ingredients, digests, and labels against pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Literal

from facefoundry import codec
from facefoundry.checks.checking import require_libraries, run_all
from facefoundry.checks.measured import Compared
from facefoundry.checks.videos import Fake, find_fakes
from facefoundry.codec import JsonObject
from facefoundry.dataset.layout import Layout
from facefoundry.process.sandbox import Sandbox
from facefoundry.provenance import boxes, c2pa_files
from facefoundry.provenance.videos import DatasetFacts, Video, find_videos

__all__ = ["FRAMES", "Row", "Verification", "verify_dataset"]

FRAMES: Final = 16
"""Number of swapped frames, and of other frames, of each fake that are compared with their labels."""
_LOSSLESS = "raw"
_THREADS = 4

Progress = Callable[[int, int, str], None]
"""Called with the number of finished files, the number of all, and the path of the last one."""


@dataclass(frozen=True)
class Row:
    """A row of the table: what was verified, the state `ok`, `look` or `fails`, and what was found."""

    what: str
    state: Literal["ok", "look", "fails"]
    found: str


@dataclass
class Verification:
    """What was verified.

    Attributes:
        files: Number of videos.
        signed: Number of signed videos.
        trusted: Number of videos that somebody signed who is trusted.
        ingredients: Number of ingredients that are signed files.
        frames: Number of frames that were compared with their labels.
        fakes: Number of fakes with such frames.
        faults: What is wrong, by the kind of check: sentences that name the file.
        rights: Sentences on rights that are unstated, end soon or have ended.
    """

    files: int = 0
    signed: int = 0
    trusted: int = 0
    ingredients: int = 0
    frames: int = 0
    fakes: int = 0
    faults: dict[str, list[str]] = field(default_factory=dict)
    rights: list[str] = field(default_factory=list)

    @property
    def failed(self) -> list[str]:
        """All faults."""
        return [fault for faults in self.faults.values() for fault in faults]

    def table(self) -> list[Row]:
        """Return the rows of the table."""
        signatures = f"{self.signed} of {self.files} videos are signed, {self.trusted} by somebody who is trusted"
        untrusted = self.trusted < self.files
        return [
            self._row("signatures", signatures, look=untrusted),
            self._row("ingredients", f"{self.ingredients} signed files in the manifests of fakes"),
            self._row("digests", f"{self.signed} videos and their labels"),
            self._row("labels", f"{self.frames} frames of {self.fakes} lossless fakes", look=not self.frames),
            Row("rights", "look" if self.rights else "ok", " ".join(self.rights) or "stated for all clips"),
        ]

    def add(self, kind: str, fault: str) -> None:
        """Add a fault."""
        self.faults.setdefault(kind, []).append(fault)

    def _row(self, what: str, found: str, *, look: bool = False) -> Row:
        faults = self.faults.get(what, [])
        return Row(what, "fails" if faults else "look" if look else "ok", f"{found}; {len(faults)} faults")


def verify_dataset(
    layout: Layout,
    anchors: str,
    *,
    frames: int = FRAMES,
    processes: int | None = None,
    on_progress: Progress = lambda *_: None,
) -> Verification:
    """Verify a dataset.

    Args:
        layout: The dataset's folder.
        anchors: PEM certificates of the authorities to trust; empty for none.
        frames: Number of swapped frames, and of other frames, of each fake that are compared with their labels.
        processes: Number of processes that decode; by default one for each core.
        on_progress: Called after each file.

    Raises:
        InvalidInput: there are no videos, no run record, or libraries are missing.
    """
    require_libraries()
    videos, facts = find_videos(layout), DatasetFacts(layout)
    made, done = Verification(files=len(videos), rights=facts.rights.warnings(date.today())), 0
    is_signed = any(boxes.manifest_of(video.path) for video in videos)
    fakes = [fake for fake in _lossless(layout) if fake.labels] if frames else []
    total = len(videos) + len(fakes)
    if is_signed:
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="verify") as pool:
            found = pool.map(lambda video: list(_faults(video, facts, anchors, made)), videos)
            for video, faults in zip(videos, found, strict=True):
                for kind, fault in faults:
                    made.add(kind, f"{_relative(video.path, layout)}: {fault}")
                done += 1
                on_progress(done, total, str(video.path))
    for fake, fault in _compared(fakes, frames, processes, made):
        if fault:
            places = _relative(fake.video, layout), _relative(fake.real, layout)
            made.add("labels", f"{places[0]}, beside {places[1]}: {fault}")
        done += 1
        on_progress(done, total, str(fake.video))
    return made


def _faults(video: Video, facts: DatasetFacts, anchors: str, made: Verification) -> Iterator[tuple[str, str]]:
    """Yield (kind of check, what is wrong) of a video, and count what was found."""
    found = c2pa_files.read(video.path, anchors)
    if found is None:
        yield "signatures", "it is not signed, and other videos are."
        return
    made.signed += 1
    made.trusted += found.state == "Trusted"
    made.ingredients += found.ingredients
    if found.state == "Invalid":
        yield "signatures", f"its bytes are not those that were signed: {', '.join(found.faults) or 'damaged'}."
    for fault in found.ingredient_faults:
        yield "ingredients", f"an ingredient is not as it was signed: {fault}."
    if found.facts is None:
        yield "signatures", "another program signed it."
        return
    with TemporaryDirectory(prefix="verify-") as folder:
        plain = Path(folder) / "plain.mp4"
        boxes.strip(video.path, plain)
        expected = facts.of(video, plain)
    if found.facts.dataset != expected.dataset:
        yield "digests", f"it was signed as a file of the dataset {found.facts.dataset}."
    elif (found.facts.path, found.facts.kind) != (expected.path, expected.kind):
        yield "digests", f"it was signed as {found.facts.path}, a {found.facts.kind} video."
    if found.facts.unsigned_sha256 != expected.unsigned_sha256:
        yield "digests", "without its manifest it is not the file that was signed."
    if found.facts.labels_sha256 != expected.labels_sha256:
        yield "digests", "its labels are not those that were signed with it."
    if video.kind == "fake" and found.ingredients < _REAL_VIDEOS:
        yield "ingredients", "the real videos of target and source are not among its ingredients."


_REAL_VIDEOS = 2


def _lossless(layout: Layout) -> list[Fake]:
    folder = layout.fake_video(_LOSSLESS, "any").parent
    return find_fakes(layout, [_LOSSLESS]).fakes if any(folder.glob("*.mp4")) else []


def _compared(fakes: list[Fake], frames: int, processes: int | None, made: Verification) -> Iterator[tuple[Fake, str]]:
    """Yield each fake with what its labels say and its pixels do not; empty if they agree."""
    results: dict[str, Compared] = {}

    def compare(sandbox: Sandbox, fake: Fake) -> None:
        paths: JsonObject = {"fake": str(fake.video), "real": str(fake.real), "labels": str(fake.labels)}
        values = list(sandbox.run("facefoundry.checks.pixels:compare", **paths, frames=frames))[-1]
        results[fake.id] = codec.from_values(Compared, values if isinstance(values, dict) else {})

    for fake, error in run_all(fakes, compare, processes) if fakes else ():
        result = results.get(fake.id, Compared())
        made.frames += result.frames
        made.fakes += result.frames > 0
        more = f" and {len(result.faults) - 1} more" if len(result.faults) > 1 else ""
        yield fake, error.message if error else f"{result.faults[0]}{more}." if result.faults else ""


def _relative(path: Path, layout: Layout) -> str:
    return path.relative_to(layout.root).as_posix()
