"""Opens and closes the run of a command: resolves the recipe, connects, shows progress, records, and reports."""

from __future__ import annotations

import json
import re
import secrets
import shlex
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import click

from facefoundry import recipes
from facefoundry.cli.connection import Connection, connect
from facefoundry.cli.errors import SOME_FAILED
from facefoundry.cli.options import ConnectionOptions, OutputOptions, RecipeOptions
from facefoundry.cli.view import View, make_view
from facefoundry.dataset import files, models, verdict
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.layouts import layout_of
from facefoundry.dataset.plan import Clip, Pair
from facefoundry.dataset.record import RunRecord
from facefoundry.dataset.recorder import RunRecorder
from facefoundry.dataset.run import DatasetRun
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.dataset.service_stages import ServiceStages
from facefoundry.dataset.subjects import with_subjects
from facefoundry.storage import document, keys
from facefoundry.v1 import recipe_pb2

__all__ = ["RunPlan", "Session", "face_shares", "make_dataset", "open_session", "run_name", "slow_training_warning"]

# A training on a CPU takes months if the network and the number of iterations have at least these sizes.
_LARGE_BOTTLENECK, _MANY_ITERATIONS = 1024, 100_000


@dataclass(frozen=True)
class RunPlan:
    """What a run makes.

    Attributes:
        convert: Whether to make fakes, not only models.
        keep_faces: Whether to write face crops and alignments too.
        name: Name of the run; None for the name that `run_name` derives from the output folder.
        seed: Seed of the random pairing; None if the pairs were given.
    """

    convert: bool
    keep_faces: bool = False
    name: str | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Session:
    """An open run: its progress display, its files, its recipe, the run itself and its record."""

    view: View
    layout: Layout
    recipe: recipe_pb2.Recipe
    run: DatasetRun
    record: RunRecord


@contextmanager
def open_session(
    plan: RunPlan, recipe: RecipeOptions, connection: ConnectionOptions, output: OutputOptions
) -> Iterator[Session]:
    """Open a run. Ctrl-C and SIGTERM stop it, and print the command that continues it."""
    resolved, reading = recipe.resolve(), output.reading
    layout = layout_of(output.out, output.layout)
    command = shlex.join(["facefoundry", *sys.argv[1:]])
    name = run_name(plan.name, layout)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with make_view(output.as_json) as view, connect(connection, view.message) as connected:
            if recipe.base is not None:
                resolved.training.start_from = models.upload(connected.transfers, recipe.base)
                resolved = recipes.resolve(resolved)
            record = RunRecord(name, command, recipes.options(resolved), plan.seed, layout=layout.name)
            recorder = _recorder(record, layout, view, connected)
            stages = ServiceStages(
                connected.transfers,
                resolved,
                layout,
                recorder,
                view.event,
                keep_faces=plan.keep_faces,
                reading=reading,
            )
            run = DatasetRun(
                stages,
                recorder,
                view.event,
                convert=plan.convert,
                compare=resolved.extraction.identity,
                limits=connected.limits,
            )
            yield Session(view, layout, resolved, run, record)
    except KeyboardInterrupt:
        click.echo(f"\nStopped. Finished work is kept. This command continues the run:\n  {command}", err=True)
        raise click.exceptions.Exit(130) from None


