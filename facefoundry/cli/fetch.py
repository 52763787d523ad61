"""`facefoundry fetch`: fetches a dataset from a bucket to a folder."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from facefoundry.cli.connection import store_settings
from facefoundry.cli.errors import SOME_FAILED
from facefoundry.cli.options import local_dir_option
from facefoundry.cli.signing import SigningOptions, sign_folder, signing_options
from facefoundry.cli.view import make_view
from facefoundry.dataset.download import Fetched
from facefoundry.dataset.layouts import layout_of
from facefoundry.dataset.progress import Event
from facefoundry.dataset.version import short
from facefoundry.errors import InvalidInput
from facefoundry.planning.fetching import fetch_with, pairs_of

__all__ = ["fetch"]

_SECONDS_BETWEEN_EVENTS = 0.5
_NAMED = 12


@click.command(short_help="Fetch a dataset from a bucket.")
@click.argument("name", metavar="NAME")
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path, file_okay=False))
@click.option("--only", metavar="KINDS", help="Kinds of files, separated by commas, such as c23,masks.  [default: all]")
@click.option(
    "--pairs", metavar="PAIRS", help="Ids of pairs, or paths of filelists (.json), separated by commas.  [default: all]"
)
@click.option("--threads", type=click.IntRange(1, 64), default=8, show_default=True, help="Files fetched at once.")
@click.option("--sign", is_flag=True, help="Sign the videos that were fetched by C2PA, as `facefoundry sign` does.")
@signing_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per event, without progress bars.")
@click.option("--local", "use_local", is_flag=True, help="Use the object store of this machine.")
@local_dir_option
def fetch(
    name: str,
    out: Path,
    only: str | None,
    pairs: str | None,
    threads: int,
    sign: bool,
    signing: SigningOptions,
    as_json: bool,
    use_local: bool,
    local_dir: Path | None,
) -> None:
    """Fetch a dataset that `facefoundry run` left in a bucket, verified by size and SHA-256.

    NAME is its name below datasets/ of the bucket in FACEFOUNDRY_STORE_BUCKET, or its place s3://BUCKET/datasets/NAME/.

    \b
    Kinds: raw, c23, c40 or other levels; masks, masks_blend, masks_changed, labels, models, faces, report.
    Filelist and splits always come.

    \b
    Examples:
      facefoundry fetch celebs OUT
      facefoundry fetch s3://bucket/datasets/celebs/ OUT --only c23,masks
      facefoundry fetch celebs OUT --only labels           (a small kind first: the splits come with it)
      facefoundry fetch celebs OUT --only c23 --pairs OUT/misc/splits/test.json
      facefoundry fetch celebs OUT --sign --key key.pem --chain chain.pem

    Run the same command again to continue a fetch that was stopped: what is there, with the right bytes, does not come
    again. The exit code is 3 if the bucket does not have some files as they were written.

    With --sign, what signs is checked first, and the videos are signed when all files are there. Signed videos have
    other bytes, so the same command fetches and signs them again.
    """
    if sign and only:
        message = "--sign needs the record and labels, which --only can leave out. Leave --only out, or --sign."
        raise InvalidInput(message, reason="USAGE")
    credentials = signing.for_sign(sign=sign)
    view = make_view(as_json)
    chosen = pairs_of(_split(pairs))
    last = 0.0

    def on_start(state: Fetched) -> None:
        pairs = f"{state.pairs:,} pair{'s' if state.pairs != 1 else ''}"
        version = f" of version {short(state.version)}" if state.version else ""
        view.message(f"{state.files:,} files of {pairs}{version}, {_size(state.size)}, to {out}.")

    def on_progress(state: Fetched) -> None:
        nonlocal last
        if time.monotonic() >= last + _SECONDS_BETWEEN_EVENTS and state.done < state.files:
            last = time.monotonic()
            view.event(Event(name, "fetch", "running", state.done_bytes, state.size, "bytes"))

    with store_settings(use_local, local_dir, view.message) as settings, view:
        fetched = fetch_with(
            settings,
            name,
            out,
            _split(only),
            chosen,
            threads,
            on_start=on_start,
            on_progress=on_progress,
            on_wait=view.message,
        )
        view.event(Event(name, "fetch", "done", fetched.done_bytes, fetched.size, "bytes"))
        if credentials is not None and not fetched.lost:
            sign_folder(view, layout_of(out), credentials)
    for entry in fetched.missing:
        view.message(f"{entry.id} is not in the dataset, because it failed [{entry.reason}].")
    if fetched.replaced:
        view.message(f"Fetched again, as other bytes were there: {_listed(fetched.replaced)}.")
    if fetched.removed:
        view.message(f"Removed, as gates have left their fakes out of the dataset: {_listed(fetched.removed)}.")
    for sentence in fetched.lost:
        view.message(sentence)
    if as_json:
        click.echo(json.dumps({"event": "fetched", **asdict(fetched)}))
    else:
        view.message(
            f"{fetched.done:,} of {fetched.files:,} files are in {out}, verified; {fetched.found:,} were there before."
        )
    if fetched.lost:
        raise click.exceptions.Exit(SOME_FAILED)


def _split(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def _listed(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _NAMED:,} more" if len(paths) > _NAMED else ""
    return f"{', '.join(sorted(paths)[:_NAMED])}{more}"


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.2f} MB"
