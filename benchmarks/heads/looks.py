"""The five heads, and the poses in which they are drawn."""

from __future__ import annotations

from typing import Final

from tools.heads.job import Look
from tools.heads.mesh import Pose

__all__ = ["LOOKS", "POSES"]


def _look(
    name: str,
    shapes: dict[str, float],
    skin: str,
    iris: tuple[float, float, float],
    brow: tuple[float, float, float],
) -> Look:
    return Look(name, {f"macrodetails/{shape}": weight for shape, weight in shapes.items()}, skin, iris, brow)


LOOKS: Final = [
    _look(
        "young-woman",
        {"caucasian-female-young": 1.0},
        "young_caucasian_female/textures/young_lightskinned_female_diffuse.png",
        (0.10, 0.25, 0.40),
        (0.12, 0.07, 0.04),
    ),
    _look(
        "old-man",
        {"african-male-old": 1.0},
        "old_african_male/textures/old_darkskinned_male_diffuse.png",
        (0.05, 0.025, 0.01),
        (0.03, 0.03, 0.03),
    ),
    _look(
        "young-man",
        {"asian-male-young": 1.0},
        "young_asian_male/textures/young_lightskinned_male_diffuse3.png",
        (0.05, 0.025, 0.01),
        (0.02, 0.015, 0.01),
    ),
    _look(
        "dark-woman",
        {"african-female-young": 1.0},
        "young_african_female/textures/young_darkskinned_female_diffuse.png",
        (0.08, 0.04, 0.02),
        (0.01, 0.01, 0.01),
    ),
    _look(
        "middle-aged-man",
        {"caucasian-male-young": 0.5, "caucasian-male-old": 0.5},
        "middleage_caucasian_male/textures/middleage_lightskinned_male_diffuse.png",
        (0.10, 0.20, 0.12),
        (0.10, 0.08, 0.06),
    ),
]
"""Two women and three men who look as different as the parts allow."""

POSES: Final = [
    Pose(),
    *(Pose(yaw=angle) for angle in (-40.0, -20.0, 20.0, 40.0)),
    *(Pose(pitch=angle) for angle in (-40.0, -20.0, 20.0, 40.0)),
    *(Pose(roll=angle) for angle in (-40.0, -20.0, 20.0, 40.0)),
]
"""The front, and turns by 20 and 40 degrees around each axis."""
