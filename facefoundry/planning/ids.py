"""Gives clips the ids of sequences: letters, digits and `-`, because detectors split file names on `_`."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence

__all__ = ["assign_ids"]

_VALID = re.compile(r"[A-Za-z0-9-]{1,100}")
_MAX = 91  # leaves room for a dash and eight digits


def assign_ids(names: Sequence[tuple[int, str]]) -> list[str]:
    """Return an id for each clip: its name if that is valid and unique, and otherwise one made of it.

    Args:
        names: The number of the source and the name of each clip. No two are equal.

    Returns:
        The ids in the same order; no two are equal. A clip's id depends only on its name and the names like it.
    """
    proposed = [name if _VALID.fullmatch(name) else _slug(name) for _, name in names]
    counts = Counter(proposed)
    valid = Counter(name for _, name in names if _VALID.fullmatch(name))
    made: list[str] = []
    for (source, name), proposal in zip(names, proposed, strict=True):
        is_free = counts[proposal] == 1 or (proposal == name and valid[name] == 1)
        digest = hashlib.sha256(f"{source}/{name}".encode()).hexdigest()[:8]
        made.append(proposal if is_free else f"{proposal[:_MAX]}-{digest}")
    return made


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]+", "-", name).strip("-")[:_MAX] or "clip"
