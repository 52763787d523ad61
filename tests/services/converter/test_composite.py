"""One face on one frame, against the plain whole-frame path written with nothing but cv2 and numpy."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from services.converter.composite import Patch, composite
from services.converter.mask import MaskOptions

FFPP = MaskOptions("facehullandrect", 0, 2)
WIDTH, HEIGHT = 641, 361


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


@dataclass(frozen=True)
class Reference:
    """What the whole-frame path gives."""

    output: NDArray[np.uint8] | None
    box_mask: NDArray[np.uint8]
    blend_mask: NDArray[np.uint8]
    destination: tuple[int, int, int, int]


Place = tuple[tuple[float, float], float, float]


def whole_frame(given: Scene, options: MaskOptions = FFPP) -> Reference:
    """The conversion over whole float64 frames of three channels, the soft mask going in as it is."""
    flags = cv2.WARP_INVERSE_MAP | cv2.INTER_CUBIC
    to_face = given.matrix * 64
    size = (WIDTH, HEIGHT)
    face = np.clip(given.face * 255, 0, 255).astype(np.uint8)
    warped = given.frame.copy()
    cv2.warpAffine(face, to_face, size, warped, flags, cv2.BORDER_TRANSPARENT)
    square = np.zeros((HEIGHT, WIDTH, 3))
    cv2.warpAffine(np.ones((64, 64, 3)), to_face, size, square, flags, cv2.BORDER_TRANSPARENT)
    hull = np.zeros((HEIGHT, WIDTH, 3))
    cv2.fillConvexPoly(hull, cv2.convexHull(given.landmarks.astype(int).astype(np.int32)), (1, 1, 1))
    soft = {"rect": square, "facehull": hull}.get(options.kind, square * hull)
    if options.erosion:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (abs(options.erosion),) * 2)
        soft = cv2.erode(soft, kernel) if options.erosion > 0 else cv2.dilate(soft, kernel)
    if options.blur:
        soft = cv2.blur(soft, (options.blur, options.blur))
    unit = np.clip(soft * 365, 0, 255).astype(np.uint8)
    rows, columns = np.nonzero(unit[:, :, 0] == 255)
    top, bottom, left, right = rows.min(), rows.max(), columns.min(), columns.max()
    center = (int(left + (right - left) // 2), int(top + (bottom - top) // 2))
    box_mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    box_mask[top:bottom, left:right] = 255
    inner = unit[:, :, 0].copy()
    inner[[0, -1]] = 0
    inner[:, [0, -1]] = 0
    _, _, width, height = cv2.boundingRect(inner)
    destination = (center[0] - width // 2, center[1] - height // 2, width, height)
    inside = destination[0] >= 0 and destination[1] >= 0
    inside = inside and destination[0] + width <= WIDTH and destination[1] + height <= HEIGHT
    output = cv2.seamlessClone(warped, given.frame, unit, center, cv2.NORMAL_CLONE) if inside else None
    return Reference(output, box_mask, np.where(soft[:, :, 0] > 1e-9, 255, 0).astype(np.uint8), destination)


def put(given: Scene, options: MaskOptions = FFPP, seamless: bool = True) -> Patch | None:
    return composite(given.frame, given.face, given.matrix, given.landmarks, options, seamless)


def must_put(given: Scene, options: MaskOptions = FFPP, seamless: bool = True) -> Patch:
    patch = put(given, options, seamless)
    assert patch is not None
    return patch


INSIDE = [((320.0, 180.0), 150.0, 0.0), ((200.5, 150.2), 97.3, 17.0), ((430.0, 200.0), 210.0, -31.0), ((90, 80), 60, 5)]
BORDER = [((40.0, 180.0), 150.0, 8.0), ((600.0, 180.0), 160.0, -9.0), ((320.0, 20.0), 130.0, 3.0), ((320, 345), 140, 0)]
OUTSIDE = [((-300.0, 100.0), 100.0, 0.0), ((320.0, 900.0), 120.0, 5.0), ((300.0, 200.0), 1.5, 0.0)]
CORNERS = [((10.0, 10.0), 160.0, 0.0), ((635.0, 355.0), 170.0, 12.0), ((5.0, 350.0), 150.0, -5.0), ((630, 8), 140, 20)]


@pytest.mark.parametrize("place", INSIDE + BORDER + CORNERS)
def test_the_region_path_gives_the_pixels_of_the_whole_frame_path(
    place: Place,
) -> None:
    given = scene(*place)
    expected = whole_frame(given)
    patch = must_put(given)
    np.testing.assert_array_equal(patch.box_mask(given.frame.shape), expected.box_mask)
    np.testing.assert_array_equal(patch.blend_mask(given.frame.shape), expected.blend_mask)
    if expected.output is not None:
        np.testing.assert_array_equal(patch.apply(given.frame), expected.output)
    else:
        assert place in BORDER + CORNERS


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
@pytest.mark.parametrize("place", [INSIDE[1], BORDER[0], CORNERS[1]])
def test_every_kind_of_mask_agrees_with_the_whole_frame_path(options: MaskOptions, place: Place) -> None:
    given = scene(*place, seed=3)
    expected = whole_frame(given, options)
    patch = must_put(given, options)
    np.testing.assert_array_equal(patch.box_mask(given.frame.shape), expected.box_mask)
    np.testing.assert_array_equal(patch.blend_mask(given.frame.shape), expected.blend_mask)
    if expected.output is not None:
        np.testing.assert_array_equal(patch.apply(given.frame), expected.output)


@pytest.mark.parametrize("place", INSIDE + BORDER + CORNERS)
def test_pixels_outside_the_destination_rectangle_stay_as_they_were(
    place: Place,
) -> None:
    given = scene(*place)
    before = given.frame.copy()
    x, y, width, height = whole_frame(given).destination
    x, y = min(max(x, 0), WIDTH - width), min(max(y, 0), HEIGHT - height)
    output = must_put(given).apply(given.frame)
    np.testing.assert_array_equal(given.frame, before)
    changed = (output != given.frame).any(axis=2)
    assert changed.any()
    changed[y : y + height, x : x + width] = False
    assert not changed.any()


def test_blending_changes_pixels_outside_the_box_so_one_mask_would_not_do() -> None:
    given = scene(*INSIDE[0])
    patch = must_put(given)
    changed = (patch.apply(given.frame) != given.frame).any(axis=2)
    assert (changed & (patch.box_mask(given.frame.shape) == 0)).any()
    assert ((patch.blend_mask(given.frame.shape) == 0) & (patch.box_mask(given.frame.shape) == 255)).any()


def test_the_box_leaves_out_its_last_row_and_column() -> None:
    given = scene(*INSIDE[0])
    patch = must_put(given, MaskOptions("rect", 0, 0))
    covered = np.nonzero(patch.blend_mask(given.frame.shape))
    assert patch.box.x + patch.box.width <= covered[1].max()
    assert patch.box.y + patch.box.height <= covered[0].max()


@pytest.mark.parametrize(
    "place", [((-300.0, 100.0), 100.0, 0.0), ((320.0, 900.0), 120.0, 5.0), ((300.0, 200.0), 1.5, 0.0)]
)
def test_a_face_outside_the_frame_or_too_small_leaves_it_untouched(
    place: Place,
) -> None:
    assert put(scene(*place)) is None


def test_a_matrix_without_inverse_leaves_the_frame_untouched() -> None:
    given = scene(*INSIDE[0])
    assert put(Scene(given.frame, given.face, np.zeros((2, 3)), given.landmarks)) is None


def test_alpha_blending_mixes_by_the_soft_mask() -> None:
    given = scene(*INSIDE[1])
    patch = must_put(given, seamless=False)
    output = patch.apply(given.frame)
    outside = patch.blend_mask(given.frame.shape) == 0
    np.testing.assert_array_equal(output[outside], given.frame[outside])
    center = (int(200.5), int(150.2))
    face = np.clip(given.face * 255, 0, 255).astype(np.uint8)
    assert np.abs(output[center[1], center[0]].astype(int) - face[32, 32]).max() <= 12
