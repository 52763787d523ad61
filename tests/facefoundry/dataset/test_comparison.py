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
    landmarks[:, 16] = (100, 0)
    landmarks[:, 62] = (50, 80)
    landmarks[:, 66] = (50, 80)
    if openings is not None:
        landmarks[:, 66, 1] += np.asarray(openings, np.float32)
    embeddings = None
    if embedding is not None:
        embeddings = np.zeros((frames, 128), np.float32)
        embeddings[:, :3] = (*embedding, 1)
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
    swap = _alignments([0.1, 0], found=found)
    swap.embeddings[~found] = 0
    result = comparison.identity(swap, _alignments([0.1, 0]), _alignments([0.1, 0]), _alignments([1, 0]))
    assert (result.frames, result.swap_to_source) == (10, 0)


def test_faces_that_were_not_embedded_do_not_count():
    swap, control = _alignments([0.1, 0]), _alignments([0.7, 0])
    for faces in (swap, control):
        faces.embeddings[np.arange(20) % 3 > 0] = 0
    result = comparison.identity(swap, control, _alignments([0.1, 0]), _alignments([1, 0]))
    assert (result.frames, result.nearer, result.gain) == (7, 0.9, 0.6)


def test_identity_without_embeddings_is_refused():
    plain = _alignments()
    with pytest.raises(InvalidInput, match=r"extraction\.identity"):
        comparison.identity(plain, plain, plain, plain)


def test_mouth_and_head_of_a_fake_are_compared_with_the_targets():
    moves = 10 + 5 * np.sin(np.arange(20))
    target = _alignments(openings=moves)
    target.landmarks[:, 30] = np.stack([50 + moves, np.full(20, 40.0)], axis=1)
    against = _alignments(openings=30 - moves)
    against.landmarks[:, 30] = target.landmarks[:, 30]
    figures = comparison.motion(against, target, range(20))
    assert figures["mouth"] == pytest.approx(-1, abs=1e-3)
    assert figures["head"] == pytest.approx(1, abs=1e-3)
    assert (figures["mouth_motion"] or 0) > 0 and (figures["head_motion"] or 0) > 0
    assert comparison.motion(target, target, range(20))["jitter"] == 1


def test_a_head_is_turned_by_the_place_of_its_nose_between_the_sides_of_the_jaw():
    face = _alignments()
    for nose, turned in ((50, 0.0), (75, 0.5), (25, 0.5), (100, 1.0)):
        face.landmarks[:, 30] = (nose, 40)
        assert comparison.motion(face, face, range(20))["head_turn"] == turned
    assert comparison.motion(face, _alignments(found=np.zeros(20, bool)), range(20))["head_turn"] is None


def test_only_frames_with_both_faces_are_compared():
    moves = np.sin(np.arange(20)) + 10
    few = comparison.motion(
        _alignments(openings=moves, found=np.arange(20) < 9), _alignments(openings=moves), range(20)
    )
    assert few["mouth"] is None and few["mouth_motion"] is None
    still = comparison.motion(_alignments(), _alignments(), range(20))
    assert (still["mouth"], still["jitter"]) == (None, None)


def test_the_sampled_frames_are_runs_of_three_spread_evenly_over_the_swapped_ones():
    swapped = np.ones(300, bool)
    swapped[100:200] = False
    frames = comparison.sampled_frames(swapped, recipe_pb2.ConversionOptions(), 300, count=9)
    assert frames == [0, 1, 2, 96, 97, 98, 295, 296, 297]
    assert len(comparison.sampled_frames(swapped, recipe_pb2.ConversionOptions(), 300)) == 36


def test_every_swapped_frame_of_a_short_fake_is_sampled():
    swapped = np.array([True, False, True, True])
    assert comparison.sampled_frames(swapped, recipe_pb2.ConversionOptions(), 4) == [0, 2, 3]
    assert comparison.sampled_frames(np.zeros(4, bool), recipe_pb2.ConversionOptions(), 4) == []


@pytest.mark.parametrize(("discard", "expected"), [(True, [2, 3, 4]), (False, [0, 1, 2])])
def test_sampled_frames_are_numbers_of_the_targets_frames(discard, expected):
    conversion = recipe_pb2.ConversionOptions(discard=discard)
    conversion.frame_ranges.add(first=2, last=8)
    assert comparison.sampled_frames(np.ones(7, bool), conversion, 20, count=3) == expected


def test_the_sample_is_a_conversion_of_its_frames_alone_without_loss():
    recipe = recipes.load("preview")
    sample = comparison.sample_recipe(recipe, [3, 7])
    assert ranges.frame_numbers(ranges.of(sample.conversion), 10) == [3, 7]
    assert sample.conversion.discard
    (level,) = sample.compression.levels
    assert (level.name, level.crf, level.preset) == ("raw", 0, "ultrafast")
    assert sample.conversion.batch_size == 3, "as many as the frames of a run"
    sample.conversion.discard, sample.conversion.batch_size = recipe.conversion.discard, recipe.conversion.batch_size
    del sample.conversion.frame_ranges[:]
    assert sample.conversion == recipe.conversion
    assert len(recipe.compression.levels) > 1 and recipe.compression.levels[0].preset != "ultrafast"
