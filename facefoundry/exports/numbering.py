"""Names sequences 000 to 999, as FF++ does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from facefoundry.errors import InvalidInput

__all__ = ["numbered", "three_digits"]

_OWN = re.compile(r"[0-9]{3}")
_MAX = 1000


def three_digits(ids: Iterable[str], before: Mapping[str, str]) -> dict[str, str]:
    """Return a name of three digits for each id.

    A name of an earlier export stays. Otherwise an id of three digits is its own name, unless it is taken, and the
    others get the lowest free numbers, in the order of the ids.

    Args:
        ids: The ids.
        before: The names that an earlier export gave, by id.

    Raises:
        InvalidInput: there are more than 1,000 ids (TOO_MANY_SEQUENCES).
    """
    ordered = sorted(set(ids))
    if len(ordered) > _MAX:
        raise InvalidInput(
            f"Expected at most {_MAX:,} sequences, as this format names them 000 to 999. Received {len(ordered):,}. "
            "Choose a format that keeps ids.",
            reason="TOO_MANY_SEQUENCES",
        )
    names = {id_: before[id_] for id_ in ordered if id_ in before}
    taken = set(names.values())
    for id_ in ordered:
        if id_ not in names and _OWN.fullmatch(id_) and id_ not in taken:
            names[id_] = id_
            taken.add(id_)
    free = (name for name in map("{:03d}".format, range(_MAX)) if name not in taken)
    return names | {id_: next(free) for id_ in ordered if id_ not in names}


def numbered(id_: str, numbers: Mapping[str, str]) -> str:
    """Return the name of a real video or of a fake, given the names of sequences by id."""
    return "_".join(numbers[part] for part in id_.split("_"))
