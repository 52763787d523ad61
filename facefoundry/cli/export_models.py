"""`facefoundry export-models`: writes models in the format of FF++."""

from __future__ import annotations

from pathlib import Path

import click

from facefoundry.cli.errors import SOME_FAILED
from facefoundry.cli.view import make_view
from facefoundry.dataset import models
from facefoundry.dataset.layouts import layout_of
from facefoundry.errors import FaceFoundryError

__all__ = ["export_models"]


@click.command(name="export-models", short_help="Write models as FF++'s .h5 files.")
@click.argument("models_path", metavar="MODELS", type=click.Path(path_type=Path, file_okay=False))
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path, file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per model.")
def export_models(models_path: Path, out: Path, as_json: bool) -> None:
    """Write models in the format of FF++: OUT/<A>_<B>/ with encoder.h5, decoder_A.h5 and decoder_B.h5.

    MODELS is the folder of one model, a folder of models, or a dataset. Keras 2 and tf-keras load the files
    with load_weights, and create-from-models accepts OUT as its models.

    \b
    Example:
      facefoundry export-models OUT/manipulated_sequences/Deepfakes/models PUBLISHED
    """
    found = models.find_models(layout_of(models_path))
    view = make_view(as_json)
    for message in found.others:
        view.message(message)
    failed = False
    for pair, folder in found.models.items():
        if not models.is_native(folder):
            view.message(f"{folder} is left out: its files are .h5 files of FF++ already.")
            continue
        try:
            models.export(folder, out / pair.id)
            view.message(f"{pair.id}: {out / pair.id}")
        except FaceFoundryError as error:
            failed = True
            view.message(f"{pair.id} failed: {error.message} [{error.reason}]")
    if failed:
        raise click.exceptions.Exit(SOME_FAILED)
