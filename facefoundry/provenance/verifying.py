"""Verifies a dataset on disk: signatures, ingredients, digests, and labels against pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from facefoundry import codec
from facefoundry.checks.checking import require_libraries, run_all
from facefoundry.checks.measured import Compared
from facefoundry.checks.videos import Fake, find_fakes
from facefoundry.codec import JsonObject
from facefoundry.dataset.layout import Layout
from facefoundry.process.sandbox import Sandbox
from facefoundry.provenance import boxes, c2pa_files
from facefoundry.provenance.c2pa_files import Found
from facefoundry.provenance.credentials import DEVELOPMENT
from facefoundry.provenance.records import add_missing, add_rights
from facefoundry.provenance.verification import Verification
from facefoundry.provenance.videos import DatasetFacts, Video, find_videos

__all__ = ["FRAMES", "verify_dataset"]

FRAMES: Final = 16
"""Number of swapped frames, and of other frames, of each fake that are compared with their labels."""
_LOSSLESS = "raw"
_READING = ("facefoundry.provenance.reading",)

Progress = Callable[[int, int, str], None]
"""Called with the number of finished files, the number of all, and the path of the last one."""


def verify_dataset(
    layout: Layout,
    anchors: str,
    *,
    only_trusted: bool = False,
    frames: int = FRAMES,
    processes: int | None = None,
    on_progress: Progress = lambda *_: None,
) -> Verification:
    """Verify a dataset.

    Args:
        layout: The dataset's folder.
        anchors: PEM certificates of the authorities to trust; empty for none.
        only_trusted: Whether a video is at fault that nobody signed who is trusted. Otherwise it is counted.
        frames: Number of swapped frames, and of other frames, of each fake that are compared with their labels.
        processes: Number of processes that decode; by default one for each core.
        on_progress: Called after each file.

    Raises:
        InvalidInput: there are no videos, no run record, or libraries are missing.
        DataLoss: a record of the dataset is damaged.
    """
    require_libraries()
    videos, facts = find_videos(layout), DatasetFacts(layout)
    made, done = Verification(files=len(videos), rights=facts.rights.warnings(date.today())), 0
    add_missing(facts, videos, made)
    add_rights(facts, videos, made)
    is_signed = only_trusted or any(c2pa_files.is_signed(video.path) for video in videos)
    fakes = [fake for fake in _lossless(layout) if fake.labels] if frames else []
    total = len(videos) + len(fakes)
    if is_signed:
        results: dict[Video, tuple[Found | None, list[tuple[str, str]]]] = {}
        for video, found, faults in _read(videos, facts, anchors, processes):
            results[video] = found, faults
            done += 1
            on_progress(done, total, str(video.path))
        for video in videos:
            found, faults = results[video]
            _count(found, made)
            if only_trusted and (found is None or found.state != "Trusted"):
                faults.append(("signatures", _untrusted(found)))
            for kind, fault in faults:
                made.add(kind, f"{_relative(video.path, layout)}: {fault}")
    for fake, fault in _compared(fakes, frames, processes, made):
        if fault:
            places = _relative(fake.video, layout), _relative(fake.real, layout)
            made.add("labels", f"{places[0]}, beside {places[1]}: {fault}")
        done += 1
        on_progress(done, total, str(fake.video))
    return made


def _read(
    videos: Sequence[Video], facts: DatasetFacts, anchors: str, processes: int | None
) -> Iterator[tuple[Video, Found | None, list[tuple[str, str]]]]:
    """Yield each video with what its manifest says, and (kind of check, what is wrong). Sandboxes read manifests."""
    results: dict[Video, tuple[Found | None, list[tuple[str, str]]]] = {}

    def read(sandbox: Sandbox, video: Video) -> None:
        values = [*sandbox.run("facefoundry.provenance.reading:read", path=str(video.path), anchors=anchors)]
        if not values:
            results[video] = None, [("signatures", "it is not signed.")]
            return
        found = codec.from_values(Found, values[0] if isinstance(values[0], dict) else {})
        results[video] = found, list(_faults(video, facts, found))

    for video, error in run_all(videos, read, processes, allow=_READING):
        if error:
            results[video] = None, [("signatures", f"its manifest cannot be read: {error.message}")]
        yield video, *results[video]


def _faults(video: Video, facts: DatasetFacts, found: Found) -> Iterator[tuple[str, str]]:
    """Yield (kind of check, what is wrong) of a signed video."""
    if found.has_expired:
        yield "signatures", "its certificate has expired. Sign it again, with --tsa."
    elif found.state == "Invalid":
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
    models = {found.facts.model_sha256, expected.model_sha256} - {""}
    if len(models) > 1:
        yield "digests", "the model in the dataset is not the one that was signed with it."
    if found.facts.rights != expected.rights:
        yield "rights", "misc/rights.json states other rights to its clips than those that were signed with it."
    if video.kind == "fake" and found.ingredients < _REAL_VIDEOS:
        yield "ingredients", "the real videos of target and source are not among its ingredients."


def _count(found: Found | None, made: Verification) -> None:
    if found is None:
        return
    made.signed += 1
    made.trusted += found.state == "Trusted"
    made.development += found.state == "Trusted" and found.signer == DEVELOPMENT
    made.ingredients += found.ingredients


def _untrusted(found: Found | None) -> str:
    signer = found.signer if found else ""
    return f"nobody who is trusted signed it{f', but {signer}' if signer else ''}."


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
