"""Frame ranges, which select the frames to swap or to leave out: their notation, their checks, their frames.

A range is a mapping with the fields of `v1.FrameRange`: `first`, by default 0, and `last`, which is included and by
default the last frame of the sequence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from facefoundry.errors import FieldViolation
from facefoundry.v1 import recipe_pb2

__all__ = ["FIELD", "contain", "frame_numbers", "of", "out_of_bounds", "parse", "range_of", "to_message", "violations"]

FIELD = "conversion.frame_ranges"
"""Path of the recipe field with the ranges."""

_NOTATION = re.compile(r"(?P<first>[0-9]{1,9}|min)-(?P<last>[0-9]{1,9}|max)")

Range = Mapping[str, int]


def of(conversion: recipe_pb2.ConversionOptions) -> list[Range]:
    """Return the frame ranges of conversion options."""
    return [range_of(item) for item in conversion.frame_ranges]


def range_of(message: recipe_pb2.FrameRange) -> dict[str, int]:
    """Return a message as a range."""
    return {field.name: value for field, value in message.ListFields()}


def to_message(item: Range) -> recipe_pb2.FrameRange:
    """Return a range as a message."""
    return recipe_pb2.FrameRange(**item)


def parse(text: str) -> list[Range]:
    """Parse ranges such as `10-50,80-90`, separated by commas or spaces; `min` is the first frame, `max` the last.

    Raises:
        ValueError: the text has another form; the message names the wrong part of it.
    """
    found: list[Range] = []
    for word in re.split(r"\s*,\s*|\s+", text.strip()):
        match = _NOTATION.fullmatch(word)
        if match is None:
            raise ValueError(f"expected frame ranges such as 10-50,80-90 or 80-max. Received {word!r}")
        ends = {"first": match["first"], "last": match["last"]}
        found.append({name: int(end) for name, end in ends.items() if end.isdigit()})
    return found


def violations(ranges: Sequence[Range], path: str = f"recipe.{FIELD}") -> Iterator[FieldViolation]:
    """Yield a violation for each range that ends before it begins or does not begin after the previous range.

    Args:
        ranges: The ranges.
        path: Path of the field with the ranges.
    """
    previous: Range = {"last": -1}
    for index, current in enumerate(ranges):
        first, field = current.get("first", 0), f"{path}[{index}]"
        if "last" in current and first > current["last"]:
            yield FieldViolation(field, f"must not end before it begins; got {_shown(current)}")
        if "last" not in previous or first <= previous["last"]:
            rule = f"must begin after the end of the previous range, {_shown(previous)}; got {_shown(current)}"
            yield FieldViolation(field, rule)
        previous = current


def out_of_bounds(ranges: Sequence[Range], count: int, path: str = f"recipe.{FIELD}") -> Iterator[FieldViolation]:
    """Yield a violation for each range that goes beyond a sequence of `count` frames; arguments as in `violations`."""
    for index, current in enumerate(ranges):
        if max(current.values(), default=0) >= count:
            rule = f"must be within the {count} frames of the clip, 0-{count - 1}; got {_shown(current)}"
            yield FieldViolation(f"{path}[{index}]", rule)


def contain(ranges: Iterable[Range], number: int) -> bool:
    """Return whether a frame is in one of the ranges."""
    return any(item.get("first", 0) <= number <= item.get("last", number) for item in ranges)


def frame_numbers(ranges: Sequence[Range], count: int) -> list[int]:
    """Return the numbers of the frames in the ranges, for a sequence of `count` frames; all frames without ranges."""
    if not ranges:
        return list(range(count))
    return [
        number
        for current in ranges
        for number in range(current.get("first", 0), min(current.get("last", count), count - 1) + 1)
    ]


def _shown(item: Range) -> str:
    return f"{item.get('first', 'min')}-{item.get('last', 'max')}"
