"""Compares the labels of a fake with its pixels, on some frames. It runs in a sandbox, as it decodes videos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from facefoundry import codec
from facefoundry.checks.frames import decode
from facefoundry.checks.measured import Compared, LabelFile, LabelRow
from facefoundry.checks.outside import changed_outside
from facefoundry.checks.stream import read_stream
from facefoundry.codec import JsonObject

__all__ = ["compare"]


def compare(fake: str, real: str, labels: str, frames: int) -> Iterator[JsonObject]:
    """Yield what a comparison of a fake with its labels found, one `Compared`.

    Args:
        fake: Path of the fake at a lossless level.
        real: Path of the real video of its target, at the same level.
        labels: Path of the labels.
        frames: Number of swapped frames, and of other frames, that are compared at most.

    Raises:
        Unusable: a video cannot be read.
        DataLoss: the labels are damaged.
    """
    rows = codec.from_json(LabelFile, Path(labels).read_bytes()).frames
    paths = Path(fake), Path(real)
    streams = read_stream(paths[0]), read_stream(paths[1])
    if not all(stream.is_exact for stream in streams):
        yield codec.to_values(Compared())
        return
    faults = []
    if len(rows) != len(streams[0].times):
        faults.append(f"{len(rows)} rows of labels for {len(streams[0].times)} frames")
    swapped = [number for number, row in enumerate(rows) if row.box]
    others = [number for number, row in enumerate(rows) if not row.box]
    wanted = sorted({*_spread(swapped, frames), *_spread(others, frames)})
    of_fake = dict(decode(paths[0], streams[0], [number for number in wanted if number < len(streams[0].times)]))
    places = [rows[number].frame for number in wanted if rows[number].frame < len(streams[1].times)]
    of_real = dict(decode(paths[1], streams[1], sorted(set(places))))
    for number in wanted:
        shown, target = of_fake.get(number), of_real.get(rows[number].frame)
        if shown is None or target is None:
            faults.append(f"frame {number} has a label and is missing")
        elif shown.shape != target.shape:
            faults.append(f"frame {number} has another size than the target")
        else:
            row = rows[number]
            faults += _faults(row, bool((shown != target).any()), changed_outside(shown, target, row.box))
    yield codec.to_values(Compared(len(wanted), faults))


def _faults(row: LabelRow, differs: bool, outside: int) -> list[str]:
    if row.box is None:
        return [f"frame {row.frame} is labelled unswapped and differs from the target"] if differs else []
    if not differs:
        return [f"frame {row.frame} is labelled swapped and is the target's"]
    if outside != row.changed_outside:
        return [f"frame {row.frame} differs in {outside} pixels outside its box, not {row.changed_outside}"]
    return []


def _spread(numbers: Sequence[int], count: int) -> list[int]:
    """Return at most `count` of some numbers, evenly spread."""
    if len(numbers) <= count:
        return list(numbers)
    if count == 1:
        return [numbers[len(numbers) // 2]]
    return [numbers[place * (len(numbers) - 1) // (count - 1)] for place in range(count)]
