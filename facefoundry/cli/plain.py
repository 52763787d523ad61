"""Makes texts from outside safe to print on a terminal."""

from __future__ import annotations

import re

__all__ = ["plain"]

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    r"""Return a text with its control characters written out, such as `\x1b`; tabs and line ends stay.

    A control character would command the terminal, and one of Unicode's marks of direction would change the order in
    which the text is read.
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
