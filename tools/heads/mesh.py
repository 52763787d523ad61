"""The base mesh of the heads: reading it, giving it a look, turning it, and projecting it to pixels.

Coordinates are decimetres: x to the person's left, y upwards, z to the front. NumPy alone is used, so Blender's Python
can import this module.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["CENTRE", "FACE", "Camera", "Mesh", "Pose", "eye_shape", "moved", "read_mesh", "shaped"]

Points = NDArray[np.float64]

CENTRE: Final = np.array([0.0, 7.0, 0.6])
"""The point at which the camera looks, a little above the middle of the neck; by default heads turn around it."""

FACE: Final = (0.0, 7.0, 1.3)
"""The middle of the face: a head that turns around it stays in the middle of the picture."""

_EYES: Final = np.array([0.0, 7.28, 1.25])


@dataclass(frozen=True)
class Mesh:
    """A mesh with texture coordinates.

    Attributes:
        vertices: float64 [n, 3].
        texture: float64 [m, 2], from 0 to 1, upwards.
        groups: For each group its faces, as (vertex, texture) numbers of each corner.
    """

    vertices: Points
    texture: Points
    groups: Mapping[str, list[list[tuple[int, int]]]]


@dataclass(frozen=True)
class Pose:
    """A pose in degrees: yaw to the person's left, pitch upwards, and roll to the person's right shoulder.

    Attributes:
        yaw: Turn around the upward axis.
        pitch: Turn around the axis to the left.
        roll: Turn around the axis to the front.
        centre: The point around which the head turns.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    centre: tuple[float, float, float] = (0.0, 7.0, 0.6)

    def __str__(self) -> str:
        """Return the angles that are not 0, such as `yaw 20`."""
        angles = {"yaw": self.yaw, "pitch": self.pitch, "roll": self.roll}
        return ", ".join(f"{name} {angle:+g}" for name, angle in angles.items() if angle) or "front"

    def matrix(self) -> Points:
        """Return the rotation around `centre`, float64 [4, 4]: first pitch, then yaw, then roll."""
        (sy, cy), (sp, cp), (sr, cr) = (
            (np.sin(angle), np.cos(angle)) for angle in np.deg2rad((self.yaw, self.pitch, self.roll))
        )
        turn = (
            np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
            @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
            @ np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
        )
        whole = np.eye(4)
        centre = np.array(self.centre)
        whole[:3, :3], whole[:3, 3] = turn, centre - turn @ centre
        return whole


@dataclass(frozen=True)
class Camera:
    """A camera in front of the head, for square pictures.

    Attributes:
        size: Side of a picture, pixels.
        distance: Distance from `CENTRE`.
        height: Height that a picture shows at that distance.
        lift: How much higher than `CENTRE` the camera is.
    """

    size: int
    distance: float = 12.0
    height: float = 3.4
    lift: float = 0.1

    @property
    def place(self) -> Points:
        """The camera's place, float64 [3]."""
        return np.asarray(CENTRE + np.array([0, self.lift, self.distance]), np.float64)

    @property
    def angle(self) -> float:
        """The angle of view, radians."""
        return float(2 * np.arctan(self.height / 2 / self.distance))

    def project(self, vertices: Points, pose: Pose) -> Points:
        """Return where vertices [n, 3] of a turned head are in its picture, pixels, float64 [n, 2]."""
        matrix = pose.matrix()
        seen = vertices @ matrix[:3, :3].T + matrix[:3, 3] - self.place
        scale = self.size * self.distance / self.height / -seen[:, 2:]
        return np.asarray(seen[:, :2] * scale * np.array([1, -1]) + (self.size - 1) / 2, np.float64)


def read_mesh(path: Path) -> Mesh:
    """Read a mesh in Wavefront's text format, with its vertices, texture coordinates, groups and faces."""
    vertices, texture, name = list[list[float]](), list[list[float]](), ""
    groups = dict[str, list[list[tuple[int, int]]]]()
    with path.open() as lines:
        for kind, *values in (line.split() for line in lines if line.strip()):
            if kind == "v":
                vertices.append([float(value) for value in values[:3]])
            elif kind == "vt":
                texture.append([float(value) for value in values[:2]])
            elif kind == "g":
                name = values[0]
            elif kind == "f":
                corners = [value.split("/") for value in values]
                groups.setdefault(name, []).append([(int(corner[0]) - 1, int(corner[1]) - 1) for corner in corners])
    return Mesh(np.array(vertices), np.array(texture), groups)


def shaped(mesh: Mesh, targets: Mapping[Path, float]) -> Points:
    """Return the vertices, float64 [n, 3], after moving them towards targets, with the eyes at the height of `_EYES`.

    Args:
        mesh: The base mesh.
        targets: How far to go towards each target, by its file.
    """
    vertices = moved(mesh.vertices, targets)
    middle = np.mean([eye_shape(mesh, vertices, side).mean(axis=0) for side in "lr"], axis=0)
    return np.asarray(vertices + (_EYES - middle), np.float64)


def moved(vertices: Points, targets: Mapping[Path, float]) -> Points:
    """Return vertices, float64 [n, 3], after moving them towards targets.

    Args:
        vertices: float64 [n, 3].
        targets: How far to go towards each target. A target is a text file, or a gzip of one, with a line for each
            vertex that it moves: its number, and its shift in x, y and z.
    """
    result = vertices.copy()
    for path, weight in targets.items():
        numbers, shifts = _target(path)
        np.add.at(result, numbers, weight * shifts)
    return result


@cache
def _target(path: Path) -> tuple[NDArray[np.int64], Points]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    values = np.array(rows, np.float64).reshape(-1, 4)
    return values[:, 0].astype(np.int64), values[:, 1:]


def eye_shape(mesh: Mesh, vertices: Points, side: str) -> Points:
    """Return the vertices, float64 [n, 3], of the left (`l`) or right (`r`) eyeball."""
    numbers = {vertex for face in mesh.groups[f"helper-{side}-eye"] for vertex, _ in face}
    return np.asarray(vertices[sorted(numbers)], np.float64)
