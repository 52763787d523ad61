"""Run records with real JPEG files, as a dataset run leaves them behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import exp
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.record import (
    FakeRecord,
    IdentityDistances,
    PairRecord,
    Preview,
    RunRecord,
    Sample,
    SequenceRecord,
    StageTime,
    State,
    TrainingRecord,
)
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.storage.info import ReasonCount

PICTURES = ("source", "target", "swap", "masks", "masks_blend", "masks_changed")


def write_jpeg(path: Path, seed: int, width: int = 160, height: int = 120) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows, columns = np.mgrid[0:height, 0:width]
    random = np.random.default_rng(seed)
    phases = random.uniform(0, 6, 3)
    waves = [127 + 120 * np.sin(columns / 17 + phase) * np.cos(rows / 23 - phase) for phase in phases]
    assert cv2.imwrite(str(path), np.stack(waves, axis=-1).astype(np.uint8))


def fake(folder: Path, target: str, source: str, frames: int, samples: int) -> FakeRecord:
    labels = [0 if 20 <= frame < 26 or frame == 60 else 1 for frame in range(frames)]
    rows = []
    for index in range(samples):
        frame = index * frames // max(samples, 1)
        files = {name: f"{target}_{source}/{frame:06d}-{name}.jpg" for name in PICTURES}
        for name, file in files.items():
            write_jpeg(folder / file, seed=index * 10 + len(name))
        rows.append(Sample(frame, **files))
    return FakeRecord(
        id=f"{target}_{source}",
        target=target,
        source=source,
        frames=frames,
        swapped=sum(labels),
        labels=labels,
        reasons=[ReasonCount("NO_FACE", 6), ReasonCount("FACE_TOO_SMALL", 1)],
        uri="s3://facefoundry/conversions/0123456789abcdef0123456789abcdef01234567",
        content_digest="89abcdef" * 8,
        samples=rows,
        quality={"mean_change": 2.41, "changed_share": 0.12, "mouth": 0.93},
        identity=IdentityDistances(31, 0.53, 0.72, 0.66, 0.57),
        sampled=32,
    )


def pair(folder: Path, a: str, b: str, state: State = "done", samples: int = 2) -> PairRecord:
    if state == "pending":
        return PairRecord(f"{a}_{b}", a, b)
    previews = []
    for iteration in (100, 1000, 1900) if samples else ():
        file = f"{a}_{b}/preview-{iteration:07d}.jpg"
        write_jpeg(folder / file, seed=iteration, width=256, height=128)
        previews.append(Preview(iteration, file))
    finished = state == "done"
    training = TrainingRecord(
        uri="s3://facefoundry/trainings/4567",
        model_uri="s3://facefoundry/models/4567/1900" if finished else "",
        iterations=1900,
        iteration=1900 if finished else 700,
        seconds=104.2,
        iterations_per_second=18.2,
        attempt=1,
        losses=[(step, 0.03 + 0.2 * exp(-step / 300), 0.04 + 0.17 * exp(-step / 260)) for step in range(0, 1900, 10)],
        previews=previews,
    )
    return PairRecord(
        f"{a}_{b}",
        a,
        b,
        state,
        training=training,
        fakes=[fake(folder, a, b, 115, samples), fake(folder, b, a, 120, samples)] if finished else [],
        stages=[
            StageTime(f"extract {a}", 6.1),
            StageTime(f"extract {b}", 5.7),
            StageTime("train", 104.2),
            StageTime(f"convert {a}_{b}", 14.9),
        ],
    )


def run(name: str, pairs: Sequence[PairRecord]) -> RunRecord:
    sequence = SequenceRecord(
        frames=115,
        fps="30000/1001",
        width=432,
        height=432,
        faces=108,
        missing=[ReasonCount("NO_FACE", 7)],
        extraction_uri="s3://facefoundry/extractions/89ab",
        content_digest="cdef0123" * 8,
    )
    return RunRecord(
        name=name,
        command="facefoundry generate-models --local -i clips -o out --recipe preview -it 1900 --convert_images",
        recipe={
            "name": "preview",
            "version": "1",
            "description": "Small and fast, for minutes on a CPU. Not faithful to FaceForensics++.",
            "training": {"encoder_filters": [8, 16, 32, 64], "learning_rate": 0.002, "iterations": 1900},
            "compression": {"levels": [{"name": "raw", "crf": 0}, {"name": "c23", "crf": 23}]},
        },
        created="2026-03-04T05:06:07+00:00",
        seconds=162.4,
        versions={"facefoundry": "0.1.0", "keras": "3.15.1"},
        seed=7,
        sequences={name: sequence for pair in pairs for name in (pair.a, pair.b)},
        pairs=[pair.id for pair in pairs],
    )


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """The folder of a run's record."""
    return RunFolder(FfppLayout(tmp_path / "out").run_folder())


@pytest.fixture
def make_pair(folder: RunFolder) -> Callable[..., PairRecord]:
    """Makes a pair's record and its pictures."""
    return lambda a="033", b="097", **options: pair(folder.path, a, b, **options)


@pytest.fixture
def save(tmp_path: Path, folder: RunFolder) -> Callable[..., FfppLayout]:
    """Writes a run record of pairs; returns where it lies."""

    def save(*pairs: PairRecord, name: str = "demo", **changes: Any) -> FfppLayout:
        folder.save_run(replace(run(name, pairs), **changes))
        for pair in pairs:
            folder.save_pair(pair)
        return FfppLayout(tmp_path / "out")

    return save
