"""`facefoundry gate`: says which fakes of a dataset do not pass its gates."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from facefoundry.cli.connection import store_settings
from facefoundry.cli.errors import missing_is_wrong_input
from facefoundry.cli.options import local_dir_option
from facefoundry.cli.tables import print_table
from facefoundry.dataset.gates import Action
from facefoundry.dataset.record import PairRecord
from facefoundry.planning import gating, yaml_file
from facefoundry.planning.gating import Gated
from facefoundry.settings import StoreSettings, read
from facefoundry.storage.store import Store

__all__ = ["gate"]

_DONE: dict[Action, str] = {"flag": "flagged", "retrain": "trained again", "drop": "dropped"}


@click.command(short_help="Say which fakes of a dataset do not pass its gates.")
@click.argument("place", metavar="NAME|OUT")
@click.option(
    "--gates",
    "dataset_file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Dataset file with other gates than those that the run had.",
)
@click.option("--dry-run", is_flag=True, help="Change nothing. Required: `facefoundry run` is what applies gates.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per fake that does not pass.")
@click.option("--local", "use_local", is_flag=True, help="Use the object store of this machine.")
@local_dir_option
def gate(
    place: str, dataset_file: Path | None, dry_run: bool, as_json: bool, use_local: bool, local_dir: Path | None
) -> None:
    """Print which fakes would be flagged, trained again or dropped, and why. No fake is measured again.

    OUT is the output folder of a run, and NAME the name of one whose record is in the bucket.

    \b
    Examples:
      facefoundry gate OUT --dry-run
      facefoundry gate OUT --gates dataset.yaml --dry-run      (tries other gates on what exists)
      facefoundry gate celebs --dry-run                        (needs keys of the object store)

    `facefoundry run` with the same dataset file applies its gates: what is finished is reused.
    """
    if not dry_run:
        message = (
            "Expected --dry-run. This command only says what gates would do; `facefoundry run FILE` applies the gates "
            "of a dataset file to what exists, and makes nothing twice."
        )
        raise click.UsageError(message)
    gates = yaml_file.load(dataset_file).gates if dataset_file else None
    with missing_is_wrong_input():
        if use_local and not Path(place).is_dir():
            with store_settings(use_local, local_dir, lambda text: click.echo(text, err=True)) as settings:
                run, pairs = gating.load(place, Store(settings))
        else:
            settings = read(StoreSettings)
            run, pairs = gating.load(place, Store(settings) if settings.has_keys else None)
    found = list(gating.gated(pairs, run.gates if gates is None else gates))
    if as_json:
        for each in found:
            click.echo(json.dumps({"event": "gated", **asdict(each)}))
        return
    if found:
        print_table(("fake", "would be", "measure", "value", "bar"), _rows(found), whole="fake")
    click.echo(_summary(found, pairs))


def _rows(found: Sequence[Gated]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each measure that a fake does not pass."""
    for each in found:
        for index, (measure, value, bar) in enumerate(each.measures):
            named = (each.fake, _DONE[each.outcome]) if index == 0 else ("", "")
            yield (*named, measure, f"{value:.4g}", f"{bar:.4g}")


def _summary(found: Sequence[Gated], pairs: Sequence[PairRecord]) -> str:
    fakes = sum(bool(fake.quality) for pair in pairs for fake in pair.fakes)
    counts = Counter(each.outcome for each in found)
    listed = ", ".join(f"{counts[outcome]} {words}" for outcome, words in _DONE.items() if counts[outcome])
    return f"{len(found)} of {fakes} measured fakes do not pass{f': {listed}' if listed else ''}."
