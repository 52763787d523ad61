"""Frame ranges of a conversion: their written form, their order, and which frames they hold.

A range is a mapping with the fields of `v1.FrameRange`: `first` (0 where it is left out) and `last`, itself included
(the sequence's last frame where it is left out).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from facefoundry.errors import FieldViolation

__all__ = ["FIELD", "frame_numbers", "out_of_bounds", "parse", "violations"]

FIELD = "conversion.frame_ranges"
"""Path of the field in a recipe."""

_WRITTEN = re.compile(r"(?P<first>[0-9]{1,9}|min)-(?P<last>[0-9]{1,9}|max)")
_MOST = 1000

Range = Mapping[str, int]


def parse(text: str) -> list[dict[str, int]]:
    """Read ranges such as `10-50,80-90`; commas or blanks part them, `min` and `max` are the first and last frame.

    Raises:
        ValueError: the text has another form; the message says which part of it.
    """
    found = []
    for word in re.split(r"\s*,\s*|\s+", text.strip()):
        match = _WRITTEN.fullmatch(word)
        if match is None:
            raise ValueError(f"expected frame ranges such as 10-50,80-90 or 80-max. Received {word!r}")
        ends = {"first": match["first"], "last": match["last"]}
        found.append({name: int(end) for name, end in ends.items() if end.isdigit()})
    return found


def violations(ranges: Sequence[Range]) -> Iterator[FieldViolation]:
    """What is wrong with ranges whatever the sequence: reversed, overlapping or not in ascending order."""
    if len(ranges) > _MOST:
        yield FieldViolation(f"recipe.{FIELD}", f"must be at most {_MOST} ranges; got {len(ranges)}")
    before: Range = {"last": -1}
    for index, one in enumerate(ranges):
        first, field = one.get("first", 0), f"recipe.{FIELD}[{index}]"
        if "last" in one and first > one["last"]:
            yield FieldViolation(field, f"must begin before it ends; got {_shown(one)}")
        if "last" not in before or first <= before["last"]:
            yield FieldViolation(field, f"must begin behind the range before it, {_shown(before)}; got {_shown(one)}")
        before = one


def out_of_bounds(ranges: Sequence[Range], count: int) -> Iterator[FieldViolation]:
    """Ranges that leave a sequence of `count` frames."""
    for index, one in enumerate(ranges):
        if max(one.values(), default=0) >= count:
            rule = f"must lie within the target's {count} frames, 0-{count - 1}; got {_shown(one)}"
            yield FieldViolation(f"recipe.{FIELD}[{index}]", rule)


def frame_numbers(ranges: Sequence[Range], count: int) -> list[int]:
    """The frames of a sequence of `count` frames that ranges hold, in order; all of them where there is no range."""
    if not ranges:
        return list(range(count))
    return [
        number for one in ranges for number in range(one.get("first", 0), min(one.get("last", count), count - 1) + 1)
    ]


def _shown(one: Range) -> str:
    return f"{one.get('first', 'min')}-{one.get('last', 'max')}"
