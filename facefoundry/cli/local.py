"""`facefoundry local`: runs the object store and the three services on this machine."""

from __future__ import annotations

import signal
from pathlib import Path
from shlex import quote

import click

from facefoundry.cli.connection import start_or_join
from facefoundry.cli.options import local_dir_option
from facefoundry.client import SERVICES
from facefoundry.local import local_stack
from facefoundry.process.signals import stop_event

__all__ = ["local"]


@click.command(short_help="Run the services on this machine until Ctrl-C.")
@local_dir_option
@click.option(
    "--print-env",
    is_flag=True,
    help="Print the addresses and keys of the services that run in the folder, as exports for a shell, and end.",
)
def local(local_dir: Path | None, print_env: bool) -> None:
    """Run the object store and the services on this machine until Ctrl-C. Other commands use them with --local.

    \b
    Example:
      facefoundry local &
      facefoundry extract-faces --local -i CLIPS -o OUT
    For other programs, once the services run; the same variables are in the file stack.env of the folder:
      eval "$(facefoundry local --print-env)"
    """
    if print_env:
        with local_stack(local_dir, start=False) as stack:
            click.echo("\n".join(f"export {name}={quote(value)}" for name, value in stack.variables.items()))
        return
    stopping = stop_event()
    with start_or_join(local_dir, click.echo) as stack:
        click.echo(f"store      {stack.store.endpoint}, bucket {stack.store.bucket}")
        for name in SERVICES:
            click.echo(f"{name:<10} {getattr(stack.channels, name + '_address')}")
        click.echo(f"variables  {stack.folder / 'stack.env'}")
        click.echo("Ctrl-C stops them.")
        stopping.wait()
        signal.signal(signal.SIGINT, signal.default_int_handler)
