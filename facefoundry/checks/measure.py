"""Measures a fake beside the real video of its target. It runs in a sandbox, as it decodes videos."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facefoundry import codec
from facefoundry.checks.frames import chosen_frames, decode
from facefoundry.checks.measured import LabelFile, LabelRow, Measured, Side
from facefoundry.checks.outside import (
    Box,
    border_region,
    changed_outside,
    end_numbers,
    outside_numbers,
    region_outside,
)
from facefoundry.checks.stream import Numbers, Stream, read_stream
from facefoundry.codec import JsonObject

__all__ = ["TAIL", "measure"]

Frame = NDArray[np.uint8]

TAIL = 4
"""Number of frames at the end of a video that are decoded."""


def measure(fake: str, real: str, labels: str | None, head: int) -> Iterator[JsonObject]:
    """Yield the figures of a fake and a real video, one `Measured`.

    Args:
        fake: Path of the fake.
        real: Path of the real video.
        labels: Path of the fake's labels; None measures the borders of the frames only.
        head: Number of frames at the start that are decoded.

    Raises:
        Unusable: a video cannot be read.
        DataLoss: the labels are damaged.
    """
    started = time.process_time()
    rows = _rows(labels)
    paths = Path(fake), Path(real)
    streams = read_stream(paths[0]), read_stream(paths[1])
    wanted = chosen_frames(len(streams[0].times), head, TAIL)
    frames = [_decoded(paths[0], streams[0], wanted)]
    places = {number: rows[number].frame if number < len(rows) else number for number in wanted}
    frames.append(_decoded(paths[1], streams[1], [places[number] for number in wanted]))
    both = [number for number in wanted if number in frames[0] and places[number] in frames[1]]
    pairs = [(frames[0][number], frames[1][places[number]]) for number in both]
    same_size = all(fake_frame.shape == frame.shape for fake_frame, frame in pairs) and len(pairs) > 2
    boxes: dict[int, Box | None] = {number: rows[number].box if number < len(rows) else None for number in both}
    unlabelled = None
    if same_size and rows and all(stream.is_exact for stream in streams):
        unlabelled = sum(
            abs(changed_outside(*pair, boxes[number]) - (rows[number].changed_outside if number < len(rows) else 0))
            for pair, number in zip(pairs, both, strict=True)
        )
    numbers: list[Numbers] = [{}, {}]
    if same_size:
        shape = pairs[0][0].shape[0], pairs[0][0].shape[1]
        known = [row.box for row in rows if row.box]
        region = region_outside(shape, known) if known else border_region(shape)
        numbers = [_pictures([pair[side] for pair in pairs], region, len(wanted) - TAIL) for side in (0, 1)]
    sides = [Side(stream.facts, stream.numbers | more) for stream, more in zip(streams, numbers, strict=True)]
    seconds = time.process_time() - started
    yield codec.to_values(Measured(sides[0], sides[1], len(pairs), seconds, unlabelled))


def _rows(labels: str | None) -> list[LabelRow]:
    return codec.from_json(LabelFile, Path(labels).read_bytes()).frames if labels else []


def _decoded(path: Path, stream: Stream, wanted: list[int]) -> dict[int, Frame]:
    return dict(decode(path, stream, [number for number in wanted if number < len(stream.times)]))


def _pictures(frames: list[Frame], region: NDArray[np.bool_], head: int) -> Numbers:
    ends = end_numbers(frames, region, first=True) | end_numbers(frames, region, first=False)
    return {"outside": outside_numbers(frames[: max(2, head)], region), "first and last frames": ends}
