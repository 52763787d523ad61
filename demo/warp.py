"""Draws a portrait in the poses of a motion, by moving its pixels.

The canvas is the still portrait. A field is a function that gives the displacement of each canvas point. Drawing needs
the inverse of the field, which gives the canvas point of each frame pixel, so that every frame pixel is sampled once.
The inverse is found by fixed-point iteration, which converges because the fields are smooth and change slowly.

Lips and eyelids must separate and not stretch, so each is drawn as a layer with an edge. The inside of the mouth is
painted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from demo.motion import Motion
from demo.portraits import EYE_DISTANCE, Portrait

Array = NDArray[np.float32]
Field = Callable[[Array, Array], tuple[Array, Array]]

_COARSE = 4
"""Step of the grid on which the head's field is inverted, pixels; between its points the result is interpolated."""


def _bump(squared: Array) -> Array:
    """Return a weight that falls smoothly from 1 at radius 0 to 0 at radius 1 and beyond, given squared radii."""
    return np.asarray(np.clip(1 - squared, 0, None) ** 2, np.float32)


def _invert(field: Field, x: Array, y: Array, steps: int) -> tuple[Array, Array]:
    """Return the points that a field moves to (x, y): solve p + field(p) = (x, y) for p in a number of steps."""
    px, py = x, y
    for _ in range(steps):
        dx, dy = field(px, py)
        px, py = (x - dx).astype(np.float32), (y - dy).astype(np.float32)
    return px, py


@dataclass(frozen=True)
class Edge:
    """A curve y(x) through landmarks, the edge of a lip; beyond its ends it is horizontal.

    Attributes:
        xs: Ascending x of points on the curve, canvas pixels.
        ys: y of these points.
    """

    xs: NDArray[np.float64]
    ys: NDArray[np.float64]

    @classmethod
    def through(cls, points: NDArray[np.float64]) -> Edge:
        """Fit a polynomial of degree 4 at most to points [n, 2], (x, y)."""
        order = np.argsort(points[:, 0])
        x, y = points[order, 0], points[order, 1]
        fine = np.linspace(x[0], x[-1], 64)
        smooth = np.polynomial.Polynomial.fit(x, y, min(4, len(x) - 1))
        return cls(fine, np.asarray(smooth(fine)))

    def __call__(self, x: Array) -> Array:
        """Return the curve's y at each x."""
        return np.interp(x, self.xs, self.ys).astype(np.float32)


