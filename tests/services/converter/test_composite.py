"""One face on one frame, against the plain whole-frame path written with nothing but cv2 and numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.reference import conversion as ffpp
from benchmarks.reference.conversion import Blend
from services.converter.composite import Patch, composite
from services.converter.mask import MaskOptions
from tests.opencv341.recorded import recorded
from tests.services.converter.agreement import assert_within_a_level

FFPP = MaskOptions("facehullandrect", 0, 2)
WIDTH, HEIGHT = 641, 361
CLONES = ("opencv-3.4.1", "opencv-5")


@dataclass(frozen=True)
class Scene:
    """A frame, what the network gives for it, and where the face is."""

    frame: NDArray[np.uint8]
    face: NDArray[np.float32]
    matrix: NDArray[np.float64]
    landmarks: NDArray[np.float32]


def scene(center: tuple[float, float], size: float, angle: float, seed: int = 0) -> Scene:
    """A face of `size` pixels, turned by `angle` degrees; the landmarks lie on an oval a bit within the square."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (HEIGHT // 20, WIDTH // 20, 3), dtype=np.uint8)
    frame = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    face = cv2.resize(rng.random((7, 7, 3), dtype=np.float32), (64, 64), interpolation=cv2.INTER_CUBIC)
    turn = np.deg2rad(angle)
    linear = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) / size
    matrix = np.column_stack([linear, np.array([0.5, 0.5]) - linear @ np.array(center)])
    around = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    oval = np.column_stack([0.46 * np.cos(around), 0.1 + 0.55 * np.sin(around)]) * size
    landmarks = np.trunc(oval @ np.linalg.inv(linear * size).T + np.array(center)).astype(np.float32)
    return Scene(frame, face, matrix, landmarks)


Place = tuple[tuple[float, float], float, float]


def whole_frame(given: Scene, options: MaskOptions = FFPP, clone: str = CLONES[0]) -> Blend:
    """FF++'s conversion of the scene."""
    warped = ffpp.paste(np.clip(given.face * 255, 0, 255).astype(np.uint8), given.frame, given.matrix)
    blend = ffpp.blend(given.frame, warped, soft_mask(given, options), installed=clone == "opencv-5")
    assert blend is not None
    return blend


def soft_mask(given: Scene, options: MaskOptions) -> NDArray[np.float64]:
    return ffpp.soft_mask(given.frame.shape, given.matrix, given.landmarks, *options)


def touched(blend: Blend) -> NDArray[np.uint8]:
    return np.where(blend.soft[:, :, 0] > 1e-9, 255, 0).astype(np.uint8)


def put(given: Scene, options: MaskOptions = FFPP, clone: str | None = CLONES[0]) -> Patch | None:
    return composite(given.frame, given.face, given.matrix, given.landmarks, options, clone)


def must_put(given: Scene, options: MaskOptions = FFPP, clone: str | None = CLONES[0]) -> Patch:
    patch = put(given, options, clone)
    assert patch is not None
    return patch


INSIDE = [((320.0, 180.0), 150.0, 0.0), ((200.5, 150.2), 97.3, 17.0), ((430.0, 200.0), 210.0, -31.0), ((90, 80), 60, 5)]
BORDER = [((40.0, 180.0), 150.0, 8.0), ((600.0, 180.0), 160.0, -9.0), ((320.0, 20.0), 130.0, 3.0), ((320, 345), 140, 0)]
OUTSIDE = [((-300.0, 100.0), 100.0, 0.0), ((320.0, 900.0), 120.0, 5.0), ((300.0, 200.0), 1.5, 0.0)]
CORNERS = [((10.0, 10.0), 160.0, 0.0), ((635.0, 355.0), 170.0, 12.0), ((5.0, 350.0), 150.0, -5.0), ((630, 8), 140, 20)]


@pytest.mark.parametrize("case", recorded("face"))
def test_a_converted_frame_is_that_of_opencv_341(case: dict[str, Any]) -> None:
    frame, face = case["frame"], case["made"].astype(np.float32) / np.float32(255)
    patch = composite(frame, face, case["matrix"], case["landmarks"].astype(np.float32), FFPP, CLONES[0])
    assert patch is not None
    assert tuple(patch.box) == tuple(case["box"])
    np.testing.assert_array_equal(patch.blend_mask(frame.shape) > 0, case["soft"] > 1e-9)
    output, (x, y, width, height) = patch.apply(frame).astype(int), case["box"]
    difference = np.abs(output - case["output"])[y : y + height, x : x + width]
    assert difference.max() <= 2
    assert (difference <= 1).mean() >= 0.999
    changed = (output != frame).any(axis=2)
    changed[y + 1 : y + height - 1, x + 1 : x + width - 1] = False
    assert not changed.any()


