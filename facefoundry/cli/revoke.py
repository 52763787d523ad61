"""`facefoundry revoke`: removes everything that was made of a clip or of a person's clips."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import click

from facefoundry.cli.connection import store_settings
from facefoundry.cli.options import local_dir_option
from facefoundry.cli.plain import plain
from facefoundry.cli.signing import SigningOptions
from facefoundry.codec import to_values
from facefoundry.dataset import files
from facefoundry.dataset.statements import Statement
from facefoundry.errors import InvalidInput
from facefoundry.revocation.derived import REMOVED_FIRST
from facefoundry.revocation.revoking import Found, find
from facefoundry.revocation.revoking import revoke as revoke_all
from facefoundry.storage.store import Store

__all__ = ["revoke"]

_NAMED = 20
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command(short_help="Remove everything that was made of a clip or a person.")
@click.argument("what", metavar="SOURCE|SUBJECT")
@click.option(
    "--dataset",
    "datasets",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    multiple=True,
    metavar="FOLDER",
    help="A folder with a dataset that was made of the bucket; can be given again. Datasets in the bucket are found.",
)
@click.option("--yes", is_flag=True, help="Remove it. Without this option, the command only says what it would remove.")
@click.option("--unfinished", is_flag=True, help="Also remove all unfinished results. Use it while nothing runs.")
@click.option("--statement", type=click.Path(path_type=Path, dir_okay=False), help="Write the statement to this file.")
@click.option("--key", type=_FILE, help="PEM file of a private key that signs the statement, as FILE.p7s.")
@click.option(
    "--sign-command", default="", metavar="COMMAND", help="Command that signs instead, as that of `facefoundry sign`."
)
@click.option("--chain", type=_FILE, help="PEM file of the key's certificates, the signing one first.")
@click.option("use_local", "--local", is_flag=True, help="Use the object store of this machine.")
@local_dir_option
@click.option("--json", "as_json", is_flag=True, help="Print the statement, or what would be removed, as JSON.")
def revoke(
    what: str,
    datasets: tuple[Path, ...],
    yes: bool,
    unfinished: bool,
    statement: Path | None,
    key: Path | None,
    sign_command: str,
    chain: Path | None,
    use_local: bool,
    local_dir: Path | None,
    as_json: bool,
) -> None:
    """Remove a clip, or all clips of a person, and everything that was made of them, and have no service make it again.

    SOURCE is the SHA-256 of a video, or the URI or digest of a stored clip, s3://BUCKET/sources/DIGEST. SUBJECT is the
    `subject` of records of rights. Cancel runs that use the clips first.

    \b
    Examples:
      facefoundry revoke P-017 --dataset OUT                (says what it would remove)
      facefoundry revoke P-017 --dataset OUT --yes --statement P-017.json
      facefoundry revoke P-017 --yes --statement P-017.json --key key.pem --chain chain.pem
      facefoundry revoke P-017 --yes --statement P-017.json --sign-command ./sign-with-hsm --chain chain.pem
      facefoundry revoke "$(sha256sum < clip.mp4 | cut -c-64)" --yes

    It needs the keys of the bucket's owner. A stopped command is finished by the same command. Then bring exports up to
    date with `facefoundry export ... --update`. Clips of yours, below clips/ and on disks, stay.
    """
    sign = _signer(SigningOptions(key, chain, sign_command), statement)
    with store_settings(use_local, local_dir, _emit) as settings:
        store = Store(settings).with_retries_for(settings.retry_seconds, _emit)
        store.check()
        found = find(store, what, datasets)
        has_work = not (found.is_empty and found.statement.ended and not found.damaged)
        has_work = has_work or bool(unfinished and found.unfinished)
        if not as_json:
            for sentence in _sentences(found) if has_work else [_ended(found.statement)]:
                click.echo(plain(sentence))
        if not yes:
            click.echo(json.dumps(to_values(found)) if as_json else "Nothing was changed. --yes removes it.")
            return
        made, data = revoke_all(store, what, datasets, with_unfinished=unfinished, on_progress=_emit)
    if statement is not None:
        files.write(statement, data)
        if sign is not None:
            files.write(statement.with_name(f"{statement.name}.p7s"), sign(data))
    if as_json:
        click.echo(json.dumps({"event": "revoked", **to_values(made)}))
    elif has_work:
        click.echo(f"Removed. {_ended(made)} Bring exports up to date with `facefoundry export ... --update`.")
    if not as_json:
        for sentence in _not_looked_into(made, datasets):
            click.echo(plain(sentence))


def _signer(signing: SigningOptions, statement: Path | None) -> Callable[[bytes], bytes] | None:
    """Return what signs the statement; None without a key. The certificate is checked before anything is removed."""
    if not signing.are_given:
        return None
    if statement is None:
        message = "--key, --sign-command and --chain sign the file of --statement. Give it too, or leave them out."
        raise InvalidInput(message, reason="USAGE")
    credentials = signing.credentials()
    from facefoundry.revocation.signature import require_signer, signature

    require_signer(credentials)
    return partial(signature, credentials=credentials)


def _sentences(found: Found) -> Iterator[str]:
    """Say what there is to remove."""
    counts = Counter(prefix.partition("/")[0] for prefix in found.results)
    listed = ", ".join(_count(counts[kind], kind[:-1]) for kind in reversed(REMOVED_FIRST) if counts[kind])
    yield f"Of {found.statement.revoked} there are {listed or 'no results'} in the bucket, {found.size / 1e6:,.1f} MB."
    for place in found.places:
        named = ", ".join(place.pairs[:_NAMED]) + (" and others" if len(place.pairs) > _NAMED else "")
        pairs = f" and {_count(len(place.pairs), 'pair')} ({named})" if place.pairs else ""
        clips = f"{_count(len(place.clips), 'clip')} ({', '.join(place.clips[:_NAMED])})" if place.clips else "no clip"
        yield f"{place.where} loses {clips}{pairs}."
    if found.keys:
        named = "1 other object names" if len(found.keys) == 1 else f"{len(found.keys):,} other objects name"
        yield f"{named} them, such as uploads and entries of the list of trainings."
    if found.unfinished:
        yield (
            f"{_count(len(found.unfinished), 'result')} {'is' if len(found.unfinished) == 1 else 'are'} unfinished, "
            "and nothing says what of. --unfinished removes all that is unfinished; use it while nothing runs."
        )
    for key in found.damaged:
        yield f"{key} cannot be read, so nobody knows what it names or is made of. Restore it or delete its prefix."


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _not_looked_into(statement: Statement, datasets: Sequence[Path]) -> Iterator[str]:
    """Name the folders of an earlier call, which may have been stopped while it changed them."""
    given = {str(folder.resolve()) for folder in datasets}
    for place in statement.places:
        if not place.where.startswith(("runs/", "datasets/")) and place.where not in given:
            yield f"{place.where} was not looked into. If the command was stopped, repeat it with --dataset for it."


def _ended(statement: Statement) -> str:
    return f"Nothing is left of {statement.revoked}: it was revoked on {statement.ended}."


def _emit(text: str) -> None:
    click.echo(plain(text), err=True)
