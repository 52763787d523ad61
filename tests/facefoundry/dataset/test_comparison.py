"""Whose face it is, from hand-made embeddings and landmarks."""

import numpy as np
import pytest

from facefoundry.dataset import comparison
from facefoundry.errors import InvalidInput
from facefoundry.faces.alignments import Alignments
from facefoundry.v1 import recipe_pb2


def _alignments(embedding=None, openings=None, found=None, frames=20):
    landmarks = np.zeros((frames, 68, 2), np.float32)
    landmarks[:, 36:42] = (0, 0)
    landmarks[:, 42:48] = (100, 0)
    landmarks[:, 62] = (50, 80)
    landmarks[:, 66] = (50, 80)
    if openings is not None:
        landmarks[:, 66, 1] += np.asarray(openings, np.float32)
    embeddings = None
    if embedding is not None:
        embeddings = np.zeros((frames, 128), np.float32)
        embeddings[:, :2] = embedding
    found = np.ones(frames, bool) if found is None else found
    return Alignments(
        boxes=np.tile(np.array([0, 0, 100, 100], np.int32), (frames, 1)),
        landmarks=landmarks,
        matrices=np.tile(np.array([[1, 0, 0], [0, 1, 0]], np.float64), (frames, 1, 1)),
        reasons=np.where(found, 0, 1).astype(np.uint8),
        frame_digests=np.zeros(frames, np.uint64),
        crop_digests=np.zeros(frames, np.uint64),
        frame_rate=(25, 1),
        width=200,
        height=200,
        decoder="test",
        engine="test",
        embeddings=embeddings,
    )


def test_distances_are_to_the_means_of_source_and_target_over_swapped_frames():
    swapped = np.ones(20, bool)
    swapped[:5] = False
    swap = _alignments(np.where(swapped[:, None], [0.1, 0.0], [9.0, 9.0]))
    result = comparison.identity(
        swap, _alignments([0.7, 0]), source=_alignments([0, 0]), target=_alignments([1, 0]), swapped=swapped
    )
    assert result.frames == 15
    assert (result.swap_to_source, result.swap_to_target) == pytest.approx((0.1, 0.9))
    assert (result.control_to_source, result.control_to_target) == pytest.approx((0.7, 0.3))


def test_frames_in_which_no_face_was_found_do_not_count():
    found = np.arange(20) >= 10
    result = comparison.identity(
        _alignments([0, 0], found=found),
        _alignments([0, 0]),
        _alignments([0, 0]),
        _alignments([1, 0]),
        np.ones(20, bool),
    )
    assert result.frames == 10


def test_identity_without_embeddings_is_refused():
    plain = _alignments()
    with pytest.raises(InvalidInput, match=r"extraction\.identity"):
        comparison.identity(plain, plain, plain, plain, np.ones(20, bool))


def test_the_mouth_opening_is_measured_in_eye_distances():
    assert comparison.mouth_opening(_alignments(openings=np.full(20, 30.0)).landmarks) == pytest.approx(
        np.full(20, 0.3)
    )


def test_a_mouth_that_follows_correlates_and_one_that_does_the_opposite_anticorrelates():
    moves = 10 + 5 * np.sin(np.arange(20))
    target = _alignments(openings=moves)
    everything = np.ones(20, bool)
    assert comparison.mouth_correlation(_alignments(openings=2 * moves), target, everything) == pytest.approx(
        1, abs=1e-3
    )
    assert comparison.mouth_correlation(_alignments(openings=30 - moves), target, everything) == pytest.approx(
        -1, abs=1e-3
    )


def test_too_few_frames_and_a_still_mouth_give_no_correlation():
    moves = np.sin(np.arange(20))
    few = np.arange(20) < 9
    assert comparison.mouth_correlation(_alignments(openings=moves), _alignments(openings=moves), few) is None
    assert comparison.mouth_correlation(_alignments(openings=moves), _alignments(), np.ones(20, bool)) is None


def test_a_fake_with_discard_is_compared_with_the_frames_it_has():
    openings = np.random.default_rng(1).uniform(0, 30, 20)
    target = _alignments(openings=openings)
    conversion = recipe_pb2.ConversionOptions(discard=True)
    conversion.frame_ranges.add(first=2, last=8)
    conversion.frame_ranges.add(first=13)
    frames = [*range(2, 9), *range(13, 20)]
    swap = _alignments(openings=openings[frames], frames=len(frames))
    target_faces = comparison.converted_frames(target, conversion)
    assert comparison.mouth_correlation(swap, target_faces, np.ones(len(frames), bool)) == pytest.approx(1)
    conversion.discard = False
    assert comparison.converted_frames(target, conversion) is target
