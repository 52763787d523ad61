"""Excluded frames: they have no face, their digest is their own, and what is measured leaves them out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray

from facefoundry import codec, recipes
from facefoundry.errors import InvalidInput, Unusable
from facefoundry.faces.alignments import EXCLUDED, FOUND, Alignments
from facefoundry.recipes import ranges
from facefoundry.storage.info import ExtractionInfo
from facefoundry.storage.store import Store
from facefoundry.v1 import extractor_pb2, recipe_pb2
from services.extractor import pipeline
from services.extractor.functions import Chosen, ExtractArgs, ExtractionOptions, FaceShares
from services.extractor.plan import plan_extraction
from tests.services.child import do, workspace
from tests.sources import put_source

Frames: TypeAlias = list[NDArray[np.uint8]]
FolderOf: TypeAlias = Callable[[Sequence[NDArray[np.uint8]]], Path]


def extract(
    source: Path,
    folder: Path,
    excluded: str,
    shares: FaceShares = FaceShares(),  # noqa: B008  # it is frozen
    chosen: Chosen | None = None,
) -> tuple[Alignments, ExtractionInfo]:
    made = workspace(folder, None)
    options = codec.from_values(ExtractionOptions, recipes.options(recipes.load("ffpp").extraction))
    arguments = ExtractArgs(
        clip_files=(str(source),),
        name="clip",
        options=replace(options, detect_every=5),
        part_frames=8,
        shares=shares,
        chosen=chosen,
        excluded=tuple({**item} for item in ranges.parse(excluded)),
    )
    done = do(pipeline.extract(arguments, made), made)
    return Alignments.from_bytes(done.parts["alignments.safetensors"].read_bytes()), done.result.info


def test_excluded_frames_have_no_face_and_are_counted_apart(
    tmp_path: Path, moving_face: Callable[[int], Frames], folder_of: FolderOf
) -> None:
    rows, info = extract(folder_of(moving_face(20)), tmp_path / "out", "0-2,7-9,18-max")
    excluded = [0, 1, 2, 7, 8, 9, 18, 19]
    assert rows.reasons.tolist() == [EXCLUDED if frame in excluded else FOUND for frame in range(20)]
    assert [(count.reason, count.frames) for count in info.missing] == [("EXCLUDED", 8)]
    assert (info.face_count, info.warnings, rows.share) == (12, [], 1.0)
    assert not rows.boxes[excluded].any() and b"facefoundry.alignments/2" in rows.to_bytes()
    used = Alignments.from_bytes(rows.take([3, 4]).to_bytes())
    assert b"facefoundry.alignments/1" in used.to_bytes()  # an earlier version reads it


def test_the_share_of_frames_with_a_face_is_that_of_the_used_frames(
    tmp_path: Path, moving_face: Callable[[int], Frames], folder_of: FolderOf
) -> None:
    frames = moving_face(20)
    source = folder_of([frame if number < 3 else frame * 0 + 90 for number, frame in enumerate(frames)])
    shares = FaceShares(warn=0.9, refuse=0.5)
    with pytest.raises(Unusable, match="3 of 20") as caught:
        extract(source, tmp_path / "all", "19-19", shares=shares)
    assert caught.value.reason == "FEW_FACES"
    assert extract(source, tmp_path / "used", "3-max", shares=shares)[1].warnings == []


def test_the_subject_who_moves_is_chosen_in_used_frames(
    tmp_path: Path, moving_face: Callable[[int], Frames], folder_of: FolderOf
) -> None:
    rows, _ = extract(
        folder_of(moving_face(12)), tmp_path / "out", "0-5", chosen=Chosen(kind="moving"), shares=FaceShares(0, 0)
    )
    assert rows.reasons.tolist() == [EXCLUDED] * 6 + [FOUND] * 6


def test_frames_beyond_the_end_are_refused(
    tmp_path: Path, moving_face: Callable[[int], Frames], folder_of: FolderOf
) -> None:
    with pytest.raises(InvalidInput, match=r"within the 5 frames of the clip, 0-4; got 3-5") as caught:
        extract(folder_of(moving_face(5)), tmp_path / "out", "3-5")
    assert caught.value.reason == "EXCLUDED_FRAMES"


def test_excluded_frames_are_part_of_the_digest(
    store: Store, moving_face: Callable[[int], Frames], video_of: FolderOf
) -> None:
    source_uri = put_source(store, video_of(moving_face(3)))

    def prefix(*excluded: recipe_pb2.FrameRange) -> str:
        request = extractor_pb2.ExtractRequest(
            source_uri=source_uri, sequence_id="a", recipe=recipe_pb2.Recipe(name="ffpp"), excluded_frames=excluded
        )
        return plan_extraction(store, request, lambda *_: None, 8, FaceShares()).prefix

    found = [prefix(), prefix(recipe_pb2.FrameRange(last=1)), prefix(recipe_pb2.FrameRange(last=2))]
    assert len(set(found)) == 3
    assert prefix(recipe_pb2.FrameRange(first=0, last=1)) == found[1]
    with pytest.raises(InvalidInput, match=r"excluded_frames\[1\] must begin after") as caught:
        prefix(recipe_pb2.FrameRange(first=5, last=9), recipe_pb2.FrameRange(first=9, last=12))
    assert caught.value.reason == "EXCLUDED_FRAMES"
