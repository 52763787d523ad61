"""Outputs of OpenCV 3.4.1 on small inputs, as `record.py` wrote them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["recorded"]


@cache
def _file() -> dict[str, dict[str, dict[str, Any]]]:
    kinds: dict[str, dict[str, dict[str, Any]]] = {}
    with np.load(Path(__file__).with_name("outputs.npz")) as file:
        for key in file.files:
            kind, number, name = key.split("/")
            value = file[key]
            value.flags.writeable = False
            kinds.setdefault(kind, {}).setdefault(number, {})[name] = value if value.ndim else value.item()
    return kinds


def recorded(kind: str) -> list[dict[str, Any]]:
    """Return the cases of one kind of `record.py`: inputs and outputs by name, arrays read-only."""
    cases = dict(_file()[kind])
    shared = cases.pop("all", {})
    return [_whole({**shared, **case}) for case in cases.values()]


def _whole(case: dict[str, Any]) -> dict[str, Any]:
    """Turn differences into the pictures that they stand for."""
    for difference in [name for name in case if "-" in name]:
        name, base = difference.split("-")
        case[name] = case[base] + case.pop(difference)
        case[name].flags.writeable = False
    return case
