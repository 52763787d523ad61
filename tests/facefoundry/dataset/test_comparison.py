"""Whose face it is, from hand-made embeddings and landmarks."""

import numpy as np
import pytest

from facefoundry import recipes
from facefoundry.dataset import comparison
from facefoundry.errors import InvalidInput
from facefoundry.faces.alignments import Alignments
from facefoundry.recipes import ranges
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


def test_distances_are_to_the_means_of_source_and_target():
    result = comparison.identity(
        _alignments([0.1, 0]), _alignments([0.7, 0]), source=_alignments([0, 0]), target=_alignments([1, 0])
    )
    assert result.frames == 20
    assert (result.swap_to_source, result.swap_to_target) == pytest.approx((0.1, 0.9))
    assert (result.control_to_source, result.control_to_target) == pytest.approx((0.7, 0.3))


def test_frames_in_which_no_face_was_found_do_not_count():
    found = np.arange(20) >= 10
    result = comparison.identity(
        _alignments([0, 0], found=found), _alignments([0, 0]), _alignments([0, 0]), _alignments([1, 0])
    )
    assert result.frames == 10


def test_identity_without_embeddings_is_refused():
    plain = _alignments()
    with pytest.raises(InvalidInput, match=r"extraction\.identity"):
        comparison.identity(plain, plain, plain, plain)


def test_the_mouth_opening_is_measured_in_eye_distances():
    assert comparison.mouth_opening(_alignments(openings=np.full(20, 30.0)).landmarks) == pytest.approx(
        np.full(20, 0.3)
    )


def test_a_mouth_that_follows_correlates_and_one_that_does_the_opposite_anticorrelates():
    moves = 10 + 5 * np.sin(np.arange(20))
    target = _alignments(openings=moves)
    assert comparison.mouth_correlation(_alignments(openings=2 * moves), target) == pytest.approx(1, abs=1e-3)
    assert comparison.mouth_correlation(_alignments(openings=30 - moves), target) == pytest.approx(-1, abs=1e-3)


def test_too_few_frames_and_a_still_mouth_give_no_correlation():
    moves = np.sin(np.arange(20))
    few = _alignments(openings=moves, found=np.arange(20) < 9)
    assert comparison.mouth_correlation(few, _alignments(openings=moves)) is None
    assert comparison.mouth_correlation(_alignments(openings=moves), _alignments()) is None


def test_the_motion_of_a_mouth_is_measured_in_heights_of_the_face():
    target = _alignments(openings=np.where(np.arange(20) % 2, 20.0, 0.0))
    target.landmarks[:, 8], target.landmarks[:, 17:27] = (50, 160), (50, -40)
    assert comparison.mouth_motion(target) == pytest.approx(0.05)
    assert comparison.mouth_motion(_alignments(found=np.arange(20) < 9)) is None


def test_the_sampled_frames_are_spread_evenly_over_the_swapped_ones():
    swapped = np.ones(300, bool)
    swapped[100:200] = False
    frames = comparison.sampled_frames(swapped, recipe_pb2.ConversionOptions(), 300, count=5)
    assert frames == [0, 50, 200, 249, 299]
    assert comparison.sampled_frames(swapped, recipe_pb2.ConversionOptions(), 300, count=5) == frames


def test_every_swapped_frame_of_a_short_fake_is_sampled():
    swapped = np.array([True, False, True, True])
    assert comparison.sampled_frames(swapped, recipe_pb2.ConversionOptions(), 4) == [0, 2, 3]
    assert comparison.sampled_frames(np.zeros(4, bool), recipe_pb2.ConversionOptions(), 4) == []


@pytest.mark.parametrize(("discard", "expected"), [(True, [2, 5, 8]), (False, [0, 3, 6])])
def test_sampled_frames_are_numbers_of_the_targets_frames(discard, expected):
    conversion = recipe_pb2.ConversionOptions(discard=discard)
    conversion.frame_ranges.add(first=2, last=8)
    assert comparison.sampled_frames(np.ones(7, bool), conversion, 20, count=3) == expected


def test_the_sample_is_a_conversion_of_its_frames_alone_without_loss():
    recipe = recipes.load("preview")
    sample = comparison.sample_recipe(recipe, [3, 7])
    assert ranges.frame_numbers(ranges.of(sample.conversion), 10) == [3, 7]
    assert sample.conversion.discard
    assert [level.name for level in sample.compression.levels] == ["raw"]
    sample.conversion.discard = recipe.conversion.discard
    del sample.conversion.frame_ranges[:]
    assert sample.conversion == recipe.conversion
    assert len(recipe.compression.levels) > 1
