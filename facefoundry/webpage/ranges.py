"""Byte ranges of HTTP (RFC 9110, section 14), as players of videos ask for them."""

from __future__ import annotations

import re

__all__ = ["parse_range"]

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the first byte that a header asks for, and the one after the last.

    Args:
        header: The header `Range`; None if there is none.
        size: Size of the content in bytes.

    Returns:
        The range; None for the whole content: all is asked for, or several ranges at once, which a server may answer
        with everything.

    Raises:
        ValueError: the range is outside the content.
    """
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:  # the last bytes
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
    if start >= size or (first and last and int(last) < int(first)) or stop <= start:
        raise ValueError(f"bytes {start} to {stop} of {size}")
    return start, stop
