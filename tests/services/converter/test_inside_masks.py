"""A fake changes pixels strictly inside its mask only; where that is not so, its labels say it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facefoundry.media.read import open_source
from facefoundry.storage.info import ConversionFacts
from facefoundry.storage.parts import CHUNKS
from facefoundry.work.workspace import Workspace
from services.converter import chunks, pipeline
from services.converter.functions import ConvertArgs
from tests.services.child import do
from tests.services.converter.conftest import CONVERSION, LEVELS

Arguments = Callable[..., tuple[ConvertArgs, Workspace]]


def collect(arguments: ConvertArgs, workspace: Workspace) -> tuple[dict[str, Path], ConversionFacts]:
    done = do(pipeline.convert(replace(arguments, levels=LEVELS[:1]), workspace), workspace)
    return done.parts, done.result.info


def labels_of(parts: dict[str, Path]) -> Any:
    return json.loads(parts["labels.json"].read_bytes())


def not_strictly_inside(parts: dict[str, Path]) -> list[int]:
    """Changed pixels of each frame outside its mask or on the mask's outermost rows and columns, from the videos."""
    counts = []
    with open_source(parts["masks.mp4"]) as boxes, open_source(parts["masks_changed.mp4"]) as changes:
        for box, changed in zip(boxes, changes, strict=True):
            inside = cv2.erode(box, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
            counts.append(int((changed.any(axis=2) & ~inside.any(axis=2)).sum()))
    return counts


def with_one_more_change(path: Path, frames: list[NDArray[np.uint8]], frame: int, to: Path) -> Path:
    """A chunk in which one more pixel of a frame is changed, on the upper edge of its mask."""
    writer = chunks.ChunkWriter(to)
    for target, row, patch in chunks.read(path, range(8), iter(frames)):
        if row.frame == frame:
            assert patch is not None
            place = patch.box.y - patch.region.top, patch.box.x - patch.region.left + 7
            patch.pixels[place] = 255 - target[patch.box.y, patch.box.x + 7]
        writer.add(target, row, patch)
    return writer.close()


def test_a_fake_changes_pixels_strictly_inside_its_mask_only(convert_arguments: Arguments) -> None:
    parts, result = collect(*convert_arguments())
    labels = labels_of(parts)
    assert not any(not_strictly_inside(parts))
    assert not any(row["changed_outside"] for row in labels["frames"])
    assert labels["changed_outside"] == result.quality["changed_outside"] == 0


@pytest.mark.parametrize("other", [{"clone": "opencv-5"}, {"clone": None, "seamless": False}])
def test_other_changed_pixels_are_counted_in_the_labels_of_every_frame(
    convert_arguments: Arguments, other: dict[str, Any]
) -> None:
    parts, result = collect(*convert_arguments(options=replace(CONVERSION, **other)))
    labels, counts = labels_of(parts), not_strictly_inside(parts)
    assert [row["changed_outside"] for row in labels["frames"]] == counts
    assert [row["swapped"] for row in labels["frames"]] == [count > 0 for count in counts]
    assert labels["changed_outside"] == result.quality["changed_outside"] == sum(counts)


def test_a_finished_chunk_that_changes_another_pixel_is_counted_too(
    convert_arguments: Arguments, clip: Any, tmp_path: Path
) -> None:
    parts, _ = collect(*convert_arguments())
    chunk_files = {name: path for name, path in parts.items() if CHUNKS.matches(name)}
    first = "chunk-00000.tar"
    chunk_files[first] = with_one_more_change(chunk_files[first], clip.frames, 5, tmp_path / first)
    parts, result = collect(*convert_arguments(chunk_files=chunk_files))
    labels = labels_of(parts)
    assert {row["frame"]: row["changed_outside"] for row in labels["frames"] if row["changed_outside"]} == {5: 1}
    assert labels["changed_outside"] == result.quality["changed_outside"] == 1
