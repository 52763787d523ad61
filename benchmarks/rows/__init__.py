"""The rows of the bench: one module for each measured stage, in the order of the pipeline."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ROWS", "Spec"]


class Spec(NamedTuple):
    """Facts about a row that are needed before it runs.

    Attributes:
        cheap: Whether the rows of the module are quick: they take seconds, so `python -m benchmarks --check` runs them.
    """

    cheap: bool


ROWS = {
    "frames": Spec(cheap=True),
    "tracking": Spec(cheap=False),
    "extraction": Spec(cheap=False),
    "digests": Spec(cheap=True),
    "landmarks": Spec(cheap=False),
    "crop": Spec(cheap=True),
    "augmentation": Spec(cheap=True),
    "training": Spec(cheap=False),
    "training_gpu": Spec(cheap=False),
    "conversion": Spec(cheap=True),
    "network": Spec(cheap=False),
    "encode": Spec(cheap=False),
    "intermediates": Spec(cheap=True),
    "pair": Spec(cheap=False),
    "orchestration": Spec(cheap=True),
    "memory": Spec(cheap=False),
}
"""Facts about each row, by the name of its module in this package."""
