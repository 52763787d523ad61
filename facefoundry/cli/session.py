"""Opens and closes the run of a command: connects, shows progress, and prints how the pairs ended."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from importlib import metadata

import click

from facefoundry.cli.connection import Connection, connect
from facefoundry.cli.errors import SOME_FAILED
from facefoundry.cli.options import ConnectionOptions, OutputOptions
from facefoundry.cli.view import View, make_view
from facefoundry.dataset import verdict
from facefoundry.dataset.layouts import layout_of
from facefoundry.dataset.output import FolderOutput
from facefoundry.dataset.record import RunRecord
from facefoundry.planning.making import Making, RunPlan, assemble, run_name
from facefoundry.v1 import recipe_pb2

__all__ = [
    "Session",
    "command_line",
    "connected_view",
    "face_shares",
    "make_dataset",
    "make_pairs",
    "open_session",
    "slow_training_warning",
]

# A training on a CPU takes months if the network and the number of iterations have at least these sizes.
_LARGE_BOTTLENECK, _MANY_ITERATIONS = 1024, 100_000


@dataclass(frozen=True)
class Session:
    """An open run: its progress display, and the run."""

    view: View
    making: Making


@contextmanager
def open_session(plan: RunPlan, connection: ConnectionOptions, output: OutputOptions) -> Iterator[Session]:
    """Open a run. Ctrl-C and SIGTERM stop it, and print the command that continues it."""
    layout = layout_of(output.out, output.layout)
    plan = replace(plan, name=run_name(plan.name, layout))  # a wrong name is refused before anything is started
    with connected_view(connection, output.as_json) as (view, connected):
        for warning in plan.clip_rights.warnings(date.today()):
            view.message(warning)
        yield Session(view, assemble(plan, FolderOutput(layout), connected, view.event, command_line()))


@contextmanager
def connected_view(connection: ConnectionOptions, as_json: bool) -> Iterator[tuple[View, Connection]]:
    """Open a progress display and a connection. Ctrl-C and SIGTERM end the block, and print how to continue."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with make_view(as_json) as view, connect(connection, view.message) as connected:
            yield view, connected
    except KeyboardInterrupt:
        click.echo(f"\nStopped. Finished work is kept. This command continues the run:\n  {command_line()}", err=True)
        raise click.exceptions.Exit(130) from None


def make_dataset(
    plan: RunPlan, connection: ConnectionOptions, output: OutputOptions, *, messages: Sequence[str] = ()
) -> None:
    """Run all pairs. If some fail, exit with code 1 after an outage of a service or the store, and with 3 otherwise.

    Args:
        plan: What the run makes.
        connection: The options that locate the services.
        output: The options of the output.
        messages: Sentences to print first.
    """
    plan.reading.check(plan.clips)
    with open_session(plan, connection, output) as session:
        make_pairs(session, messages, on_this_machine=connection.use_local)


def make_pairs(
    session: Session,
    messages: Sequence[str],
    *,
    on_this_machine: bool,
    finish: Callable[[], None] = lambda: None,
) -> None:
    """Run all pairs of an open run, as `make_dataset` does.

    Args:
        session: The open run.
        messages: Sentences to print first.
        on_this_machine: Whether this machine trains.
        finish: Called when pairs have ended and at least one is done.
    """
    view, making = session.view, session.making
    plan, output = making.plan, making.output
    for message in messages:
        view.message(message)
    warning = None if plan.given else slow_training_warning(plan.recipe, on_this_machine=on_this_machine)
    if warning:
        view.message(warning)
    if plan.seed is not None:
        first = ", ".join(pair.id for pair in plan.pairs[:8])
        view.message(f"Paired by seed {plan.seed}: {first}. All pairs are in {output.filelist}.")
    records = making.make_pairs()
    failed = [pair for pair in records if pair.state == "failed"]
    for pair in failed:
        if pair.failure:
            view.message(f"{pair.id} failed: {pair.failure.message} [{pair.failure.reason}]")
    reused = sum(pair.reused for pair in records)
    counted = f" ({reused} reused from the store)" if reused else ""
    view.message(
        f"{len(records) - len(failed)} of {len(records)} pairs done in {output.place}{counted}. "
        f"{face_shares(making.record)}{verdict.summary(records)}Report: {output.report}"
    )
    if len(failed) < len(records):
        finish()
    if failed:
        raise click.exceptions.Exit(1 if making.run.had_outage else SOME_FAILED)


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


def command_line() -> str:
    """Return the command line of this process."""
    return shlex.join(["facefoundry", *sys.argv[1:]])


def _has_tensorflow_for_cpu() -> bool:
    try:
        return bool(metadata.version("tensorflow-cpu"))
    except metadata.PackageNotFoundError:
        return False


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
