"""`facefoundry bucket`: prepares the bucket of a store, shows what its server does, and copies it to another store.

The module has the commands; what they do is in `facefoundry.storage`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click

from facefoundry.cli.env_files import settings_of
from facefoundry.cli.plain import plain
from facefoundry.dataset.retention import expire_results
from facefoundry.errors import InvalidInput
from facefoundry.settings import StoreSettings, read
from facefoundry.storage import keys, rights
from facefoundry.storage.access import USES, Access
from facefoundry.storage.bucket_copy import Progress, copy_bucket
from facefoundry.storage.expiry import expire
from facefoundry.storage.probe import probe
from facefoundry.storage.servers import SERVERS, Report, prepare
from facefoundry.storage.store import Store

__all__ = ["bucket"]

_PROGRESS_SECONDS = 5.0
_env_file = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.group(short_help="Prepare, examine and copy the bucket.")
def bucket() -> None:
    """Prepare the bucket of a store, show what its server does, and copy it to another store.

    The store is the one of the FACEFOUNDRY_STORE_* variables, with the keys of the bucket's owner.
    """


@bucket.command(short_help="Make the bucket, with accounts and rules.")
@click.option("--server", type=click.Choice(list(SERVERS)), required=True, help="Kind of the server.")
@click.option(
    "--accounts",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help=f"Folder with the keys of accounts: files {', '.join(f'{name}.env' for name in rights.ACCOUNTS)}, each with "
    "FACEFOUNDRY_STORE_ACCESS_KEY and FACEFOUNDRY_STORE_SECRET_KEY. Any of them may be missing.",
)
@click.option("--principal", help="How the server names an account in a policy; with {account} and {access_key}.")
@click.option("--versions", is_flag=True, help="Keep old versions of objects, if the server deletes them by the rules.")
def setup(server: str, accounts: Path | None, principal: str | None, versions: bool) -> None:
    """Make the bucket, give accounts their rights, and have the server delete old objects by itself.

    Then each account tries what it may do, and what the server does not have is printed. Repeating the command does no
    harm. It replaces the policy and the rules of the bucket.

    \b
    Examples:
      facefoundry bucket setup --server minio
      facefoundry bucket setup --server seaweedfs --versions
      facefoundry bucket setup --server versitygw --accounts accounts
      facefoundry bucket setup --server aws --accounts accounts --principal 'arn:aws:iam::123456789012:user/{account}'

    For a server of the kind generic, `bucket probe` shows what else it does.

    The exit code is 1 if an account does not have a right that it needs, or if the server does not do what FaceFoundry
    needs.
    """
    settings, kind = read(StoreSettings), SERVERS[server]
    if principal:
        kind = replace(kind, principals=(principal,))
    if not kind.tried:
        click.echo(f"This command was never run on a server of the kind {server}. Read what it prints.", err=True)
    report = prepare(
        settings,
        kind,
        _accounts(accounts) if accounts else {},
        versions=versions,
        retry_seconds=settings.retry_seconds,
        on_wait=lambda text: click.echo(plain(text), err=True),
    )
    _print(report)
    has_fault = server == "generic" and _probe(Store(settings))
    if report.lacking or has_fault:
        raise click.exceptions.Exit(1)


@bucket.command(name="probe", short_help="Show what the server does where servers differ.")
def probe_server() -> None:
    """Show what the server does where S3 servers differ, with objects of its own below uploads/.

    \b
    Example:
      facefoundry bucket probe

    The exit code is 1 if the server does not do what FaceFoundry needs: a row then says `fault`.
    """
    store = Store(read(StoreSettings))
    store.check()
    if _probe(store):
        raise click.exceptions.Exit(1)


@bucket.command(short_help="Copy the bucket to another store.")
@click.argument("source", metavar="FROM", type=_env_file)
@click.argument("target", metavar="TO", type=_env_file)
@click.option("--parallel", type=click.IntRange(1, 64), default=4, show_default=True, help="Objects copied at once.")
@click.option("--overwrite", is_flag=True, help="Replace objects of TO that differ from those of FROM and are newer.")
def copy(source: Path, target: Path, parallel: int, overwrite: bool) -> None:
    """Copy all objects of a bucket to the bucket of another store, and verify each by its digest.

    FROM and TO are files with lines such as FACEFOUNDRY_STORE_ENDPOINT=HOST:9000. What a file does not set has the
    value of the variable of that name. Stop the services and trainings first. A copy that was stopped continues where
    it was: repeat the command. Each copied object needs its size in the folder for temporary files.

    An object of TO that differs from that of FROM and is newer ends the command (TARGET_NEWER): TO may be in use.

    \b
    Example:
      facefoundry bucket copy old.env new.env
    """
    settings = [settings_of(path, StoreSettings) for path in (source, target)]
    places = [(each.endpoint, each.bucket) for each in settings]
    if places[0] == places[1]:
        raise InvalidInput(f"{source} and {target} name the same bucket. Name two.", reason="USAGE")
    stores = [
        Store(each).with_retries_for(each.retry_seconds, lambda text: click.echo(plain(text))) for each in settings
    ]
    stores[0].check()
    stores[1].make_bucket()
    last = time.monotonic()

    def show(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() >= last + _PROGRESS_SECONDS:
            last = time.monotonic()
            click.echo(_sentence(progress))

    click.echo(_sentence(copy_bucket(*stores, parallel=parallel, overwrite=overwrite, on_progress=show)))


@bucket.command(name="expire", short_help="Delete old objects, and results that no run keeps.")
@click.option("--retention", is_flag=True, help="Also delete results of ended runs by the retention of dataset files.")
def expire_bucket(retention: bool) -> None:
    """Delete what the rules of the bucket delete, for servers without such rules. Run it once a day.

    With --retention also the results of runs whose dataset file says for how many days they are kept, once no run keeps
    them. A result that no record of a run names stays.

    \b
    Examples:
      facefoundry bucket expire
      facefoundry bucket expire --retention
    """
    store = Store(read(StoreSettings))
    counts = expire(store) | (expire_results(store) if retention else {})
    for name, count in counts.items():
        click.echo(f"{name}: {count} deleted")


def _sentence(progress: Progress) -> str:
    done, size = progress.copied + progress.found, progress.copied_bytes + progress.found_bytes
    return (
        f"{done:,} of {progress.objects:,} objects, {size / 1e9:.3f} of {progress.size / 1e9:.3f} GB: "
        f"{progress.copied:,} copied and verified, {progress.found:,} found"
    )


def _accounts(folder: Path) -> dict[str, StoreSettings]:
    """Return the settings of each account in a folder."""
    paths = {path.stem: path for path in sorted(folder.glob("*.env"))}
    if unknown := paths.keys() - rights.ACCOUNTS.keys():
        raise InvalidInput(
            f"Expected files in {folder} named {', '.join(f'{name}.env' for name in rights.ACCOUNTS)}. "
            f"Received {', '.join(f'{name}.env' for name in sorted(unknown))}.",
            reason="USAGE",
        )
    required = ("access_key", "secret_key")
    return {name: settings_of(paths[name], StoreSettings, required) for name in rights.ACCOUNTS if name in paths}


def _probe(store: Store) -> bool:
    """Print what the server does where servers differ; return whether something needed is not among it."""
    has_fault = False
    for question, answer in probe(store):
        has_fault |= answer.verdict == "fault"
        click.echo(plain(f"{question:<42}{answer}"))
    return has_fault


def _print(report: Report) -> None:
    for sentence in report.done:
        click.echo(plain(sentence))
    if report.access:
        click.echo("What each account may do, of reading, writing and deleting:")
    for row in _rows(report.access) if report.access else ():
        click.echo(row.rstrip())
    for access in report.access:
        if not access.is_right:
            click.echo(f"Not as meant: {access}.")
    for sentence in report.missing:
        click.echo(plain(f"Cannot be had: {sentence.rstrip('.')}."))
    if report.advice:
        click.echo(report.advice)


def _rows(access: list[Access]) -> Iterator[str]:
    """Yield a row for each account: `rwd` for read, write and delete, as it was found."""
    found = {(each.account, each.kind, each.use): each.found for each in access}
    yield f"{'account':<12}" + "".join(f"{kind:<13}" for kind in keys.CLASSES)
    for name in dict.fromkeys(each.account for each in access):
        cells = ("".join(use[0] if found[name, kind, use] else "-" for use in USES) for kind in keys.CLASSES)
        yield f"{name:<12}" + "".join(f"{cell:<13}" for cell in cells)