@pytest.mark.parametrize("clone", CLONES)
@pytest.mark.parametrize("place", INSIDE + BORDER + CORNERS)
def test_the_region_path_is_within_a_level_of_the_whole_frame_path(place: Place, clone: str) -> None:
    given = scene(*place)
    expected = whole_frame(given, clone=clone)
    patch = must_put(given, clone=clone)
    np.testing.assert_array_equal(patch.box_mask(given.frame.shape), expected.box)
    np.testing.assert_array_equal(patch.blend_mask(given.frame.shape), touched(expected))
    if expected.output is not None:
        assert_within_a_level(patch.apply(given.frame), expected.output)
    else:
        assert clone == "opencv-5" and place in BORDER + CORNERS


@pytest.mark.parametrize(
    "options",
    [
        MaskOptions("facehull", 0, 2),
        MaskOptions("rect", 0, 2),
        MaskOptions("facehullandrect", 7, 5),
        MaskOptions("facehullandrect", -9, 0),
        MaskOptions("rect", 4, 16),
    ],
)
@pytest.mark.parametrize("clone", CLONES)
@pytest.mark.parametrize("place", [INSIDE[1], BORDER[0], CORNERS[1]])
def test_every_kind_of_mask_agrees_with_the_whole_frame_path(options: MaskOptions, place: Place, clone: str) -> None:
    given = scene(*place, seed=3)
    expected = whole_frame(given, options, clone)
    patch = must_put(given, options, clone)
    np.testing.assert_array_equal(patch.box_mask(given.frame.shape), expected.box)
    np.testing.assert_array_equal(patch.blend_mask(given.frame.shape), touched(expected))
    if expected.output is not None:
        assert_within_a_level(patch.apply(given.frame), expected.output)


@pytest.mark.parametrize("clone", CLONES)
@pytest.mark.parametrize("place", INSIDE + BORDER + CORNERS)
def test_the_outermost_pixels_of_the_rectangle_and_all_outside_it_stay_as_they_were(place: Place, clone: str) -> None:
    given = scene(*place)
    before = given.frame.copy()
    x, y, width, height = whole_frame(given, clone=clone).destination
    x, y = min(max(x, 0), WIDTH - width), min(max(y, 0), HEIGHT - height)
    output = must_put(given, clone=clone).apply(given.frame)
    np.testing.assert_array_equal(given.frame, before)
    changed = (output != given.frame).any(axis=2)
    assert changed[y + 1 : y + height - 1, x + 1 : x + width - 1].mean() > 0.8
    changed[y + 1 : y + height - 1, x + 1 : x + width - 1] = False
    assert not changed.any()


def test_a_face_of_another_light_changes_pixels_up_to_the_edge_of_the_box_and_no_further() -> None:
    given = scene(*INSIDE[0])
    patch = must_put(given)
    rows, columns = np.nonzero((patch.apply(given.frame) != given.frame).any(axis=2))
    box = patch.box
    assert (columns.min(), rows.min()) == (box.x + 1, box.y + 1)
    assert (columns.max(), rows.max()) == (box.x + box.width - 2, box.y + box.height - 2)


def test_the_clone_of_opencv_5_changes_pixels_outside_the_box_too() -> None:
    given = scene(*INSIDE[0])
    patch = must_put(given, clone="opencv-5")
    changed = (patch.apply(given.frame) != given.frame).any(axis=2)
    assert (changed & (patch.box_mask(given.frame.shape) == 0)).any()


def test_the_box_and_the_blended_area_differ_so_one_mask_would_not_do() -> None:
    given = scene(*INSIDE[0])
    patch = must_put(given)
    box, blend = patch.box_mask(given.frame.shape), patch.blend_mask(given.frame.shape)
    assert ((blend == 0) & (box == 255)).any() and ((blend == 255) & (box == 0)).any()


def test_the_box_leaves_out_its_last_row_and_column() -> None:
    given = scene(*INSIDE[0])
    patch = must_put(given, MaskOptions("rect", 0, 0))
    covered = np.nonzero(patch.blend_mask(given.frame.shape))
    assert patch.box.x + patch.box.width <= covered[1].max()
    assert patch.box.y + patch.box.height <= covered[0].max()


@pytest.mark.parametrize(
    "place", [((-300.0, 100.0), 100.0, 0.0), ((320.0, 900.0), 120.0, 5.0), ((300.0, 200.0), 1.5, 0.0)]
)
def test_a_face_outside_the_frame_or_too_small_leaves_it_unchanged(
    place: Place,
) -> None:
    assert put(scene(*place)) is None


def test_a_matrix_without_inverse_leaves_the_frame_unchanged() -> None:
    given = scene(*INSIDE[0])
    assert put(Scene(given.frame, given.face, np.zeros((2, 3)), given.landmarks)) is None


def test_alpha_blending_mixes_by_the_soft_mask() -> None:
    given = scene(*INSIDE[1])
    patch = must_put(given, clone=None)
    output = patch.apply(given.frame)
    outside = patch.blend_mask(given.frame.shape) == 0
    np.testing.assert_array_equal(output[outside], given.frame[outside])
    center = (int(200.5), int(150.2))
    face = np.clip(given.face * 255, 0, 255).astype(np.uint8)
    assert np.abs(output[center[1], center[0]].astype(int) - face[32, 32]).max() <= 12
