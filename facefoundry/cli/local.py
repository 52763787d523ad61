"""`facefoundry local`: the object store and the three services on this machine, for as long as the command runs."""

from __future__ import annotations

import signal
from pathlib import Path

import click

from facefoundry.cli.options import waiting
from facefoundry.local import local_stack
from facefoundry.process.signals import stop_event

__all__ = ["local"]


@click.command()
@click.option(
    "--local-dir",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="FACEFOUNDRY_LOCAL_DIR",
    help="Where the object store is kept.  [default: ~/.local/share/facefoundry]",
)
def local(local_dir: Path | None) -> None:
    """Run store and services here until Ctrl-C; other commands with --local join them.

    \b
    Example:
      facefoundry local &
      facefoundry extract-faces --local -i CLIPS -o OUT
    """
    stopping = stop_event()
    with local_stack(local_dir, on_progress=click.echo, on_wait=waiting(click.echo)) as stack:
        click.echo(f"store      {stack.store.endpoint}, bucket {stack.store.bucket}")
        for name in ("extractor", "trainer", "converter"):
            click.echo(f"{name:<10} {getattr(stack.channels, name + '_address')}")
        click.echo("Ctrl-C stops them.")
        stopping.wait()
        signal.signal(signal.SIGINT, signal.default_int_handler)
