"""Engines that find faces and their 68 landmarks; `load` gives one by name."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Final

from facefoundry.errors import FieldViolation, InvalidInput
from services.extractor.engines.base import Engine

__all__ = ["NAMES", "Engine", "installed", "load"]

NAMES: Final = ("dlib", "face_alignment")
"""Engines this project knows; each is the module of that name, imported only when it is used."""


def load(name: str, weights_dir: Path | None = None) -> Engine:
    """Load an engine with its weights.

    Args:
        name: One of `NAMES`.
        weights_dir: Folder of weights, for engines that do not bring their own.

    Raises:
        InvalidInput: it is unknown, or its package or weights are not installed here; says how to get them.
        DataLoss: its weights are damaged.
    """
    engine: Callable[[Path | None], Engine] = _module(name).load
    return engine(weights_dir)


def installed(weights_dir: Path | None = None) -> list[str]:
    """Names of the engines whose package and weights are here; loads none of them."""
    return [name for name in NAMES if not _module(name).missing(weights_dir)]


def _module(name: str) -> ModuleType:
    if name not in NAMES:
        raise InvalidInput(
            f"Expected an engine of {', '.join(NAMES)}. Received engine={name!r}.",
            reason="ENGINE_UNKNOWN",
            violations=[FieldViolation("engine", f"must be one of {', '.join(NAMES)}")],
        )
    return import_module(f"{__name__}.{name}")