class Puppet:
    """Draws a portrait in any pose of a motion.

    Args:
        portrait: The portrait.
        size: Width and height of the frames, pixels.
    """

    def __init__(self, portrait: Portrait, size: int) -> None:
        self._canvas = portrait.canvas
        self._size = size
        points = portrait.landmarks
        self._nose = points[30]
        self._chin = points[8]
        self._centre = np.array([points[[0, 16], 0].mean(), (points[27, 1] + points[33, 1]) / 2])
        self._half_width = float(points[16, 0] - points[0, 0]) / 2
        self._reach = float(self._centre[1] - portrait.crown)
        self._neck = np.array([points[8, 0], points[8, 1] + 0.35 * EYE_DISTANCE])
        top = max(0.0, portrait.crown - 0.1 * EYE_DISTANCE)
        self._middle = np.array([self._centre[0], max(self._centre[1], top + size / 2)])
        self._brows = points[17:27]
        self._corners = points[[60, 64]]
        self._lip_top = Edge.through(points[[60, 61, 62, 63, 64]])
        self._lip_bottom = Edge.through(points[[60, 67, 66, 65, 64]])
        self._gap = float(np.clip(points[66, 1] - points[62, 1], 0, None))
        # The landmarks of the eyes are slightly too low and exclude the lashes.
        lift = np.array([0, 0.045 * EYE_DISTANCE])
        half = np.array([0.25, 0.105]) * EYE_DISTANCE
        self._eyes = [(points[first : first + 6].mean(0) - lift, half) for first in (36, 42)]
        hole = np.zeros(self._canvas.shape[:2], np.uint8)
        for middle, axes in self._eyes:
            cv2.ellipse(hole, (tuple(middle), tuple(2.1 * axes), 0), 255, -1)
        self._lids = cv2.inpaint(self._canvas, hole, 3, cv2.INPAINT_TELEA)

    def draw(self, motion: Motion, frame: int) -> NDArray[np.uint8]:
        """Draw the frame of the given number, uint8 [size, size, 3] BGR."""
        x, y = self._look_up(motion, frame)
        picture = self._sample(x, y)
        self._draw_eyes(picture, x, y, float(motion.blink[frame]))
        self._draw_mouth(picture, x, y, float(motion.mouth[frame]), float(motion.width[frame]))
        return np.clip(np.rint(picture), 0, 255).astype(np.uint8)

    def _sample(self, x: Array, y: Array, picture: NDArray[np.uint8] | None = None) -> Array:
        """Return the pixels of the canvas, or of another picture of its size, at points: float32 BGR."""
        picture = self._canvas if picture is None else picture
        sampled = cv2.remap(picture, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
        return np.asarray(sampled, np.float32)

    def _look_up(self, motion: Motion, frame: int) -> tuple[Array, Array]:
        """Return (x, y) of the canvas point that each pixel of a frame shows, two arrays [size, size].

        The motion of the whole picture (lean, shift, scale) is undone first, then the motion of head and brows.
        """
        coarse = np.arange(0, self._size + _COARSE, _COARSE, dtype=np.float32)
        x, y = np.meshgrid(coarse, coarse)
        angle, scale = float(motion.lean[frame]), float(motion.scale[frame])
        x = x - (self._size - 1) / 2 - float(motion.shift_x[frame])
        y = y - (self._size - 1) / 2 - float(motion.shift_y[frame])
        cosine, sine = np.cos(angle) / scale, np.sin(angle) / scale
        x, y = (
            (cosine * x + sine * y + self._middle[0]).astype(np.float32),
            (cosine * y - sine * x + self._middle[1]).astype(np.float32),
        )
        x, y = _invert(self._head_field(motion, frame), x, y, 8)
        matrix = np.array([[1 / _COARSE, 0, 0], [0, 1 / _COARSE, 0]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        shape = (self._size, self._size)
        return cv2.warpAffine(x, matrix, shape, flags=flags), cv2.warpAffine(y, matrix, shape, flags=flags)

    def _head_field(self, motion: Motion, frame: int) -> Field:
        """Return the field of the head's turn, nod and tilt and of the brows in one frame."""
        yaw, pitch, roll = (float(curve[frame]) for curve in (motion.yaw, motion.pitch, motion.roll))
        brows = float(motion.brows[frame])
        width, height = self._half_width, self._reach

        def field(x: Array, y: Array) -> tuple[Array, Array]:
            across, down = (x - self._centre[0]) / width, (y - self._centre[1]) / height
            head = _bump((across / 2.0) ** 2 + (down / 1.75) ** 2)
            face = _bump((across / 1.35) ** 2 + (down / 1.25) ** 2)
            nose = _bump(((x - self._nose[0]) / (0.55 * width)) ** 2 + ((y - self._nose[1]) / (0.6 * width)) ** 2)
            depth = width * (0.75 * face + 0.16 * nose)
            dx = np.sin(yaw) * depth + (np.cos(yaw) - 1) * (x - self._centre[0]) * head
            dy = np.sin(pitch) * depth + (np.cos(pitch) - 1) * (y - self._centre[1]) * head
            # A turning head also moves sideways on its neck.
            dx = dx + 0.22 * width * np.sin(yaw) * head - np.sin(roll) * (y - self._neck[1]) * head
            dy = dy + 0.12 * width * np.sin(pitch) * head + np.sin(roll) * (x - self._neck[0]) * head
            lift = np.zeros_like(x)
            for point in self._brows[::2]:
                across, down = (x - point[0]) / EYE_DISTANCE, (y - point[1]) / EYE_DISTANCE
                lift = np.maximum(lift, _bump((across / 0.42) ** 2 + ((down + 0.05) / 0.26) ** 2))
            return dx.astype(np.float32), (dy - 0.075 * EYE_DISTANCE * brows * lift).astype(np.float32)

        return field

    def _draw_eyes(self, picture: Array, x: Array, y: Array, shut: float) -> None:
        """Draw the upper lids, with lashes, over the eyes of a picture.

        Args:
            picture: float32 BGR [size, size, 3]; it is changed.
            x: x of the canvas point of every pixel.
            y: y of the canvas point of every pixel.
            shut: How far the eyes are shut, 0 to 1.
        """
        if shut <= 0:
            return
        for middle, half in self._eyes:
            window = _window(x, y, middle - 1.6 * half, middle + 1.6 * half)
            if window is None:
                continue
            px, py = x[window], y[window]
            across, down = (px - middle[0]) / half[0], (py - middle[1]) / half[1]
            arc = np.sqrt(np.clip(1 - across**2, 0, 1))
            below = (down - (1.65 * shut - 1) * arc) * half[1]
            lid = np.clip(0.5 - below, 0, 1) * np.clip(3.5 * (1.25 - across**2 - down**2), 0, 1)
            lashes = 0.6 * min(1.0, 4 * shut) * np.exp(-((below / 1.3) ** 2)) * np.clip(4 * arc, 0, 1)
            skin = self._sample(px, py, self._lids)
            open_eye = picture[window]
            picture[window] = (open_eye + (skin - open_eye) * lid[..., None]) * (1 - lashes[..., None])

    def _draw_mouth(self, picture: Array, x: Array, y: Array, opening: float, widening: float) -> None:
        """Move lips and jaw of a picture, and paint the inside of the mouth; arguments as in `_draw_eyes`.

        `opening` and `widening` are values of `Motion.mouth` and `Motion.width`.
        """
        left, right = self._corners
        middle = (left + right) / 2
        half = float(right[0] - left[0]) / 2
        chin = float(self._chin[1])
        lip = float(self._lip_bottom(np.array([middle[0]], np.float32))[0])
        drop = 0.33 * EYE_DISTANCE * opening if opening > 0 else 0.8 * self._gap * opening
        side = 2.8 * half
        window = _window(
            x, y, middle - (side, middle[1] - lip + 1.5 * half), np.array([middle[0] + side, chin + 1.2 * half])
        )
        if window is None:
            return
        px, py = x[window], y[window]

        def spread(x: Array, y: Array) -> Array:
            """Return the sideways displacement of the lips; it is equal for both lips, so that their corners meet."""
            near = _bump(((x - middle[0]) / (2.2 * half)) ** 2 + ((y - middle[1]) / (1.3 * half)) ** 2)
            return np.asarray(widening * (x - middle[0]) * near)

        def lower(x: Array, y: Array) -> tuple[Array, Array]:
            below = np.clip((y - self._lip_bottom(x)) / (chin - lip), 0, None)
            reach = half * (1 + 1.3 * np.clip(below, 0, 1))
            across = np.clip(1 - ((x - middle[0]) / reach) ** 2, 0, None)
            fade = _bump((np.clip(below - 0.75, 0, None) / 1.1) ** 2)
            return spread(x, y), (drop * across ** (1.0 + 0.5 * np.clip(below, 0, 1)) * fade).astype(np.float32)

        def upper(x: Array, y: Array) -> tuple[Array, Array]:
            above = np.clip((self._lip_top(x) - y) / (0.9 * half), 0, None)
            across = np.clip(1 - ((x - middle[0]) / half) ** 2, 0, None)
            return spread(x, y), (-0.10 * max(drop, 0) * across * _bump(above**2)).astype(np.float32)

        lx, ly = _invert(lower, px, py, 10)
        ux, uy = _invert(upper, px, py, 10)
        below = np.clip(ly - self._lip_bottom(lx) + 0.5, 0, 1)
        above = np.clip(self._lip_bottom(ux) - uy + 1.5, 0, 1)
        inside = _mouth_inside(px - middle[0], py - middle[1], half)
        inner = above[..., None] * self._sample(ux, uy) + (1 - above[..., None]) * inside
        picture[window] = below[..., None] * self._sample(lx, ly) + (1 - below[..., None]) * inner


def _mouth_inside(x: Array, y: Array, half: float) -> Array:
    """Paint the inside of the mouth, dark with some tongue: float32 BGR.

    Args:
        x: x of the pixels, relative to the middle of the mouth.
        y: y of the pixels, relative to the middle of the mouth.
        half: Half the width of the mouth.
    """
    tongue = np.clip(y / (0.36 * EYE_DISTANCE) - 0.45, 0, 0.55) * (1 - np.clip(np.abs(x) / half, 0, 1) ** 2)
    dark = np.array([26, 20, 44], np.float32)
    return np.asarray(dark + np.array([44, 46, 86], np.float32) * tongue[..., None], np.float32)


def _window(x: Array, y: Array, low: NDArray[np.float64], high: NDArray[np.float64]) -> tuple[slice, slice] | None:
    """Return the rows and columns of the smallest rectangle of frame pixels that shows a rectangle of the canvas.

    Args:
        x: x of the canvas point of every frame pixel.
        y: y of the canvas point of every frame pixel.
        low: Left upper corner of the canvas rectangle, (x, y).
        high: Right lower corner of the canvas rectangle, (x, y).

    Returns:
        Slices of rows and columns; None if no frame pixel shows the rectangle.
    """
    hit = (x >= low[0]) & (x <= high[0]) & (y >= low[1]) & (y <= high[1])
    rows, columns = np.flatnonzero(hit.any(1)), np.flatnonzero(hit.any(0))
    if len(rows) == 0:
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
