"""The engines that can be used here: this project's own, and those that other packages add.

A package adds an engine with an entry point of the group `facefoundry.engines`. The entry point has the engine's name
and refers to an `EngineDeclaration`.

    [project.entry-points."facefoundry.engines"]
    my_engine = "my_package.engine:ENGINE"
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from facefoundry.entry_points import EntryPointGroup
from facefoundry.errors import FieldViolation, InvalidInput
from facefoundry.telemetry import logger
from services.extractor.engines import centerface, dlib, face_alignment
from services.extractor.engines.base import IBUG_68, Engine, EngineDeclaration

__all__ = [
    "GROUP",
    "Engine",
    "EngineDeclaration",
    "declarations",
    "find",
    "has_landmarks",
    "installed",
    "load",
    "require_landmarks",
]

GROUP: Final = EntryPointGroup[EngineDeclaration](
    name="facefoundry.engines",
    kind="engine",
    field="recipe.extraction.engine",
    own={engine.name: engine for engine in (dlib.ENGINE, centerface.ENGINE, face_alignment.ENGINE)},
    expected="an EngineDeclaration with this name",
    accepts=lambda name, found: isinstance(found, EngineDeclaration) and found.name == name,
)
"""This project's engines, and the entry points with which other packages add engines."""

_log = logger(__name__)


def find(name: str) -> EngineDeclaration:
    """Find an engine's declaration by its name.

    Raises:
        InvalidInput: no such engine is declared (ENGINE_UNKNOWN), or the package that declares it is broken
            (ENGINE_BROKEN).
    """
    return GROUP.find(name)


def declarations() -> Iterator[EngineDeclaration]:
    """Yield every declared engine, this project's first; broken engines of other packages are logged and left out."""
    for name in GROUP.names():
        try:
            yield find(name)
        except InvalidInput as error:
            _log.event("engine_broken", engine=name, detail=error.message)


def installed(weights_dir: Path | None = None) -> list[str]:
    """List the names of the engines whose packages and weights are installed here; no engine is loaded.

    Args:
        weights_dir: Folder of weights, for engines whose packages contain none.
    """
    return [engine.name for engine in declarations() if not engine.missing(weights_dir)]


def load(name: str, weights_dir: Path | None = None) -> Engine:
    """Load an engine with its weights.

    Args:
        name: Name of the engine.
        weights_dir: Folder of weights, for engines whose packages contain none.

    Raises:
        InvalidInput: the engine is not declared, or a package or a weight file that it needs is not installed; the
            message says how to install it.
        DataLoss: the weights are damaged.
    """
    return find(name).load(weights_dir)


def has_landmarks(name: str) -> bool:
    """Return whether an engine predicts the landmarks that an extraction stores."""
    return find(name).landmarks == IBUG_68


def require_landmarks(name: str) -> None:
    """Check that an engine predicts the landmarks that an extraction stores.

    Raises:
        InvalidInput: the engine predicts other landmarks or none (ENGINE_LANDMARKS), or it is unknown or broken.
    """
    if not has_landmarks(name):
        landmarks = find(name).landmarks
        raise InvalidInput(
            f"Expected an engine that predicts the landmarks {IBUG_68}. Received engine={name!r}, "
            f"which predicts {landmarks or 'none'}. Use this engine to inspect sources only.",
            reason="ENGINE_LANDMARKS",
            metadata={"engine": name},
            violations=[FieldViolation("recipe.extraction.engine", f"must predict the landmarks {IBUG_68}")],
        )
