"""`facefoundry sign`: signs the videos of a dataset by C2PA, or copies a signed dataset without the manifests."""

from __future__ import annotations

from pathlib import Path

import click

from facefoundry.cli.signing import SigningOptions, progress, sign_folder, signing_options
from facefoundry.cli.view import make_view
from facefoundry.dataset.layouts import layout_of
from facefoundry.errors import InvalidInput

__all__ = ["sign"]


@click.command(short_help="Sign the videos of a dataset by C2PA.")
@click.argument("dataset", type=click.Path(path_type=Path, exists=True, file_okay=False))
@signing_options
@click.option(
    "--strip",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Copy the signed dataset to FOLDER without manifests, for training; they lie beside the videos, as .c2pa.",
)
@click.option(
    "--trust",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="With --strip: PEM file of the authorities to trust; a video that they do not vouch for is refused.  "
    "[default: those of the certificate that signs the copies]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per event, without progress bars.")
def sign(dataset: Path, signing: SigningOptions, strip: Path | None, trust: Path | None, as_json: bool) -> None:
    """Sign every real video, fake and mask in the folder DATASET, in place: what it is, and what it was made of.

    \b
    Examples:
      facefoundry sign OUT                                  (with a development certificate of this machine)
      facefoundry sign OUT --key key.pem --chain chain.pem --tsa http://timestamp.example
      facefoundry sign OUT --sign-command ./sign-with-hsm --chain chain.pem
      facefoundry sign OUT --strip TRAINING
      facefoundry verify OUT

    The certificate is checked before the first video. It must be valid today, and have the extended key usage
    emailProtection. Without a time stamp, signatures end with the certificate; then the same command signs again. A
    stopped command goes on where it was; with --strip, it begins again. It needs the extra `sign`.
    """
    if trust is not None and strip is None:
        raise InvalidInput("--trust is for --strip. Add --strip, or leave it out.", reason="USAGE")
    layout, credentials = layout_of(dataset), signing.credentials()
    with make_view(as_json) as view:
        if strip is None:
            sign_folder(view, layout, credentials)
            return
        from facefoundry.provenance.credentials import anchors
        from facefoundry.provenance.signing import strip_dataset

        trusted = anchors(trust) if trust else credentials.chain.decode()
        count = strip_dataset(layout, strip, credentials, trusted, progress(view, dataset.name))
        view.message(f"{count} videos without manifests are in {strip}. Somebody who is trusted had signed them all.")
