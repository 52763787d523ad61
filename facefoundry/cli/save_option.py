"""The option `--save` of the checks of a dataset: the dataset in a bucket beside which the result is saved."""

from __future__ import annotations

from pathlib import Path

import click

from facefoundry.checks.saving import save
from facefoundry.dataset.layout import Layout
from facefoundry.settings import StoreSettings, read

__all__ = ["save_beside", "save_option"]

save_option = click.option(
    "--save",
    "saved_beside",
    metavar="NAME",
    help="Also save the result beside the dataset NAME in the bucket that DATASET was fetched from.",
)


def save_beside(dataset: str | None, layout: Layout, found: Path) -> str:
    """Save a result as `save` does, and return a sentence on where it is; without the option do nothing."""
    return f"Saved at {save(read(StoreSettings), dataset, layout, found)}." if dataset is not None else ""
