"""What a contact sheet shows, as it goes to the sandbox that draws it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

__all__ = ["Box", "Cell", "Row", "SheetPlan", "evenly"]

Box = tuple[int, int, int, int]
"""x, y, width and height, pixels of the frame."""

T = TypeVar("T")


@dataclass(frozen=True)
class Cell:
    """One picture of a sheet.

    Attributes:
        path: A video, a folder of frames, or a JPEG or PNG file. Empty shows nothing.
        frame: Number of the frame; None takes the one at `place`.
        place: Place of the frame in the video, from 0 to 1.
        is_picture: Whether `path` is a picture file.
        box: What is cut out, and grown by half on every side; None shows the whole frame.
        outline: A box to draw.
        points: Points to draw, (x, y) in pixels of the frame.
        matrix: Aligns the face, frame to unit square, 2 rows of 3 numbers; then `box` means nothing.
        words: Words at the lower edge.
    """

    path: str
    frame: int | None = None
    place: float = 0.0
    is_picture: bool = False
    box: Box | None = None
    outline: Box | None = None
    points: list[tuple[float, float]] = field(default_factory=list)
    matrix: list[list[float]] | None = None
    words: str = ""


@dataclass(frozen=True)
class Row:
    """A row of pictures below its caption.

    Attributes:
        caption: Words above the pictures.
        cells: The pictures.
        is_faulty: Whether the caption has another colour, as it names what is wrong.
        tiles: Side of its pictures in tiles of the sheet.
    """

    caption: str
    cells: list[Cell]
    is_faulty: bool = False
    tiles: int = 1


@dataclass(frozen=True)
class SheetPlan:
    """A whole sheet.

    Attributes:
        title: What it shows.
        rows: Its rows.
        tile: Side of a tile, pixels.
        is_clip: Whether its frames are those of one clip of any format; otherwise of videos that the product wrote.
        tolerate_damage: Whether damaged frames of the clip are shown as far as they can be read.
    """

    title: str
    rows: list[Row]
    tile: int = 120
    is_clip: bool = False
    tolerate_damage: bool = False


def evenly(items: Sequence[T], count: int) -> list[T]:
    """Return `count` evenly spaced items, the middle ones of equal parts; all of them if there are no more."""
    if len(items) <= count:
        return list(items)
    return [items[(2 * index + 1) * len(items) // (2 * count)] for index in range(count)]
