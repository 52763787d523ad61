"""Invents the motion of a subject as curves: one value for each frame. The module `warp` draws the moved portrait."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Curve = NDArray[np.float64]


@dataclass(frozen=True)
class Motion:
    """The motion of one clip: curves, float64 [frames] each.

    Attributes:
        yaw: Turn of the head, radians; positive turns the nose to the picture's right.
        pitch: Nod of the head, radians; positive is down.
        roll: Tilt of the head on the neck, radians; positive is clockwise.
        lean: Tilt of the whole picture, radians.
        shift_x: Shift of the whole picture to the right, pixels.
        shift_y: Shift of the whole picture downwards, pixels.
        scale: Scale of the whole picture; 1 is the portrait's size.
        mouth: Opening of the mouth: 0 as in the portrait, 1 wide open, -1 pressed shut.
        width: Change of the mouth's width as a fraction of it: negative is narrower (as in "oo"), positive is wider.
        blink: How far the eyes are shut: 0 as in the portrait, 1 shut.
        brows: How far the brows are raised: 0 as in the portrait, 1 fully.
    """

    yaw: Curve
    pitch: Curve
    roll: Curve
    lean: Curve
    shift_x: Curve
    shift_y: Curve
    scale: Curve
    mouth: Curve
    width: Curve
    blink: Curve
    brows: Curve

    def __len__(self) -> int:
        return len(self.yaw)


def invent(seed: int, frames: int, frame_rate: int, closed: float) -> Motion:
    """Generate a motion: the head moves slowly, the mouth speaks, the eyes blink.

    Args:
        seed: Seed of all random choices; the same seed gives the same curves.
        frames: Number of frames.
        frame_rate: Frames per second.
        closed: Value of `Motion.mouth` between syllables, -1 to 0.
    """
    random = np.random.default_rng(seed)
    seconds = np.arange(frames) / frame_rate

    def wander(amplitude: float, period: float) -> Curve:
        """Return a slow irregular curve, the sum of three sine waves; the period is in seconds."""
        phases = random.uniform(0, 2 * np.pi, 3)
        periods = period * random.uniform(0.9, 1.1) * np.array([1.0, 0.618, 0.29])
        waves = np.sin(2 * np.pi * seconds[:, None] / periods + phases) * np.array([0.62, 0.3, 0.08])
        return np.asarray(amplitude * waves.sum(1))

    opening = _speech(random, seconds)
    return Motion(
        yaw=wander(0.30, 3.4),
        pitch=wander(0.14, 2.6),
        roll=wander(0.09, 3.0),
        lean=wander(0.07, 4.4),
        shift_x=wander(13, 3.8),
        shift_y=wander(7, 3.1),
        scale=1.03 + wander(0.05, 4.0),
        mouth=closed + (1 - closed) * opening,
        width=wander(0.10, 1.3) - 0.10 * opening,
        blink=_blinks(random, seconds),
        brows=np.clip(wander(0.9, 2.1) + 0.25, 0, 1),
    )


def _speech(random: np.random.Generator, seconds: Curve) -> Curve:
    """Return mouth openings in [0, 1]: syllables of about a third of a second, with pauses."""
    opening = np.zeros_like(seconds)
    start = 0.15
    while start < seconds[-1]:
        length = random.uniform(0.26, 0.42)
        height = random.choice([0.4, 0.6, 0.8, 1.0])
        bump = np.clip((seconds - start) / length, 0, 1)
        opening = np.maximum(opening, height * np.sin(np.pi * bump) ** 2)
        start += length * random.uniform(0.6, 0.95) + (random.uniform(0.2, 0.4) if random.random() < 0.25 else 0)
    return opening


def _blinks(random: np.random.Generator, seconds: Curve) -> Curve:
    """Return how far the eyes are shut, in [0, 1]: a blink about every 1.5 seconds, closing faster than opening."""
    shut = np.zeros_like(seconds)
    start = random.uniform(0.4, 0.8)
    while start < seconds[-1]:
        shut = np.maximum(shut, np.interp(seconds - start, [0, 0.09, 0.15, 0.34], [0, 1, 1, 0]))
        start += random.uniform(1.1, 1.7)
    return shut * shut * (3 - 2 * shut)
