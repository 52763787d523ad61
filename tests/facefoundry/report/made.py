"""A dataset of many pairs as a run leaves it: real records, pictures and videos, most of them hard links to a few."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from dataclasses import dataclass, replace
from math import exp
from pathlib import Path

import cv2
import numpy as np

from facefoundry import codec, recipes
from facefoundry.checks.balance import BalanceReport
from facefoundry.checks.balance import path_of as balance_path
from facefoundry.checks.leaks import Auc, LeakReport, LeakRow
from facefoundry.checks.leaks import path_of as leaks_path
from facefoundry.dataset import files, verdict
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.gates import DEFAULT_GATES
from facefoundry.dataset.record import (
    Failure,
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
from facefoundry.media.level import Level
from facefoundry.media.write import VideoWriter
from facefoundry.storage.info import ReasonCount
from facefoundry.storage.usage import Usage

VIEWS = ("source", "target", "swap", "masks", "masks_blend", "masks_changed")
_FRAMES, _SIZE = 75, 96
_MAX_LINKS = 50_000  # ext4 has at most 65,000
_REASONS = (("extract", "NO_FACE"), ("train", "OUT_OF_MEMORY"), ("extract", "SUBJECT_UNCLEAR"))


@dataclass(frozen=True)
class Amounts:
    """How many pairs are in which state, and how many pictures a fake has."""

    done: int
    failed: int = 0
    running: int = 0
    pending: int = 0
    samples: int = 6
    videos: bool = True


def make(root: Path, amounts: Amounts) -> FfppLayout:
    """Make a dataset in a folder, with splits, a leak test and a check of its balance."""
    layout, random = FfppLayout(root), np.random.default_rng(23)
    folder = RunFolder(layout.run_folder())
    pool = _Pool(root.with_name(f"{root.name}-pool"))
    pairs = [_pair(number, state, random, amounts.samples) for number, state in enumerate(_states(amounts, random))]
    for pair in pairs:
        if pair.state != "pending":
            folder.save_pair(pair)
        for file in _pictures(pair):
            pool.link("wide.jpg" if "preview" in file else "face.jpg", folder.path / file)
        for fake in pair.fakes if amounts.videos else ():
            pool.link("fake.mp4", layout.fake_video("c23", fake.id))
            pool.link("real.mp4", layout.real_video("c23", fake.target))
    folder.save_run(_run(root.name, pairs))
    _write_lists(layout, pairs)
    return layout


def leak_report() -> LeakReport:
    """Return the result of a leak test that found one leak and could not measure one fake."""
    rows = [
        LeakRow("c23", "encoder", "leak", "12 fakes differ from their targets in `preset`.", differing=12),
        LeakRow("c23", "outside", "ok", "", alone=Auc(0.51, 0.44, 0.58), beside=Auc(0.5, 0.43, 0.57)),
    ]
    failed = ["0003_1003 at c23: the file ends within frame 17."]
    return LeakReport(240, 120, by_pair=True, frames=32, rows=rows, failed=failed)


class _Pool:
    """The few files that all others are links to."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._links = folder, Counter[str]()
        folder.mkdir(parents=True, exist_ok=True)
        for name, shape in (("face.jpg", (64, 64)), ("wide.jpg", (64, 256))):
            assert cv2.imwrite(str(folder / name), _waves(*shape, 0.0), [cv2.IMWRITE_JPEG_QUALITY, 80])
        level = next(
            codec.from_values(Level, recipes.options(level))
            for level in recipes.load().compression.levels
            if level.name == "c23"
        )
        for name, speed in (("fake.mp4", 0.3), ("real.mp4", 0.1)):
            with VideoWriter(folder / name, level, (25, 1), _SIZE, _SIZE) as writer:
                for frame in range(_FRAMES):
                    writer.write(_waves(_SIZE, _SIZE, speed * frame))

    def link(self, name: str, path: Path) -> None:
        if path.exists():
            return
        source = self._folder / f"{self._links[name] // _MAX_LINKS}-{name}"
        if not source.exists():
            shutil.copy(self._folder / name, source)
        os.link(source, files.in_new_folder(path))
        self._links[name] += 1


def _waves(height: int, width: int, phase: float) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [127 + 120 * np.sin(columns / 17 + phase + turn) * np.cos(rows / 23 - turn) for turn in (0, 2, 4)]
    return np.stack(waves, axis=-1).astype(np.uint8)


def _states(amounts: Amounts, random: np.random.Generator) -> list[State]:
    ended = random.permutation(amounts.done + amounts.failed) < amounts.failed
    states: list[State] = ["failed" if failed else "done" for failed in ended]
    waiting: list[State] = [
        "running" if number < amounts.running else "pending" for number in range(amounts.running + amounts.pending)
    ]
    return states + waiting