def make_dataset(
    pairs: Sequence[Pair],
    clips: Mapping[str, Clip],
    plan: RunPlan,
    recipe: RecipeOptions,
    connection: ConnectionOptions,
    output: OutputOptions,
    *,
    given: Mapping[Pair, Path] | None = None,
    messages: Sequence[str] = (),
) -> None:
    """Run all pairs. If some fail, exit with code 1 after an outage of a service or the store, and with 3 otherwise.

    Args:
        pairs: The pairs, in order.
        clips: The clips of the pairs, by id.
        plan: What the run makes.
        recipe: The options of the recipe.
        connection: The options that locate the services.
        output: The options of the output.
        given: Folders of existing models, by pair.
        messages: Sentences to print first.
    """
    output.reading.check(clips)
    clips = with_subjects(clips, recipe.subjects)
    with open_session(plan, recipe, connection, output) as session:
        view, layout = session.view, session.layout
        text = json.dumps([list(pair) for pair in pairs], indent=1) + "\n"
        files.write(layout.filelist(), text.encode())
        for message in messages:
            view.message(message)
        warning = None if given else slow_training_warning(session.recipe, on_this_machine=connection.use_local)
        if warning:
            view.message(warning)
        if plan.seed is not None:
            first = ", ".join(pair.id for pair in pairs[:8])
            view.message(f"Paired by seed {plan.seed}: {first}. All pairs are in {layout.filelist()}.")
        records = session.run.run(pairs, clips, given)
        failed = [pair for pair in records if pair.state == "failed"]
        for pair in failed:
            if pair.failure:
                view.message(f"{pair.id} failed: {pair.failure.message} [{pair.failure.reason}]")
        reused = sum(pair.reused for pair in records)
        counted = f" ({reused} reused from the store)" if reused else ""
        view.message(
            f"{len(pairs) - len(failed)} of {len(pairs)} pairs done in {layout.root}{counted}. "
            f"{face_shares(session.record)}{verdict.summary(records)}Report: {layout.report_page()}"
        )
    if failed:
        raise click.exceptions.Exit(1 if session.run.had_outage else SOME_FAILED)


def face_shares(record: RunRecord) -> str:
    """Return a sentence with the share of frames that show the subject, and with the clip that has the smallest one.

    The sentence ends with a space. It is empty if no clip was extracted.
    """
    sequences = {name: sequence for name, sequence in record.sequences.items() if sequence.frames}
    if not sequences:
        return ""
    fewest = min(sequences, key=lambda name: sequences[name].faces / sequences[name].frames)
    faces, frames = (sum(getattr(row, field) for row in sequences.values()) for field in ("faces", "frames"))
    least = sequences[fewest].faces / sequences[fewest].frames
    return f"{faces / frames:.1%} of the frames have the face, the fewest in {fewest} ({least:.1%}). "


def slow_training_warning(recipe: recipe_pb2.Recipe, *, on_this_machine: bool) -> str | None:
    """Return a warning if a network of FF++'s size would be trained on the CPU of this machine; None otherwise."""
    training = recipe.training
    is_large = training.bottleneck >= _LARGE_BOTTLENECK and training.iterations >= _MANY_ITERATIONS
    if not on_this_machine or not is_large or not _has_tensorflow_for_cpu():
        return None
    return (
        f"{training.iterations:,} iterations of this network take months on a CPU, and the installed TensorFlow "
        "uses only the CPU. Install TensorFlow with CUDA on a machine with a GPU, or try --recipe preview."
    )


def run_name(name: str | None, layout: Layout) -> str:
    """Return the name of a run: the given name, or the name of the earlier run in the folder, or a new unique name.

    Args:
        name: The given name, if any.
        layout: Layout of the output folder, in which an earlier run may have left its record.
    """
    chosen = name or RunFolder(layout.run_folder()).run_name()
    if chosen is None:
        folder = re.sub(r"[^A-Za-z0-9._-]+", "-", layout.root.resolve().name).lstrip("._-")[:54] or "run"
        chosen = f"{folder}-{secrets.token_hex(4)}"
    keys.run(chosen)
    return chosen


def _recorder(record: RunRecord, layout: Layout, view: View, connected: Connection) -> RunRecorder:
    """Make the recorder of a run. At each save it writes the report, and copies the record to a store with keys."""
    from facefoundry import report

    prefix, store = keys.run(record.name), connected.store

    def upload(name: str, data: bytes) -> None:
        if store is not None:
            document.put(store, f"{prefix}/{name}", data)  # if this fails, the next save repeats it

    folder = RunFolder(layout.run_folder())
    return RunRecorder(record, folder, view.event, upload=upload, on_save=lambda: report.write(layout))


def _has_tensorflow_for_cpu() -> bool:
    try:
        return bool(metadata.version("tensorflow-cpu"))
    except metadata.PackageNotFoundError:
        return False


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
