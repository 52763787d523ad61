"""Large-scale colours of a face: taken from the target, without its light and its background."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from facefoundry.faces.mean_face import MEAN_FACE
from services.converter.colours import of_target

LUMA = np.array([0.114, 0.587, 0.299])
SKIN = np.array([120, 140, 190], np.uint8)
# Yellow light: less blue, and so much more red that the luma stays.
YELLOW = np.array([-0.2, 0, 0.2 * LUMA[0] / LUMA[2]])


def points(size: int) -> NDArray[np.float32]:
    """The mean face, with a jaw below it."""
    jaw = np.stack([np.linspace(-0.05, 1.05, 17), 1.1 - 4 * np.linspace(-0.5, 0.5, 17) ** 2], axis=1)
    return (np.concatenate([jaw, MEAN_FACE]) * size).astype(np.float32)


def skin(size: int) -> NDArray[np.uint8]:
    return np.tile(SKIN, (size, size, 1))


def lit(size: int, centre: tuple[float, float], radius: float) -> NDArray[np.float32]:
    """Skin with a lamp's light around a centre, (x, y) in sides of the square."""
    places = (np.arange(size) + 0.5) / size
    distances = np.hypot((places - centre[0])[None, :], (places - centre[1])[:, None])
    share = np.exp(-0.5 * (distances / radius) ** 2)
    return (SKIN / 255 + share[:, :, None] * YELLOW).astype(np.float32)


@pytest.mark.parametrize("size", [64, 96])
def test_a_lamp_beside_the_source_leaves_no_coloured_cheek(size: int):
    face = lit(size, (0.8, 0.6), 0.12)
    made, cheek = of_target(face, skin(size), points(size)), slice(size // 2, int(0.9 * size))
    before, after = (np.abs(picture - SKIN / 255)[size // 4 : -size // 4, cheek].max() for picture in (face, made))
    assert before > 0.19 and after < 0.08


def test_the_colour_of_lips_stays_the_sources():
    face = (skin(64) / 255).astype(np.float32)
    face[50:52, 24:40] += YELLOW
    after = of_target(face, skin(64), points(64))
    assert (face - after)[50:52, 24:40, 0].min() > -0.06


def test_light_and_shade_stay_the_networks():
    random = np.random.default_rng(0)
    face = random.uniform(0, 1, (64, 64, 3)).astype(np.float32)
    target = random.integers(0, 256, (64, 64, 3), np.uint8)
    np.testing.assert_allclose(of_target(face, target, points(64)) @ LUMA, face @ LUMA, atol=1e-5)


def test_the_targets_background_colours_no_face():
    turned = points(64) * [0.7, 1]
    target, wall = skin(64), skin(64)
    wall[:, 52:] = (255, 0, 0)
    face = lit(64, (0.3, 0.6), 0.1)
    made, plain = (of_target(face, picture, turned) for picture in (wall, target))
    np.testing.assert_array_equal(made, plain)
    assert (of_target(face, wall, points(64)) != plain).any()
