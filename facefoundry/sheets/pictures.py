"""Decodes the frames of a contact sheet and draws it. It runs in a sandbox, as it reads media from others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facefoundry import codec
from facefoundry.checks.frames import decode
from facefoundry.checks.stream import read_stream
from facefoundry.codec import JsonObject
from facefoundry.errors import Unusable
from facefoundry.media.read import open_source
from facefoundry.sheets.canvas import assemble, side_of, tile_of
from facefoundry.sheets.plan import Cell, SheetPlan

__all__ = ["draw"]

Picture = NDArray[np.uint8]
_Places = dict[int, list[tuple[int, int]]]
"""Where in the sheet a frame is shown: its number, and row and column of each cell."""


def draw(plan: JsonObject, out: str) -> Iterator[JsonObject]:
    """Draw a sheet to a file, and yield the number of pictures that could not be read.

    Args:
        plan: A `SheetPlan`.
        out: Path of the PNG.
    """
    sheet = codec.from_values(SheetPlan, plan)
    tiles: list[list[Picture | None]] = [[None] * len(row.cells) for row in sheet.rows]

    def show(place: tuple[int, int], picture: NDArray[np.generic] | None) -> None:
        if picture is not None:
            side = side_of(sheet.rows[place[0]], sheet.tile)
            tiles[place[0]][place[1]] = tile_of(np.asarray(picture, np.uint8), cells[place], side)

    cells = {
        (row, column): cell
        for row, line in enumerate(sheet.rows)
        for column, cell in enumerate(line.cells)
        if cell.path
    }
    by_video: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for place, cell in cells.items():
        if cell.is_picture:
            show(place, cv2.imread(cell.path))
        else:
            by_video[cell.path].append(place)
    for path, places in by_video.items():
        try:
            for shown, frame in _frames(Path(path), {place: cells[place] for place in places}, sheet):
                for place in shown:
                    show(place, frame)
        except Unusable:
            if sheet.is_clip:
                raise
    lost = sum(tiles[row][column] is None for row, column in cells)
    _, data = cv2.imencode(".png", assemble(sheet, tiles))
    Path(out).write_bytes(data.tobytes())
    yield {"lost": lost}


def _frames(
    path: Path, cells: dict[tuple[int, int], Cell], sheet: SheetPlan
) -> Iterator[tuple[list[tuple[int, int]], Picture]]:
    """Yield the frames of a video that the sheet shows, each with the places of its cells."""
    if sheet.is_clip:
        wanted = _wanted(cells, 0)
        with open_source(path, tolerate_damage=sheet.tolerate_damage) as source:
            for number, frame in enumerate(source):
                if number in wanted:
                    yield wanted.pop(number), frame
                if not wanted:
                    return
        return
    stream = read_stream(path)
    wanted = _wanted(cells, len(stream.times))
    for number, frame in decode(path, stream, sorted(wanted)):
        yield wanted[number], frame


def _wanted(cells: dict[tuple[int, int], Cell], count: int) -> _Places:
    """Return the numbers of the frames of a video of `count` frames that are shown, with the places of their cells."""
    wanted: _Places = defaultdict(list)
    for place, cell in cells.items():
        number = cell.frame if cell.frame is not None else round(cell.place * max(0, count - 1))
        wanted[number].append(place)
    return wanted
