"""The two ways to find faces that the command compares, on a small clip of a portrait."""

import cv2
import numpy as np
import pytest
from skimage import data

from benchmarks.extraction import extract, plain
from benchmarks.landmarks import distances, is_found
from benchmarks.material import write_clip


@pytest.fixture
def frames():
    """Four pictures of a face, the third of them black, uint8 [192, 192, 3] BGR."""
    face = np.ascontiguousarray(data.astronaut()[25:217, 130:322, ::-1])
    return [face, face, np.zeros_like(face), face]


def test_the_product_and_plain_dlib_find_the_same_face(tmp_path, frames):
    clip = write_clip(tmp_path / "clip.mp4", frames, crf=5)
    found, expected = extract(clip, "dlib"), plain(clip, keep=tmp_path / "kept")
    assert found.labels == ["FOUND", "FOUND", "NO_FACE", "FOUND"] and found.warned == ("GAPS",)
    assert is_found(found.points).tolist() == is_found(expected.points).tolist() == [True, True, False, True]
    assert np.nanmax(distances(found.points, expected.points)) < 0.1
    assert found.milliseconds > 0 and expected.milliseconds > 0
    assert plain(clip, keep=tmp_path / "kept").milliseconds == expected.milliseconds


def test_a_clip_without_a_face_is_all_missing(tmp_path, frames):
    folder = tmp_path / "black"
    folder.mkdir()
    cv2.imwrite(str(folder / "0.png"), frames[2])
    found, expected = extract(folder, "dlib"), plain(folder)
    assert (found.labels, found.warned) == (["NO_FACE"], ("NO_FACE_FOUND",))
    assert not is_found(found.points).any() and not is_found(expected.points).any()
