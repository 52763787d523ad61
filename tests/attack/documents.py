"""Mutations of the JSON documents in a bucket, by a seeded generator, as bytes."""

from __future__ import annotations

import json
from random import Random
from typing import Any

__all__ = ["mutated"]

_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**53, -(2**63), 10**400, 0.5, 1e308, -0.0, float("nan"), float("inf")),
    *("", "x", "\0", "\x1b[2J", "[red]", "../..", "s3://other/sources/" + "1" * 40, "9" * 400, "x" * 50_000),
    *([], {}, [[]], [None], {"": None}, ["x"] * 3000, {"a": {"b": {"c": []}}}),
)
_DEPTH = 2_000


def mutated(random: Random, data: bytes) -> tuple[str, bytes]:
    """Return what was done to a document, and the document."""
    kind = random.choice(
        ("value", "value", "value", "remove", "add", "rename", "bytes", "cut", "whole", "deep", "wide")
    )
    document = json.loads(data)
    if kind == "bytes":
        changed = bytearray(data)
        for _ in range(random.choice((1, 2, 10))):
            changed[random.randrange(len(changed))] = random.randrange(256)
        return kind, bytes(changed)
    if kind == "cut":
        return kind, data[: random.randrange(len(data))]
    if kind == "whole":
        return kind, json.dumps(random.choice(_VALUES)).encode()
    if kind == "deep":
        depth = random.choice((50, _DEPTH, 100 * _DEPTH))
        return kind, b"[" * depth + b"]" * depth
    if kind == "wide":
        return kind, b'{"x":"' + b"x" * random.choice((1 << 20, 5 << 20)) + b'"}'
    _change(random, _place(random, document), kind)
    return kind, json.dumps(document).encode()


def _place(random: Random, document: Any) -> Any:
    """Return an object or array somewhere in a document."""
    while True:
        inner = [value for value in _values(document) if isinstance(value, dict | list) and value]
        if not inner or random.random() < 0.3:
            return document
        document = random.choice(inner)


def _values(document: Any) -> list[Any]:
    return list(document.values()) if isinstance(document, dict) else list(document)


def _change(random: Random, place: Any, kind: str) -> None:
    if isinstance(place, list):
        index = random.randrange(len(place))
        if kind == "remove":
            del place[index]
        elif kind == "add":
            place.extend([place[index]] * random.choice((1, 3, 11_000)))
        else:
            place[index] = random.choice(_VALUES)
        return
    key = random.choice(list(place))
    if kind == "remove":
        del place[key]
    elif kind == "add":
        place[random.choice(("x", "", "\0", "synthetic", "format"))] = random.choice(_VALUES)
    elif kind == "rename":
        place[key + "x"] = place.pop(key)
    else:
        place[key] = random.choice(_VALUES)
