"""`facefoundry sign`: signs the videos of a dataset by C2PA, or copies a signed dataset without the manifests."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from facefoundry.cli.view import make_view
from facefoundry.dataset.layouts import layout_of
from facefoundry.dataset.progress import Event
from facefoundry.errors import InvalidInput
from facefoundry.local.stack import default_folder

if TYPE_CHECKING:
    from facefoundry.provenance.credentials import Credentials

__all__ = ["development_folder", "require_extra", "sign"]

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command(short_help="Sign the videos of a dataset by C2PA.")
@click.argument("dataset", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--key", type=_FILE, help="PEM file of the private key.  [default: a development certificate]")
@click.option("--chain", type=_FILE, help="PEM file of the certificates, the signing one first; goes with --key.")
@click.option("--tsa", default="", metavar="URL", help="Time-stamping authority (RFC 3161).  [default: none]")
@click.option(
    "--strip",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Copy the signed dataset to FOLDER without manifests, for training; they lie beside the videos, as .c2pa.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per event, without progress bars.")
def sign(dataset: Path, key: Path | None, chain: Path | None, tsa: str, strip: Path | None, as_json: bool) -> None:
    """Sign every real video, fake and mask in the folder DATASET, in place: what it is, and what it was made of.

    \b
    Examples:
      facefoundry sign OUT                                  (with a development certificate of this machine)
      facefoundry sign OUT --key key.pem --chain chain.pem --tsa http://timestamp.example
      facefoundry sign OUT --strip TRAINING
      facefoundry verify OUT

    The certificate is checked before the first video. It must be valid today, and have the extended key usage
    emailProtection. Without a time stamp, signatures end with the certificate; then the same command signs again. A
    stopped command goes on where it was; with --strip, it begins again. It needs the extra `sign`.
    """
    require_extra()
    from facefoundry.provenance import signing

    layout = layout_of(dataset)
    credentials = _credentials(key, chain, tsa)
    with make_view(as_json) as view:

        def on_progress(done: int, total: int, last: str) -> None:
            view.event(Event(dataset.name, "sign", "done" if done == total else "running", done, total, "videos", last))

        if credentials.is_development:
            view.message(
                "Signing with a development certificate of this machine. It shows changes, and says nothing of who "
                "signed. Use --key and --chain before you publish."
            )
        if not credentials.authority:
            view.message(f"Without --tsa, the signatures end with the certificate, on {credentials.last_day}.")
        if strip is not None:
            count = signing.strip_dataset(layout, strip, credentials, on_progress)
            view.message(f"{count} videos without manifests are in {strip}.")
        else:
            count = signing.sign_dataset(layout, credentials, on_progress)
            view.message(f"{count} videos signed in {dataset}; the others were. `facefoundry verify` verifies them.")


def require_extra() -> None:
    """Refuse to start without the library that signs.

    Raises:
        InvalidInput: it is not installed (EXTRA_MISSING).
    """
    if importlib.util.find_spec("c2pa") is None:
        message = "Expected the packages of the extra `sign`. c2pa cannot be imported. Install them: "
        raise InvalidInput(f"{message}pip install '.[sign]'.", reason="EXTRA_MISSING")


def development_folder() -> Path:
    """Return the folder of the development certificate."""
    return default_folder() / "signing"


def _credentials(key: Path | None, chain: Path | None, authority: str) -> Credentials:
    from facefoundry.provenance import credentials

    if (key is None) != (chain is None):
        raise InvalidInput("--key and --chain go together. Give both, or none.", reason="USAGE")
    address = urlsplit(authority)
    if authority and (address.scheme not in ("http", "https") or not address.hostname):
        raise InvalidInput(
            f"Expected an address http://HOST or https://HOST. Received --tsa {authority}.", reason="USAGE"
        )
    if key is not None and chain is not None:
        return credentials.load(key, chain, authority)
    return credentials.development(development_folder(), authority)