def _pair(number: int, state: State, random: np.random.Generator, samples: int) -> PairRecord:
    a, b = f"{number:04d}", f"{number + 1000:04d}"
    pair = PairRecord(f"{a}_{b}", a, b, state)
    if state == "pending":
        return pair
    if state == "failed":
        stage, reason = _REASONS[number % len(_REASONS)]
        pair.failure = Failure(stage, reason, f"Expected another clip than {a}. It cannot be used.")
    if state == "running" or state == "done":
        finished = state == "done"
        pair.training = TrainingRecord(
            uri="s3://facefoundry/trainings/4567",
            model_uri="s3://facefoundry/models/4567/3000" if finished else "",
            iterations=3000,
            iteration=3000 if finished else 1200,
            seconds=189.4,
            iterations_per_second=15.8,
            attempt=1,
            losses=[
                (step, 0.03 + 0.2 * exp(-step / 300), 0.04 + 0.17 * exp(-step / 260)) for step in range(0, 3000, 10)
            ],
            previews=[Preview(iteration, f"{pair.id}/preview-{iteration:07d}.jpg") for iteration in (1000,)],
            seed=7,
        )
        used = Usage(21.4, 0.0, None)
        items = [("extract", a), ("extract", b), ("transcode", a), ("transcode", b)]
        items += [
            (stage, f) for f in (f"{a}_{b}", f"{b}_{a}") for stage in ("convert", "compare swap", "compare control")
        ]
        pair.stages = [StageTime(f"{stage} {item}", 14.9, used, 900_000, 2_500_000) for stage, item in items]
        pair.stages += [StageTime("train", 189.4 + number % 17, Usage(350.0, 0.0, None), 4_100_000)]
        pair.stages += [StageTime("fetch", 0.8)]
    if state == "done":
        pair.fakes = [_fake(target, source, random, samples) for target, source in ((a, b), (b, a))]
    return pair


def _fake(target: str, source: str, random: np.random.Generator, samples: int) -> FakeRecord:
    name = f"{target}_{source}"
    labels = [0 if 20 <= frame < 26 else 1 for frame in range(300)]
    nearer, gain = random.normal(0.2, 0.08), random.normal(0.24, 0.06)
    distances = IdentityDistances(12, 0.5, round(0.5 + nearer, 3), round(0.5 + gain, 3), 0.48)
    fake = FakeRecord(
        id=name,
        target=target,
        source=source,
        uri="s3://facefoundry/conversions/0123456789abcdef0123456789abcdef01234567",
        content_digest="89abcdef" * 8,
        frames=300,
        swapped=sum(labels),
        labels=labels,
        reasons=[ReasonCount("NO_FACE", 6)],
        samples=[
            Sample(frame, **{view: f"{name}/{frame:06d}-{view}.jpg" for view in VIEWS}) for frame in range(samples)
        ],
        quality={
            "swapped_share": 0.98,
            "face_share": 1.0,
            "identity": distances.nearer,
            "identity_gain": distances.gain,
            "mouth": round(float(random.uniform(0.5, 0.98)), 3),
            "mouth_motion": 0.05,
            "head": 0.7,
            "head_motion": 0.01,
            "jitter": 1.05,
            "sharpness": round(float(random.normal(0.7, 0.1)), 3),
            "seam": round(float(random.normal(1.1, 0.1)), 3),
            "mean_flicker": 2.4,
        },
        identity=distances,
        sampled=36,
    )
    verdict.judge(fake, DEFAULT_GATES)
    return fake


def _pictures(pair: PairRecord) -> list[str]:
    samples = [sample for fake in pair.fakes for sample in fake.samples]
    return [preview.file for preview in pair.training.previews] + [
        getattr(sample, view) for sample in samples for view in VIEWS
    ]


def _run(name: str, pairs: list[PairRecord]) -> RunRecord:
    sequence = SequenceRecord(frames=300, fps="25/1", width=360, height=288, faces=294, content_digest="cdef0123" * 8)
    doubtful = replace(sequence, remarks=["It states 1000 frames per second."])
    ids = [clip for pair in pairs for clip in (pair.a, pair.b)]
    return RunRecord(
        name=name,
        command=f"facefoundry run dataset.yaml -o {name}",
        recipe=recipes.options(recipes.load("preview")),
        created="2026-03-04T05:06:07+00:00",
        seconds=40_000.0,
        sequences={clip: doubtful if number == 5 else sequence for number, clip in enumerate(ids)},
        pairs=[pair.id for pair in pairs],
        done=sum(pair.state == "done" for pair in pairs),
        failures={pair.id: pair.failure for pair in pairs if pair.failure},
        retention={"extractions": 30},
    )


def _write_lists(layout: FfppLayout, pairs: list[PairRecord]) -> None:
    splits: dict[str, list[list[str]]] = {"train": [], "val": [], "test": []}
    for number, pair in enumerate(pairs):
        splits["val" if number % 10 == 8 else "test" if number % 10 == 9 else "train"].append([pair.a, pair.b])
    for name, listed in splits.items():
        files.write(layout.filelist().parent / "splits" / f"{name}.json", json.dumps(listed).encode())
    files.write(leaks_path(layout), codec.to_standard_json(leak_report()))
    balance = BalanceReport([], [], ["Median length differs: 12 s in train, 3 s in test. Cut them alike."])
    files.write(balance_path(layout), codec.to_standard_json(balance))
