"""The command that compares engines on clips: its bars, on made results."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.extraction import Extracted, Plain, untold
from benchmarks.faces import clip_row, failures

FACE = np.random.default_rng(0).uniform(0, 100, (68, 2))
FACE[36:42], FACE[42:48] = (30, 40), (70, 40)


def points(*frames):
    """Landmarks of a clip: for each frame the pixels by which the face is moved, or None where there is none."""
    return np.stack([np.full((68, 2), np.nan) if shift is None else FACE + np.array([shift, 0]) for shift in frames])


EXPECTED = Plain(points(0, 0, 0, 0, None), milliseconds=20)
FOUND = Extracted(points(2, 2, 2, 2, 2), ["FOUND"] * 5, tracked=3, warned=(), milliseconds=4.04)


def test_an_engine_that_finds_all_that_plain_dlib_finds_passes():
    assert list(failures(FOUND, EXPECTED)) == []
    assert clip_row("a.mp4", "dlib", FOUND, EXPECTED) == (
        "| a.mp4 | dlib | 5 of 5 | 0 |  | 3 |  | 0.0000 | 0.050, 0.050 | 4.0 |"
    )


def test_a_frame_that_only_plain_dlib_finds_is_lost():
    found = replace(FOUND, points=points(2, None, 2, 2, None), labels=["FOUND", "NO_FACE", "FOUND", "FOUND", "NO_FACE"])
    warned = replace(found, warned=("GAPS",))
    assert list(failures(warned, EXPECTED)) == ["plain dlib finds a face in 1 frame (1) in which it finds none."]
    assert "| 3 of 5 | 1 | NO_FACE 2 | 3 | GAPS |" in clip_row("a.mp4", "dlib", warned, EXPECTED)
    assert list(failures(found, EXPECTED))[1:] == ["no warning tells of the frames with the label NO_FACE."]


@pytest.mark.parametrize(("size", "passes"), [(1.2, True), (1.3, False)])
def test_landmarks_may_jitter_by_a_quarter_more_than_those_of_plain_dlib(size, passes):
    expected = Plain(points(0, 1, 0, 1, 0), milliseconds=20)
    found = replace(FOUND, points=points(0, size, 0, size, 0))
    assert (list(failures(found, expected)) == []) == passes


@pytest.mark.parametrize(
    ("labels", "warned", "expected"),
    [
        (["FOUND"], [], []),
        (["FOUND", "NO_FACE"], ["OTHER_PEOPLE"], ["NO_FACE"]),
        (["NO_FACE", "OTHER_PERSON"], ["GAPS"], ["OTHER_PERSON"]),
        (["NO_FACE", "OTHER_PERSON"], ["GAPS", "OTHER_PEOPLE"], []),
        (["FOUND", "NO_FACE"], ["FEW_FACES"], []),
        (["DAMAGED"], ["GAPS"], ["DAMAGED"]),
    ],
)
def test_every_label_of_a_frame_without_a_face_needs_its_own_warning(labels, warned, expected):
    assert untold(labels, warned) == expected
