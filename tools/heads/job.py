"""What Blender is to draw: written by who wants heads, and read by `tools.heads.render` in Blender's Python."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tools.heads.mesh import Pose

__all__ = ["Colour", "Head", "Job", "Light", "Look", "Shot"]

Colour = tuple[float, float, float]
"""Red, green and blue from 0 to 1, linear."""


@dataclass(frozen=True)
class Look:
    """What one head looks like.

    Attributes:
        name: Its name, the beginning of its files' names.
        targets: Weight of each target, by its path below the folder of targets, without the suffixes.
        skin: Path of the picture of its skin, below the folder of skins.
        iris: Colour of its eyes.
        brow: Colour of its brows.
        tone: What the colour of its skin is multiplied by.
        hair: Colour of its hair and lashes; None for a head without them.
        teeth: Whether it has teeth and a tongue, which an open mouth shows.
    """

    name: str
    targets: dict[str, float]
    skin: str
    iris: Colour
    brow: Colour
    tone: Colour = (1.0, 1.0, 1.0)
    hair: Colour | None = None
    teeth: bool = False


@dataclass(frozen=True)
class Light:
    """A distant light, which shines from the camera before it is turned.

    Attributes:
        turn: Angles around x and y, radians: negative x is from above, negative y from the person's right.
        energy: Strength.
        colour: Colour.
    """

    turn: tuple[float, float] = (-0.6, -0.5)
    energy: float = 1.6
    colour: Colour = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Shot:
    """One picture of a head.

    Attributes:
        pose: How the head is turned.
        actions: Weight of each face action, such as `jawOpen`, by its name.
        gaze: Where the eyes look, degrees to the person's left and upwards.
        lights: Distant lights.
        around: Colour of the light from all around, and of the background.
    """

    pose: Pose = field(default_factory=Pose)
    actions: dict[str, float] = field(default_factory=dict)
    gaze: tuple[float, float] = (0.0, 0.0)
    lights: list[Light] = field(default_factory=lambda: [Light()])
    around: Colour = (0.35, 0.36, 0.38)


@dataclass(frozen=True)
class Head:
    """A head and its pictures."""

    look: Look
    shots: list[Shot]


@dataclass(frozen=True)
class Job:
    """What to draw.

    Attributes:
        mesh: File of the base mesh.
        targets: Folder of the targets.
        actions: Folder of the face actions.
        skins: Folder of the skins.
        out: Folder for the pictures, `<look>-<number of the shot>.png`, each with `.npy`, its landmarks in pixels,
            float64 [68, 2].
        size: Side of a picture, pixels.
        height: Height that a picture shows at the neck, decimetres.
        samples: Rays for each pixel.
        heads: The heads.
    """

    mesh: str
    targets: str
    actions: str
    skins: str
    out: str
    size: int
    height: float
    samples: int
    heads: list[Head]

    def write(self, path: Path) -> None:
        """Write the job as JSON."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Job:
        """Read what `write` wrote."""
        values = json.loads(path.read_text(), object_hook=_with_tuples)
        heads = [Head(Look(**head["look"]), [_shot(**shot) for shot in head["shots"]]) for head in values["heads"]]
        return cls(**{**values, "heads": heads})

    def picture(self, head: Head, number: int) -> Path:
        """Return the file of a head's picture, by the number of its shot."""
        return Path(self.out) / f"{head.look.name}-{number:02d}.png"


def _with_tuples(values: dict[str, Any]) -> dict[str, Any]:
    """Turn the arrays of numbers of a JSON object into tuples."""
    return {
        name: tuple(value) if isinstance(value, list) and value and isinstance(value[0], int | float) else value
        for name, value in values.items()
    }


def _shot(pose: dict[str, Any], lights: list[dict[str, Any]], **others: Any) -> Shot:
    return Shot(pose=Pose(**pose), lights=[Light(**light) for light in lights], **others)
