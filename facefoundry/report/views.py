"""Makes the view objects of single pairs for the templates: their records with charts, texts, pictures and videos."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from facefoundry.codec import JsonObject
from facefoundry.dataset.gates import Gate
from facefoundry.dataset.record import FakeRecord, PairRecord, RunRecord, Sample, TrainingRecord
from facefoundry.dataset.verdict import held_to
from facefoundry.report import charts, wording
from facefoundry.report.charts import Bar, LossChart
from facefoundry.report.costs import StageRow, stage_rows
from facefoundry.report.links import Links
from facefoundry.report.overview import Measured
from facefoundry.report.wording import Verdict

__all__ = ["COLUMNS", "FakeView", "Level", "PairView", "SampleView", "VideoView", "played_level", "videos", "view_pair"]

COLUMNS = (
    ("source", "Source"),
    ("target", "Target"),
    ("swap", "Swap, synthetic"),
    ("masks", "Mask: box"),
    ("masks_blend", "Mask: blended"),
    ("masks_changed", "Mask: changed"),
)
"""The pictures of a sampled frame: field of `Sample`, and caption."""


@dataclass(frozen=True)
class Level:
    """The compression level whose videos a page plays.

    Attributes:
        name: Its name; empty if there is none.
        wrong_colours: Whether browsers show it in wrong colours, because it is RGB without tags.
        others: Names of the levels that they do.
    """

    name: str
    wrong_colours: bool
    others: tuple[str, ...]


@dataclass(frozen=True)
class VideoView:
    """Links to the video of a fake and to that of its target; None for one that is not there."""

    fake: str | None
    real: str | None


@dataclass(frozen=True)
class SampleView:
    """A row of pictures of one frame: the link to each column's picture, or None if that picture is missing."""

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
        samples: Pictures of some frames.
        videos: Its video, beside that of its target.
    """

    record: FakeRecord
    strip: str
    share: str
    not_swapped: int
    verdict: Verdict
    distances: list[Bar]
    mouth: str
    samples: list[SampleView]
    videos: VideoView


@dataclass(frozen=True)
class QualityRow:
    """A measure with the values of the fakes of a pair, and the bars of its gates, in words."""

    words: str
    values: list[Measured]
    bar: str


@dataclass(frozen=True)
class PairView:
    """The section of a pair on the report page.

    Attributes:
        record: The pair's part of the run record.
        open: Whether the section is open when the page is loaded.
        chart: Chart of the losses; None if there are too few losses.
        time_left: Remaining time of the training, in words; None if it is not running or its speed is unknown.
        progress: Finished share of the training, in percent.
        previews: Iteration and link of each preview picture.
        fakes: The fakes of the pair; empty before the conversions begin.
        quality: What was measured of the fakes.
        stages: What the stages took.
        on_gpu: Whether a stage used a GPU.
    """

    record: PairRecord
    open: bool
    chart: LossChart | None
    time_left: str | None
    progress: float
    previews: list[tuple[int, str]]
    fakes: list[FakeView]
    quality: list[QualityRow]
    stages: list[StageRow]
    on_gpu: bool


def played_level(recipe: JsonObject) -> Level:
    """Return the level whose videos a page plays: `c23`, else the first one that browsers show in right colours.

    Args:
        recipe: All fields of the recipe.
    """
    compression = recipe.get("compression")
    listed = compression.get("levels") if isinstance(compression, dict) else None
    levels = [level for level in listed if isinstance(level, dict)] if isinstance(listed, list) else []
    names = [str(level.get("name", "")) for level in levels]
    wrong = {str(level.get("name", "")) for level in levels if _is_untagged_rgb(level)}
    fit = [name for name in names if name not in wrong]
    chosen = "c23" if "c23" in fit else next(iter(fit or names), "")
    return Level(chosen, chosen in wrong, tuple(name for name in names if name in wrong))


def videos(fake: FakeRecord, links: Links, level: Level) -> VideoView:
    """Return the links to the video of a fake and to that of its target."""
    if fake.dropped or not level.name:
        return VideoView(None, None)
    return VideoView(links.video("fake", level.name, fake.id), links.video("real", level.name, fake.target))


def view_pair(
    pair: PairRecord, links: Links, run: RunRecord, *, is_open: bool = True, samples: int | None = None
) -> PairView:
    """Make the section of a pair.

    Args:
        pair: The whole record of the pair.
        links: Makes the links of the page.
        run: The record of the run.
        is_open: Whether the section is open when the page is loaded.
        samples: Of how many frames of a fake there are pictures; None for all.
    """
    training, level = pair.training, played_level(run.recipe)
    return PairView(
        record=pair,
        open=is_open,
        chart=charts.loss_chart(training.losses),
        time_left=wording.time_left(training) if pair.state == "running" else None,
        progress=100 * training.iteration / training.iterations if training.iterations else 0,
        previews=_previews(training, links),
        fakes=[_view_fake(fake, links, level, samples) for fake in pair.fakes],
        quality=list(_quality(pair.fakes, held_to(run.gates, pair.fakes))),
        stages=stage_rows(pair.stages),
        on_gpu=any(stage.usage and stage.usage.gpu_seconds for stage in pair.stages),
    )


def _is_untagged_rgb(level: JsonObject) -> bool:
    return str(level.get("codec", "")).endswith("rgb") and not level.get("tagged")


def _previews(training: TrainingRecord, links: Links) -> list[tuple[int, str]]:
    found = ((preview.iteration, links.picture(preview.file)) for preview in training.previews)
    return [(iteration, link) for iteration, link in found if link]


def _quality(fakes: Sequence[FakeRecord], gates: Sequence[Gate]) -> Iterator[QualityRow]:
    for name in dict.fromkeys(name for fake in fakes for name in fake.quality):
        yield QualityRow(
            words=wording.quality_words(name),
            values=[
                Measured(wording.printed(fake.quality.get(name)), any(failed.measure == name for failed in fake.failed))
                for fake in fakes
            ],
            bar=wording.bars_of(gate for gate in gates if gate.measure == name),
        )


def _thin(samples: Sequence[Sample], count: int | None) -> Sequence[Sample]:
    return samples[:: math.ceil(len(samples) / count)] if count and samples else samples


def _view_fake(fake: FakeRecord, links: Links, level: Level, samples: int | None) -> FakeView:
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
        samples=_samples(_thin(fake.samples, samples), links),
        videos=videos(fake, links, level),
    )


def _samples(samples: Sequence[Sample], links: Links) -> list[SampleView]:
    views = []
    for sample in samples:
        row = {name: links.picture(getattr(sample, name)) for name, _ in COLUMNS}
        if any(row.values()):
            views.append(SampleView(sample.frame, row))
    return views
