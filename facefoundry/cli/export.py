"""`facefoundry export FORMAT DATASET OUT`: writes a finished dataset in the form that a detector or a tool reads."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from facefoundry.cli.connection import store_settings
from facefoundry.cli.errors import SOME_FAILED
from facefoundry.cli.options import local_dir_option
from facefoundry.cli.view import View, make_view
from facefoundry.codec import JsonValue
from facefoundry.dataset.download import Fetched
from facefoundry.dataset.progress import Event
from facefoundry.errors import InvalidInput
from facefoundry.exports.export import Export
from facefoundry.exports.formats import GROUP
from facefoundry.exports.run import Exported
from facefoundry.planning.exporting import export_with

__all__ = ["export"]


class _Formats(click.Group):
    """Makes a command of each format when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return GROUP.names()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in GROUP.names():
            return None
        try:
            return _command(GROUP.find(cmd_name)())
        except InvalidInput as error:  # the other formats can still be listed and used
            return _broken(cmd_name, error)


@click.command(cls=_Formats, short_help="Write a dataset in the form that a detector reads.")
def export() -> None:
    """Write a finished dataset in the form that a detector or a tool reads.

    \b
    Examples:
      facefoundry export ffpp OUT FFPP
      facefoundry export ffpp --help
    """


def _command(export: Export[Any]) -> click.Command:
    """Return the command of a format: the options of all exports, and its own."""

    def run(
        dataset: str,
        out: str,
        levels: str | None,
        min_swapped: float,
        update: bool,
        dry_run: bool,
        processes: int | None,
        as_json: bool,
        use_local: bool,
        local_dir: Path | None,
        **values: object,
    ) -> None:
        view = make_view(as_json)
        shown = _Shown(view, export.name)
        with store_settings(use_local, local_dir, view.message) as settings, view:
            exported = export_with(
                settings,
                export,
                dataset,
                out,
                levels=[part.strip() for part in (levels or "").split(",") if part.strip()],
                options=export.options(**values),
                min_swapped=min_swapped,
                update=update,
                dry_run=dry_run,
                processes=processes,
                on_start=shown.start,
                on_progress=shown.progress,
                on_fetch=shown.fetched,
                on_wait=view.message,
            )
        shown.end(exported, out, as_json=as_json, dry_run=dry_run)
        if exported.failed:
            raise click.exceptions.Exit(SOME_FAILED)

    own = [
        click.Option(
            [f"--{field.name.replace('_', '-')}"],
            default=field.default,
            is_flag=isinstance(field.default, bool),
            show_default=field.default != "" and not isinstance(field.default, bool),
            help=str(field.metadata["help"]),
        )
        for field in fields(export.options)
    ]
    parameters: list[click.Parameter] = [
        click.Argument(["dataset"]),
        click.Argument(["out"]),
        *own,
        click.Option(["--levels"], help=_levels_help(export)),
        click.Option(
            ["--min-swapped"],
            type=click.FloatRange(0, 1),
            default=0.5,
            show_default=True,
            help="Name fakes with a smaller share of swapped frames. Those without any are always left out.",
        ),
        click.Option(["--update"], is_flag=True, help="Write what has changed in an export, and remove what is gone."),
        click.Option(["--dry-run"], is_flag=True, help="Say what there is to do, and write nothing."),
        click.Option(["--processes"], type=click.IntRange(1, 256), help="Processes.  [default: one for each core]"),
        click.Option(["as_json", "--json"], is_flag=True, help="Print one JSON object per event."),
        click.Option(["use_local", "--local"], is_flag=True, help="Use the object store of this machine."),
    ]
    text = f"""Write the dataset DATASET to OUT: {export.summary}.

    DATASET and OUT are folders, or places s3://BUCKET/datasets/NAME/. Run the same command again to continue an export
    that was stopped. The exit code is 3 if some files could not be made.
    """
    made = click.Command(export.name, callback=run, params=parameters, help=text, short_help=export.summary)
    return local_dir_option(made)


def _levels_help(export: Export[Any]) -> str:
    if export.one_level:
        return f"The compression level.  [default: {', else '.join(export.one_level)}]"
    return "Compression levels, separated by commas.  [default: all]"


def _broken(name: str, error: InvalidInput) -> click.Command:
    def fail(**_: object) -> None:
        raise error

    anything = click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)
    return click.Command(
        name,
        callback=fail,
        params=[anything],
        short_help="Cannot be used.",
        context_settings={"ignore_unknown_options": True},
    )


class _Shown:
    """Shows the progress of an export."""

    def __init__(self, view: View, name: str) -> None:
        self._view, self._name = view, name

    def fetched(self, state: Fetched) -> None:
        """Say how much of a dataset in a bucket there is to fetch, and then how much is here."""
        if not state.done:
            size = f"{state.size / 1e6:,.1f} MB"
            self._view.message(f"{state.files:,} files to fetch to a temporary folder first, {size}.")
        ended = "done" if state.done == state.files else "running"
        self._view.event(Event(self._name, "fetch", ended, state.done_bytes, state.size, "bytes"))

    def start(self, state: Exported) -> None:
        """Say what there is to do, and what the export will lack."""
        for sentence in state.record.left_out:
            self._view.message(f"Left out: {sentence}")
        for sentence in state.record.remarks:
            self._view.message(sentence)
        free = f", of {state.free / 1e9:.1f} GB that are free" if state.free is not None else ""
        left = state.items - state.found
        self._view.message(f"{left:,} of {state.items:,} items to make, about {state.size / 1e6:,.1f} MB{free}.")

    def progress(self, state: Exported) -> None:
        """Show how many items are there."""
        ended = "done" if state.done == state.items else "running"
        self._view.event(Event(self._name, "export", ended, state.done, state.items, "items"))

    def end(self, state: Exported, out: str, *, as_json: bool, dry_run: bool) -> None:
        """Say what was done."""
        for sentence in state.failed:
            self._view.message(sentence)
        if as_json:
            record = state.record
            numbers: dict[str, JsonValue] = {
                "items": state.items,
                "done": state.done,
                "found": state.found,
                "removed": [*state.removed],
                "failed": [*state.failed],
                "left_out": [*record.left_out],
                "remarks": [*record.remarks],
                "dataset_version": record.dataset_version,
                "version": record.version,
            }
            click.echo(json.dumps({"event": "exported", **numbers}))
        elif not dry_run:
            removed = f"; {len(state.removed):,} removed" if state.removed else ""
            self._view.message(
                f"{state.done:,} of {state.items:,} items are in {out}, {state.found:,} from before{removed}."
            )
