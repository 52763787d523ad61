"""Run records with real JPEG files, as a dataset run leaves them behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

PICTURES = ("source", "target", "swap", "masks", "masks_blend", "masks_changed")


def write_jpeg(path: Path, seed: int, width: int = 160, height: int = 120) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows, columns = np.mgrid[0:height, 0:width]
    random = np.random.default_rng(seed)
    phases = random.uniform(0, 6, 3)
    waves = [127 + 120 * np.sin(columns / 17 + phase) * np.cos(rows / 23 - phase) for phase in phases]
    assert cv2.imwrite(str(path), np.stack(waves, axis=-1).astype(np.uint8))


def fake(folder: Path, target: str, source: str, frames: int, samples: int) -> dict[str, Any]:
    labels = [0 if 20 <= frame < 26 or frame == 60 else 1 for frame in range(frames)]
    rows = []
    for index in range(samples):
        row: dict[str, Any] = {"frame": index * frames // max(samples, 1)}
        for key in PICTURES:
            row[key] = f"{target}_{source}/{row['frame']:06d}-{key}.jpg"
            write_jpeg(folder / row[key], seed=index * 10 + len(key))
        rows.append(row)
    return {
        "id": f"{target}_{source}",
        "target": target,
        "source": source,
        "frames": frames,
        "swapped": sum(labels),
        "labels": labels,
        "reasons": [{"reason": "NO_FACE", "frames": 6}, {"reason": "FACE_TOO_SMALL", "frames": 1}],
        "uri": "s3://facefoundry/conversions/0123456789abcdef0123456789abcdef01234567",
        "content_digest": "89abcdef" * 8,
        "samples": rows,
        "quality": {"seam_difference": 2.41, "outside_identical": 1.0},
        "identity": {
            "swap_to_source": 0.53,
            "swap_to_target": 0.72,
            "control_to_source": 0.63,
            "control_to_target": 0.57,
            "frames": 113,
        },
        "mouth_correlation": 0.93,
    }


def pair(folder: Path, a: str, b: str, state: str = "done", samples: int = 2) -> dict[str, Any]:
    steps = np.arange(0, 1900, 10)
    previews = []
    for iteration in (100, 1000, 1900) if samples else ():
        file = f"{a}_{b}/preview-{iteration:07d}.jpg"
        write_jpeg(folder / file, seed=iteration, width=256, height=128)
        previews.append({"iteration": iteration, "file": file})
    finished = state == "done"
    if state == "pending":
        return {"id": f"{a}_{b}", "a": a, "b": b, "state": state, "failure": None, "training": None, "fakes": []}
    return {
        "id": f"{a}_{b}",
        "a": a,
        "b": b,
        "state": state,
        "failure": None,
        "training": {
            "uri": "s3://facefoundry/trainings/4567",
            "model_uri": "s3://facefoundry/models/4567/1900" if finished else "",
            "iterations": 1900,
            "iteration": 1900 if finished else 700,
            "seconds": 104.2,
            "iterations_per_second": 18.2,
            "attempt": 1,
            "losses": [
                [int(step), 0.03 + 0.2 * float(np.exp(-step / 300)), 0.04 + 0.17 * float(np.exp(-step / 260))]
                for step in steps
            ],
            "previews": previews,
        },
        "fakes": [fake(folder, a, b, 115, samples), fake(folder, b, a, 120, samples)] if finished else [],
        "stages": [
            {"stage": f"extract {a}", "seconds": 6.1},
            {"stage": f"extract {b}", "seconds": 5.7},
            {"stage": "train", "seconds": 104.2},
            {"stage": f"convert {a}_{b}", "seconds": 14.9},
        ],
    }


def run(name: str, pairs: list[dict[str, Any]]) -> dict[str, Any]:
    ids = [id for pair in pairs for id in (pair["a"], pair["b"])]
    return {
        "format": "facefoundry.run/1",
        "name": name,
        "command": "facefoundry generate-models --local -i clips -o out --recipe preview -it 1900 --convert_images",
        "recipe": {
            "name": "preview",
            "version": "1",
            "description": "Small and fast, for minutes on a CPU. Not faithful to FaceForensics++.",
            "training": {"encoder_filters": [8, 16, 32, 64], "learning_rate": 0.002, "iterations": 1900},
            "compression": {"levels": [{"name": "raw", "crf": 0}, {"name": "c23", "crf": 23}]},
        },
        "created": "2026-03-04T05:06:07+00:00",
        "seconds": 162.4,
        "versions": {"facefoundry": "0.1.0", "keras": "3.15.1"},
        "seed": 7,
        "sequences": {
            id: {
                "frames": 115,
                "fps": "30000/1001",
                "width": 432,
                "height": 432,
                "faces": 108,
                "missing": [{"reason": "NO_FACE", "frames": 7}],
                "extraction_uri": "s3://facefoundry/extractions/89ab",
                "content_digest": "cdef0123" * 8,
            }
            for id in ids
        },
        "pairs": pairs,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder `misc/report` of an output folder."""
    path = tmp_path / "out" / "misc" / "report"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def make_pair(folder: Path) -> Callable[..., dict[str, Any]]:
    """Makes a pair's record and its pictures."""
    return lambda a="033", b="097", **options: pair(folder, a, b, **options)


@pytest.fixture
def save(folder: Path) -> Callable[..., Path]:
    """Writes a run record of pairs; returns the output folder."""

    def save(*pairs: dict[str, Any], name: str = "demo", **changes: Any) -> Path:
        (folder / "run.json").write_text(json.dumps(run(name, list(pairs)) | changes))
        return folder.parent.parent

    return save
