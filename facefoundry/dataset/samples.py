"""The sample pictures of sequences and fakes, in the run's folder: written from their tars, and found there."""

from __future__ import annotations

import re
from collections.abc import Sequence

from facefoundry import archive
from facefoundry.dataset import files
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.record import Sample

__all__ = ["Pictures", "add_picture", "find_samples", "samples_of", "unpack_samples"]

Pictures = dict[int, dict[str, str]]
"""The paths of sample pictures by frame number and then by view, relative to the run's folder. A view is what a picture
shows, such as `swap` or `masks`. An extraction has one picture for each frame, with the empty string as its view."""

_JPEG = re.compile(r"(?P<frame>\d{6})([/-](?P<view>[a-z_]+))?\.jpg")


def unpack_samples(data: bytes, layout: Layout, name: str) -> Pictures:
    """Write the sample pictures of an extraction or a conversion to the run's folder.

    Args:
        data: The tar of the pictures.
        layout: Names the path of the run's folder.
        name: Id of the sequence or fake, the folder of its pictures.
    """
    pictures: Pictures = {}
    for member, picture in archive.unpack(data).items():
        if _JPEG.fullmatch(member):
            relative = f"{name}/{member.replace('/', '-')}"
            files.write(layout.run_folder() / relative, picture)
            add_picture(pictures, relative)
    return dict(sorted(pictures.items()))


def find_samples(layout: Layout, name: str) -> Pictures:
    """Return the sample pictures that `unpack_samples` wrote for a sequence or a fake."""
    pictures: Pictures = {}
    for path in (layout.run_folder() / name).glob("*.jpg"):
        add_picture(pictures, f"{name}/{path.name}")
    return dict(sorted(pictures.items()))


def add_picture(pictures: Pictures, relative: str) -> None:
    """Add a picture by its path, unless its name is that of no picture."""
    if match := _JPEG.fullmatch(relative.rpartition("/")[2]):
        pictures.setdefault(int(match["frame"]), {})[match["view"] or ""] = relative


def samples_of(pictures: Pictures, faces: Sequence[str]) -> list[Sample]:
    """Return the samples of a fake.

    Args:
        pictures: The pictures of the fake.
        faces: Paths of pictures of the source, which are shown beside them in turn.
    """
    return [
        Sample(frame, source=faces[index % len(faces)] if faces else "", **views)
        for index, (frame, views) in enumerate(pictures.items())
    ]
