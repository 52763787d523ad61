"""The options of commands that sign, and how they sign the videos of a folder."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import click

from facefoundry.cli.options import gather
from facefoundry.cli.view import View
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.progress import Event
from facefoundry.errors import InvalidInput
from facefoundry.local.stack import default_folder

if TYPE_CHECKING:
    from facefoundry.provenance.credentials import Credentials

__all__ = ["SigningOptions", "development_folder", "progress", "require_extra", "sign_folder", "signing_options"]

F = TypeVar("F", bound=Callable[..., object])

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@dataclass(frozen=True)
class SigningOptions:
    """The options that say what signs: a key in a file, a command that has the key, or a development certificate."""

    key: Path | None = None
    chain: Path | None = None
    sign_command: str = ""
    tsa: str = ""

    def for_sign(self, *, sign: bool) -> Credentials | None:
        """Return what signs, checked, with `--sign`; None without it. The errors are those of `credentials`."""
        if self.are_given and not sign:
            message = "--key, --chain, --sign-command and --tsa are for --sign. Add --sign, or leave them out."
            raise InvalidInput(message, reason="USAGE")
        return self.credentials() if sign else None

    @property
    def are_given(self) -> bool:
        """Whether any of them is given."""
        return self != SigningOptions()

    def credentials(self) -> Credentials:
        """Return what signs, checked.

        Raises:
            InvalidInput: options do not go together (USAGE), the certificate cannot sign (CERTIFICATE), the command
                does not sign with its key (SIGN_COMMAND), or the library that signs is missing (EXTRA_MISSING).
            Unavailable: the command fails (SIGN_COMMAND).
        """
        require_extra()
        from facefoundry.provenance import credentials

        if self.key is not None and self.sign_command:
            message = "--key and --sign-command both say what signs. Give one of them."
            raise InvalidInput(message, reason="USAGE")
        if (self.key is None and not self.sign_command) != (self.chain is None):
            message = "--chain goes together with --key or --sign-command. Give both, or none."
            raise InvalidInput(message, reason="USAGE")
        address = urlsplit(self.tsa)
        if self.tsa and (address.scheme not in ("http", "https") or not address.hostname):
            message = f"Expected an address http://HOST or https://HOST. Received --tsa {self.tsa}."
            raise InvalidInput(message, reason="USAGE")
        if self.chain is None:
            return credentials.development(development_folder(), self.tsa)
        if self.key is None:
            return credentials.by_command(self.sign_command, self.chain, self.tsa)
        return credentials.load(self.key, self.chain, self.tsa)


def signing_options(function: F) -> F:
    """Add the options of what signs to a command, which gets them as the argument `signing`."""
    function = gather(SigningOptions, "signing", function)
    for option in (
        click.option("--tsa", default="", metavar="URL", help="Time-stamping authority (RFC 3161).  [default: none]"),
        click.option(
            "--sign-command",
            default="",
            metavar="COMMAND",
            help="Command that signs with a key outside of a file: it gets the bytes on stdin, and writes the "
            "signature to stdout. Goes with --chain.",
        ),
        click.option(
            "--chain",
            type=_FILE,
            help="PEM file of the certificates, the signing one first; goes with --key or --sign-command.",
        ),
        click.option("--key", type=_FILE, help="PEM file of the private key.  [default: a development certificate]"),
    ):
        function = option(function)
    return function


def sign_folder(view: View, layout: Layout, credentials: Credentials) -> None:
    """Sign the videos of a dataset in a folder, and say with what."""
    from facefoundry.provenance import signing

    if credentials.is_development:
        view.message(
            "Signing with a development certificate of this machine. It shows changes, and says nothing of who "
            "signed. Use --key and --chain before you publish."
        )
    if not credentials.authority:
        view.message(f"Without --tsa, the signatures end with the certificate, on {credentials.last_day}.")
    count = signing.sign_dataset(layout, credentials, progress(view, layout.root.name))
    view.message(f"{count} videos signed in {layout.root}; the others were. `facefoundry verify` verifies them.")


def progress(view: View, name: str) -> Callable[[int, int, str], None]:
    """Return a function that shows how many videos of a dataset are signed."""

    def on_progress(done: int, total: int, last: str) -> None:
        view.event(Event(name, "sign", "done" if done == total else "running", done, total, "videos", last))

    return on_progress


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
