"""Makes the view objects for the report's templates: the records of a run with charts, texts and pictures added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from facefoundry.dataset.record import FakeRecord, PairRecord, Sample, TrainingRecord
from facefoundry.report import charts, wording
from facefoundry.report.charts import Bar, LossChart
from facefoundry.report.costs import StageRow, stage_rows
from facefoundry.report.pictures import Pictures
from facefoundry.report.wording import Verdict

__all__ = ["COLUMNS", "MAX_PICTURED_PAIRS", "Counts", "FakeView", "PairView", "SampleView", "count", "view_pair"]

MAX_PICTURED_PAIRS = 8
COLUMNS = (
    ("source", "Source"),
    ("target", "Target"),
    ("swap", "Swap, synthetic"),
    ("masks", "Mask: box"),
    ("masks_blend", "Mask: blended"),
    ("masks_changed", "Mask: changed"),
)
"""The pictures of a sampled frame: field of `Sample`, and caption."""

_MAX_OPEN_PAIRS = 3
_CHART_POINTS, _SMALL_CHART_POINTS = 240, 40


@dataclass(frozen=True)
class Counts:
    """The numbers in the summary of a run: pairs by state, fakes, frames of fakes, and swapped frames."""

    pairs: int
    done: int
    failed: int
    running: int
    pending: int
    fakes: int
    frames: int
    swapped: int


@dataclass(frozen=True)
class SampleView:
    """A row of pictures of one frame: the data URI of each column's picture, or None if that picture is missing."""

    frame: int
    pictures: dict[str, str | None]


@dataclass(frozen=True)
class FakeView:
    """The section of a fake on the report page.

    Attributes:
        record: The fake's part of the run record.
        strip: SVG path that marks the swapped frames.
        share: Swapped frames, as a count and a percentage, in words.
        not_swapped: Number of frames that were not swapped.
        verdict: Whether the fake shows the source's face, by the identity distances.
        distances: Bars of the identity distances (distances of face embeddings).
        mouth: Sentence about how well the opening of the fake's mouth follows the target's.
        quality: Names and values of the quality measurements.
        samples: Pictures of some frames.
    """

    record: FakeRecord
    strip: str
    share: str
    not_swapped: int
    verdict: Verdict
    distances: list[Bar]
    mouth: str
    quality: list[tuple[str, str]]
    samples: list[SampleView]


@dataclass(frozen=True)
class PairView:
    """The section of a pair on the report page.

    Attributes:
        record: The pair's part of the run record.
        anchor: HTML id of the section.
        open: Whether the section is open when the page is loaded.
        chart: Chart of the losses; None if there are too few losses.
        time_left: Remaining time of the training, in words; None if it is not running or its speed is unknown.
        progress: Finished share of the training, in percent.
        previews: Iteration and data URI of each preview picture.
        fakes: The fakes of the pair; empty before the conversions begin.
        stages: Bars of the durations of the stages.
        costs: What the results of the stages took.
    """

    record: PairRecord
    anchor: str
    open: bool
    chart: LossChart | None
    time_left: str | None
    progress: float
    previews: list[tuple[int, str]]
    fakes: list[FakeView]
    stages: list[Bar]
    costs: list[StageRow]


def count(pairs: Sequence[PairView]) -> Counts:
    """Count the pairs by state, the fakes, their frames and the swapped frames."""
    states = [pair.record.state for pair in pairs]
    fakes = [fake.record for pair in pairs for fake in pair.fakes]
    return Counts(
        pairs=len(states),
        done=states.count("done"),
        failed=states.count("failed"),
        running=states.count("running"),
        pending=states.count("pending"),
        fakes=len(fakes),
        frames=sum(fake.frames for fake in fakes),
        swapped=sum(fake.swapped for fake in fakes),
    )


def view_pair(pair: PairRecord, index: int, pair_count: int, pictures: Pictures) -> PairView:
    """Make the section of a pair.

    Args:
        pair: The record of the pair.
        index: Position of the pair in the run, from 0. Only the first `MAX_PICTURED_PAIRS` pairs get pictures and
            detailed charts.
        pair_count: Number of pairs in the run.
        pictures: Embeds the pictures.
    """
    training, is_pictured = pair.training, index < MAX_PICTURED_PAIRS
    is_running = pair.state == "running"
    return PairView(
        record=pair,
        anchor=f"pair-{index + 1}",
        open=pair_count <= _MAX_OPEN_PAIRS or (is_running and is_pictured),
        chart=charts.loss_chart(training.losses, _CHART_POINTS if is_pictured else _SMALL_CHART_POINTS),
        time_left=wording.time_left(training) if is_running else None,
        progress=100 * training.iteration / training.iterations if training.iterations else 0,
        previews=_previews(training, pictures) if is_pictured else [],
        fakes=[_view_fake(fake, pictures if is_pictured else None) for fake in pair.fakes],
        stages=charts.bars((stage.stage, stage.seconds) for stage in pair.stages),
        costs=stage_rows(pair.stages),
    )


def _previews(training: TrainingRecord, pictures: Pictures) -> list[tuple[int, str]]:
    embedded = ((preview.iteration, pictures.embed(preview.file)) for preview in training.previews)
    return [(iteration, uri) for iteration, uri in embedded if uri]


def _view_fake(fake: FakeRecord, pictures: Pictures | None) -> FakeView:
    distances: list[tuple[str, float]] = []
    if fake.identity:
        named = {
            "Swap to source": fake.identity.swap_to_source,
            "Swap to target": fake.identity.swap_to_target,
            "Control to source": fake.identity.control_to_source,
            "Control to target": fake.identity.control_to_target,
        }
        distances = [(name, value) for name, value in named.items() if value is not None]
    return FakeView(
        record=fake,
        strip=charts.strip(fake.labels),
        share=wording.share(fake.swapped, fake.frames),
        not_swapped=fake.frames - fake.swapped,
        verdict=wording.identity_verdict(fake.identity),
        distances=charts.bars(distances, longest=max([1.0, *(value for _, value in distances)])),
        mouth=wording.mouth_sentence(fake.quality.get("mouth"), fake.sampled),
        quality=list(wording.quality(fake.quality)),
        samples=_samples(fake.samples, pictures) if pictures else [],
    )


def _samples(samples: Sequence[Sample], pictures: Pictures) -> list[SampleView]:
    views = []
    for sample in samples:
        row = {name: pictures.embed(getattr(sample, name)) for name, _ in COLUMNS}
        if any(row.values()):
            views.append(SampleView(sample.frame, row))
    return views
