"""Finds the newest results of a run: previews of trainings that run, and fakes that were finished last."""

from __future__ import annotations

from dataclasses import dataclass

from facefoundry.dataset.record import FakeRecord, PairRecord
from facefoundry.report import wording
from facefoundry.report.links import Links
from facefoundry.report.snapshot import Snapshot, Snapshots
from facefoundry.report.views import Level, VideoView, videos

__all__ = ["NewFake", "NewPreview", "newest_fakes", "newest_previews"]

_PREVIEWS, _FAKES = 4, 4


@dataclass(frozen=True)
class NewPreview:
    """The newest preview of a training that runs; `picture` is None while there is none."""

    record: PairRecord
    link: str | None
    picture: str | None
    iteration: int
    progress: float
    time_left: str | None


@dataclass(frozen=True)
class NewFake:
    """A fake that was finished last, with a picture of a frame and its video."""

    fake: FakeRecord
    link: str | None
    picture: str | None
    videos: VideoView


def newest_previews(snapshot: Snapshot, links: Links) -> list[NewPreview]:
    """Return the newest previews of trainings that run, those of the records that changed last first."""
    running = [pair for pair in snapshot.pairs if pair.state == "running" and pair.training.iterations]
    running.sort(key=lambda pair: -snapshot.saved.get(pair.id, 0.0))
    found = []
    for pair in running[:_PREVIEWS]:
        training, shown = pair.training, pair.training.previews[-1:]
        found.append(
            NewPreview(
                record=pair,
                link=links.pair(pair.id),
                picture=links.picture(shown[0].file) if shown else None,
                iteration=shown[0].iteration if shown else training.iteration,
                progress=100 * training.iteration / training.iterations,
                time_left=wording.time_left(training),
            )
        )
    return found


def newest_fakes(snapshot: Snapshot, snapshots: Snapshots, links: Links, level: Level) -> list[NewFake]:
    """Return one fake of each pair that was done last, the newest first."""
    done = [pair for pair in snapshot.pairs if pair.state == "done"]
    done.sort(key=lambda pair: -snapshot.saved.get(pair.id, 0.0))
    found = []
    for pair in done[:_FAKES]:
        snapshots.add_samples(snapshot, pair)
        for fake in [fake for fake in pair.fakes if not fake.dropped][:1]:
            middle = fake.samples[len(fake.samples) // 2].swap if fake.samples else ""
            picture = links.picture(middle) if middle else None
            found.append(NewFake(fake, links.pair(pair.id), picture, videos(fake, links, level)))
    return found
