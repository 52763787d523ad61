"""dlib's predictor of 68 landmarks, as the engines load it."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

from facefoundry.errors import DataLoss
from services.extractor.engines.dlib import ENGINE, WHEEL

__all__ = ["build", "load"]


def load(weights: Path) -> Any:
    """Load the predictor, a `dlib.shape_predictor`.

    Args:
        weights: Its weights.

    Raises:
        DataLoss: dlib cannot read the weights (BAD_WEIGHTS).
    """
    import dlib

    try:
        return dlib.shape_predictor(str(weights))
    except RuntimeError as error:
        message = f"Expected {weights} to contain landmark weights of dlib. dlib cannot read the file. {ENGINE.remedy}"
        raise DataLoss(message, reason="BAD_WEIGHTS", resource=weights.name) from error


def build() -> str:
    """Return the versions of dlib and of the package with the weights."""
    import dlib

    return f"dlib {dlib.__version__}, {WHEEL} {metadata.version(WHEEL)}"
