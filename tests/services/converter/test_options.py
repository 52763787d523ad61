"""The converter's options of 2018 on odd places, against the same steps over whole frames in plain cv2 and numpy."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.reference import cloning, conversion
from services.converter.composite import Patch, composite
from services.converter.mask import MaskOptions
from tests.services.converter.agreement import assert_within_a_level

WIDTH, HEIGHT = 203, 151
CLONES = ("opencv-3.4.1", "opencv-5", None)


@dataclass(frozen=True)
class Scene:
    """A frame, what the network gives for it, and where the face is."""

    frame: NDArray[np.uint8]
    face: NDArray[np.float32]
    matrix: NDArray[np.float64]
    landmarks: NDArray[np.float32]


@dataclass(frozen=True)
class Reference:
    """What the whole-frame steps give; no output where no pixel of the mask reaches 255."""

    output: NDArray[np.uint8] | None
    box_mask: NDArray[np.uint8]
    blend_mask: NDArray[np.uint8]


def scene(center: tuple[float, float], size: float, angle: float, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> Scene:
    """A face of `size` pixels, turned by `angle` degrees; the landmarks lie on an oval that leaves the square below."""
    rng = np.random.default_rng(7)
    height, width = shape
    coarse = rng.integers(40, 216, (6, 8, 3), dtype=np.uint8)
    frame = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
    face = np.asarray(cv2.resize(rng.random((7, 7, 3), dtype=np.float32), (64, 64), interpolation=cv2.INTER_CUBIC))
    turn = np.deg2rad(angle)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    matrix = np.column_stack([rotation / size, np.array([0.5, 0.5]) - rotation / size @ np.array(center)])
    around = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    oval = np.column_stack([0.46 * np.cos(around), 0.1 + 0.55 * np.sin(around)]) * size
    return Scene(frame, face, matrix, np.trunc(oval @ rotation + np.array(center)).astype(np.float32))


def whole_frame(given: Scene, options: MaskOptions, clone: str | None) -> Reference:
    height, width = given.frame.shape[:2]
    soft = conversion.soft_mask(given.frame.shape, given.matrix, given.landmarks, *options)[:, :, 0]
    unit = np.clip(soft * 365, 0, 255).astype(np.uint8)
    box_mask, blend_mask = np.zeros((2, height, width), np.uint8)
    rows, columns = np.nonzero(unit == 255)
    if not rows.size or rows.max() == rows.min() or columns.max() == columns.min():
        return Reference(None, box_mask, blend_mask)
    top, bottom, left, right = rows.min(), rows.max(), columns.min(), columns.max()
    box_mask[top:bottom, left:right] = 255
    blend_mask[soft > 1e-9] = 255
    warped = conversion.paste(np.clip(given.face * 255, 0, 255).astype(np.uint8), given.frame, given.matrix)
    if clone is None:
        share = np.clip(soft, 0, 1)[:, :, None]
        return Reference(np.rint(share * warped + (1 - share) * given.frame).astype(np.uint8), box_mask, blend_mask)
    if clone == "opencv-3.4.1":
        box = (int(left), int(top), int(right - left), int(bottom - top))
        return Reference(cloning.clone(warped, given.frame, unit, box), box_mask, blend_mask)
    # OpenCV 5 takes no mask on the outermost pixels and no rectangle that leaves the frame, which is moved to the edge.
    unit[[0, -1]] = 0
    unit[:, [0, -1]] = 0
    _, _, wide, high = cv2.boundingRect(unit)
    x = min(max(left + (right - left) // 2, wide // 2), width - wide + wide // 2)
    y = min(max(top + (bottom - top) // 2, high // 2), height - high + high // 2)
    output = cv2.seamlessClone(warped, given.frame, unit, (int(x), int(y)), cv2.NORMAL_CLONE)
    return Reference(np.asarray(output, np.uint8), box_mask, blend_mask)


def put(given: Scene, options: MaskOptions, clone: str | None) -> Patch | None:
    return composite(given.frame, given.face, given.matrix, given.landmarks, options, clone)


def assert_agree(patch: Patch | None, expected: Reference, given: Scene) -> None:
    if expected.output is None:
        assert patch is None
        return
    assert patch is not None
    shape = given.frame.shape
    np.testing.assert_array_equal(patch.box_mask(shape), expected.box_mask)
    np.testing.assert_array_equal(patch.blend_mask(shape), expected.blend_mask)
    assert_within_a_level(patch.apply(given.frame), expected.output)


PLACES = {
    "inside": scene((100.4, 70.2), 62.3, 17.0),
    "left edge": scene((9.0, 75.0), 60.0, 8.0),
    "corner": scene((197.0, 148.0), 70.0, 12.0),
    "tiny": scene((60.0, 50.0), 9.0, -20.0),
    "larger than its frame": scene((20.0, 14.0), 90.0, 3.0, (29, 41)),
}
KINDS = ("rect", "facehull", "facehullandrect")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_option_agrees_with_the_whole_frame_steps(place: str, kind: str) -> None:
    given, blended = PLACES[place], 0
    for erosion, blur, clone in product((0, 1, 5, -4, -11), (0, 2, 7), CLONES):
        options = MaskOptions(kind, erosion, blur)
        expected = whole_frame(given, options, clone)
        assert_agree(put(given, options, clone), expected, given)
        blended += expected.output is not None
    assert blended >= 22, "most of these options leave something to compare"


@pytest.mark.parametrize("clone", CLONES)
@pytest.mark.parametrize("kind", KINDS)
def test_an_erosion_that_removes_everything_leaves_the_frame_unchanged(kind: str, clone: str | None) -> None:
    given = scene((100.0, 70.0), 30.0, 0.0)
    options = MaskOptions(kind, 60, 2)
    assert whole_frame(given, options, clone).output is None
    assert put(given, options, clone) is None


@pytest.mark.parametrize("clone", CLONES)
def test_a_mask_that_nowhere_reaches_255_leaves_the_frame_unchanged(clone: str | None) -> None:
    """B14: FF++ fell back to alpha blending here and returned a mask of 0 to 1, written as black."""
    given = scene((100.0, 70.0), 14.0, 0.0)
    assert put(given, MaskOptions("facehullandrect", 0, 2), clone) is not None
    spread = MaskOptions("facehullandrect", 0, 40)
    assert whole_frame(given, spread, clone).output is None
    assert put(given, spread, clone) is None


@pytest.mark.parametrize("kind", KINDS)
def test_erosion_shrinks_the_mask_and_a_negative_one_grows_it(kind: str) -> None:
    given = PLACES["inside"]

    def area(erosion: int) -> int:
        patch = put(given, MaskOptions(kind, erosion, 0), clone=None)
        assert patch is not None
        return int((patch.blend_mask(given.frame.shape) > 0).sum())

    assert area(9) < area(3) < area(0) < area(-3) < area(-9)


def test_the_mask_of_both_is_within_the_square_and_within_the_hull() -> None:
    given = PLACES["inside"]
    masks = {}
    for kind in KINDS:
        patch = put(given, MaskOptions(kind, 0, 0), clone=None)
        assert patch is not None
        masks[kind] = patch.blend_mask(given.frame.shape) > 0
    assert (masks["rect"] & ~masks["facehull"]).any() and (masks["facehull"] & ~masks["rect"]).any()
    np.testing.assert_array_equal(masks["facehullandrect"], masks["rect"] & masks["facehull"])


def test_seamless_takes_the_targets_colours_and_alpha_the_faces() -> None:
    given = PLACES["inside"]
    dark = Scene(given.frame, given.face * np.float32(0.1), given.matrix, given.landmarks)
    outputs = {}
    for clone in CLONES:
        patch = put(dark, MaskOptions("facehullandrect", 0, 2), clone)
        assert patch is not None
        outputs[clone] = patch.apply(given.frame)[60:80, 90:110].mean()
    assert outputs[None] < 26
    assert min(outputs["opencv-3.4.1"], outputs["opencv-5"]) > outputs[None] + 40
