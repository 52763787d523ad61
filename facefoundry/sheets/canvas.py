"""Draws tiles and puts them together to a sheet. Pictures are uint8 [h, w, 3] BGR."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from facefoundry.faces.crop import cut
from facefoundry.sheets.plan import Box, Cell, Row, SheetPlan

__all__ = ["assemble", "side_of", "tile_of"]

Picture = NDArray[np.uint8]

_BACKGROUND, _TEXT, _FAULT, _MARK = (28, 28, 28), (235, 235, 235), (120, 170, 255), (90, 230, 120)
_FONT, _GAP, _CAPTION, _TITLE = cv2.FONT_HERSHEY_SIMPLEX, 4, 22, 34
_COLUMNS = 6  # at least, so that captions have room
_GROWN = 0.5
_CROP, _PADDING = 256, 48  # those of an extraction


def tile_of(picture: Picture, cell: Cell, side: int) -> Picture:
    """Return a square tile: the frame, or the part of it that the cell names, fitted and marked.

    Args:
        picture: The frame, or the picture of a file.
        cell: What is cut out and drawn.
        side: Side of the tile, pixels.
    """
    if cell.matrix is not None:
        part, left, top = cut(np.ascontiguousarray(picture), cell.matrix, _CROP, _PADDING), 0, 0
    else:
        part, left, top = _part(picture, cell.box)
    scale = side / max(part.shape[:2])
    size = max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale))
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    tile = np.full((side, side, 3), _BACKGROUND, np.uint8)
    down, across = (side - size[1]) // 2, (side - size[0]) // 2
    tile[down : down + size[1], across : across + size[0]] = small

    def place(x: float, y: float) -> tuple[int, int]:
        return round((x - left) * scale) + across, round((y - top) * scale) + down

    if cell.outline:
        x, y, width, height = cell.outline
        cv2.rectangle(tile, place(x, y), place(x + width, y + height), _MARK, 1, cv2.LINE_AA)
    for point in cell.points:
        cv2.circle(tile, place(*point), 1, _MARK, -1, cv2.LINE_AA)
    return tile


def side_of(row: Row, tile: int) -> int:
    """Return the side of the pictures of a row, pixels, so that they end where tiles end."""
    return row.tiles * (tile + _GAP) - _GAP


def assemble(plan: SheetPlan, tiles: Sequence[Sequence[Picture | None]]) -> Picture:
    """Put the tiles of a sheet together, below title and captions.

    Args:
        plan: The sheet.
        tiles: The tiles of each row; None for one that could not be read.
    """
    sides = [side_of(row, plan.tile) for row in plan.rows]
    columns = max((len(row.cells) * row.tiles for row in plan.rows), default=1)
    width = _GAP + max(columns, _COLUMNS) * (plan.tile + _GAP)
    height = _TITLE + sum(_CAPTION + side + _GAP for side in sides)
    sheet = np.full((height, width, 3), _BACKGROUND, np.uint8)
    _write(sheet, plan.title, (_GAP + 2, 23), 0.6, width - 2 * _GAP)
    top = _TITLE
    for row, made, side in zip(plan.rows, tiles, sides, strict=True):
        colour = _FAULT if row.is_faulty else _TEXT
        _write(sheet, row.caption, (_GAP + 2, top + 15), 0.42, width - 2 * _GAP, colour)
        _fill(sheet, row, made, top + _CAPTION, side)
        top += _CAPTION + side + _GAP
    return sheet


def _fill(sheet: Picture, row: Row, tiles: Sequence[Picture | None], top: int, side: int) -> None:
    for column, (cell, tile) in enumerate(zip(row.cells, tiles, strict=True)):
        left = _GAP + column * (side + _GAP)
        if tile is not None:
            sheet[top : top + side, left : left + side] = tile
        elif cell.path:
            _write(sheet, "not readable", (left + 6, top + side // 2), 0.4, side)
        if cell.words:
            _write(sheet, cell.words, (left + 4, top + side - 6), 0.38, side - 8, outlined=True)


def _part(picture: Picture, box: Box | None) -> tuple[Picture, int, int]:
    """Return the part of a picture around a box, and its left and upper edge in the picture."""
    if box is None:
        return picture, 0, 0
    x, y, width, height = box
    half = max(1, round((0.5 + _GROWN) * max(width, height)))
    left, top = max(0, x + width // 2 - half), max(0, y + height // 2 - half)
    part = picture[top : y + height // 2 + half, left : x + width // 2 + half]
    return (part, left, top) if part.size else (picture, 0, 0)


def _write(
    sheet: Picture,
    text: str,
    place: tuple[int, int],
    scale: float,
    room: int,
    colour: tuple[int, int, int] = _TEXT,
    *,
    outlined: bool = False,
) -> None:
    """Write a line of text, cut where there is no more room."""
    shown = text
    while shown and cv2.getTextSize(shown, _FONT, scale, 1)[0][0] > room:
        shown = f"{shown.removesuffix('...')[:-1]}..." if len(shown) > 4 else ""
    if outlined:
        cv2.putText(sheet, shown, place, _FONT, scale, _BACKGROUND, 3, cv2.LINE_AA)
    cv2.putText(sheet, shown, place, _FONT, scale, colour, 1, cv2.LINE_AA)
