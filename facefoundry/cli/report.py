"""`facefoundry report`: writes the report of a run again from its record, or serves it as a web page."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path

import click

from facefoundry.cli.connection import store_settings
from facefoundry.cli.errors import missing_is_wrong_input
from facefoundry.cli.options import local_dir_option
from facefoundry.dataset.layouts import layout_of
from facefoundry.dataset.stored_dataset import DatasetPlace, is_uri
from facefoundry.errors import InvalidInput
from facefoundry.settings import StoreSettings

__all__ = ["report"]

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_ANY = ("0.0.0.0", "::")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


def _check_names(context: click.Context, option: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not _NAME.fullmatch(name):
            message = "Expected the name of a host without scheme, port and wildcard, such as fakes.example.org. "
            raise click.BadParameter(f"{message}Received {name!r}.")
    return names


@click.command(short_help="Write the report of a run again, or serve it as a web page.")
@click.argument("out", required=False, metavar="[OUT|URI]")
@click.option("--serve", "is_served", is_flag=True, help="Serve a web page that follows the run, until Ctrl-C.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for all.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="Port; 0 for any free one."
)
@click.option(
    "--allow-host",
    "allowed",
    multiple=True,
    metavar="NAME",
    callback=_check_names,
    help="Answer to this name, too; with --host 0.0.0.0, no longer to every name. Repeat it for more.",
)
@click.option("--local", "use_local", is_flag=True, help="Use the object store of this machine.")
@local_dir_option
def report(
    out: str | None,
    is_served: bool,
    host: str,
    port: int,
    allowed: tuple[str, ...],
    use_local: bool,
    local_dir: Path | None,
) -> None:
    """Write the report of the dataset in OUT from its run record, in the layout that the record names.

    With --serve, a web page shows the same, and follows the run while it goes on. It serves OUT, a dataset in a bucket
    (URI), or without either all runs whose records are in FACEFOUNDRY_STORE_BUCKET. It writes nothing. Who can reach
    the address sees all faces: there is no login, so leave --host as it is, or put it behind your own.

    \b
    Examples:
      facefoundry report out/demo
      facefoundry report out/demo --serve                        (http://127.0.0.1:8080/; runs that go on, too)
      facefoundry report s3://BUCKET/datasets/NAME/ --serve      (needs keys of the object store)
      facefoundry report --serve --local                         (all runs in the store of this machine)
      ssh -L 8080:localhost:8080 HOST                            (to see the page of another machine)
    """
    if not is_served:
        _write(out)
        return
    if importlib.util.find_spec("uvicorn") is None or importlib.util.find_spec("starlette") is None:
        message = "--serve needs the extra `web`: run `pip install 'facefoundry[web]'`, or `pip install '.[web]'` in a "
        message += "clone. Without it, `facefoundry report OUT` writes the page as files."
        raise InvalidInput(message, reason="NOT_INSTALLED")
    names = _names(host, allowed)
    if out is not None and not is_uri(out):
        _serve_folder(Path(out), host, port, names)
        return
    with store_settings(use_local, local_dir, lambda text: click.echo(text, err=True)) as settings:
        _serve_bucket(out, settings, host, port, names)


def _write(out: str | None) -> None:
    from facefoundry.report import write

    if out is None or is_uri(out):
        message = f"Expected the output folder of a run. Received {out or 'none'}. To see a dataset in a bucket, add "
        message += "--serve, or fetch it first with `facefoundry fetch`."
        raise click.UsageError(message)
    if Path(out).is_file():
        raise click.UsageError(f"Expected the output folder of a run. Received {out}, which is a file.")
    with missing_is_wrong_input():
        click.echo(write(layout_of(Path(out))))


def _serve_folder(out: Path, host: str, port: int, names: Sequence[str]) -> None:
    from facefoundry.report.source import FolderSource
    from facefoundry.webpage.app import dataset_app
    from facefoundry.webpage.serve import serve
    from facefoundry.webpage.watch import Watch

    with missing_is_wrong_input():
        watch = Watch(FolderSource(layout_of(out)))
    serve(dataset_app(watch, names), watch.read, host, port, on_start=_announce)


def _serve_bucket(out: str | None, settings: StoreSettings, host: str, port: int, names: Sequence[str]) -> None:
    from facefoundry.storage.store import Store
    from facefoundry.webpage.app import dataset_app, listing_app
    from facefoundry.webpage.bucket_source import open_dataset
    from facefoundry.webpage.listing import Listing
    from facefoundry.webpage.serve import serve
    from facefoundry.webpage.watch import Watch

    if not settings.has_keys:
        message = "Serving what is in a bucket needs keys of the object store that may read. Set "
        message += "FACEFOUNDRY_STORE_ENDPOINT, FACEFOUNDRY_STORE_ACCESS_KEY and FACEFOUNDRY_STORE_SECRET_KEY, or give "
        message += "the output folder of a run."
        raise InvalidInput(message, reason="NO_KEYS")
    store = Store(settings)
    if out is None:
        listing = Listing(store)
        serve(listing_app(listing, names), listing.refresh, host, port, on_start=_announce)
        return
    with missing_is_wrong_input():
        watch = Watch(open_dataset(store, DatasetPlace.of(out, settings)))
    serve(dataset_app(watch, names), watch.read, host, port, on_start=_announce)


def _names(host: str, allowed: Sequence[str]) -> tuple[str, ...]:
    """Return the names by which the page may be asked for, empty for all.

    They are those of this machine, the address, and what was allowed; all if every address is listened on and nothing
    was allowed.
    """
    own = f"[{host}]" if ":" in host else host
    return () if host in _ANY and not allowed else tuple(dict.fromkeys((*_LOOPBACK, own, *allowed)))


def _announce(address: str) -> None:
    click.echo(f"The page is at {address} until Ctrl-C.")
