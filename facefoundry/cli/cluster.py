"""Options of the cluster that runs are submitted to, and sentences on their Jobs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from facefoundry.cli.options import gather
from facefoundry.cli.plain import plain
from facefoundry.cluster.runs import Place, Runs
from facefoundry.cluster.states import JobState
from facefoundry.errors import FaceFoundryError

__all__ = ["cluster_options", "find_job", "sentence", "stop_job"]

F = TypeVar("F", bound=Callable[..., object])
T = TypeVar("T")


def cluster_options(function: F) -> F:
    """Add `--namespace`, `--context` and `--kubeconfig` to a command, which gets them as the argument `place`."""
    function = gather(Place, "place", function)
    for option in (
        click.option(
            "--kubeconfig",
            type=click.Path(dir_okay=False),
            help="The kubeconfig.  [default: $KUBECONFIG or ~/.kube/config]",
        ),
        click.option("--context", help="Context of the kubeconfig.  [default: its current one]"),
        click.option(
            "-n",
            "--namespace",
            envvar="FACEFOUNDRY_NAMESPACE",
            help="Namespace of the release.  [default: that of the context]",
        ),
    ):
        function = option(function)
    return function


def find_job(run: str, place: Place) -> JobState | None:
    """Return the Job of a run; None if there is none, or no cluster is known. Errors are as in `_ask`."""
    return _ask(place, lambda runs: runs.find_if_any(run), None)


def stop_job(run: str, place: Place) -> bool:
    """Delete the Job of a run in the cluster that the options name, and return whether there was one.

    A Job in another cluster, which the user may not have had in mind, is mentioned instead. Errors are as in `_ask`.
    """
    if place != Place():
        return _ask(place, lambda runs: runs.stop(run), False)
    state = find_job(run, place)
    if state is not None and not state.ended:
        click.echo(
            plain(
                f"The Job {state.job} in {state.namespace} of the current context goes on. To delete it, repeat the "
                f"command with --namespace {state.namespace}."
            ),
            err=True,
        )
    return False


def _ask(place: Place, question: Callable[[Runs], T], otherwise: T) -> T:
    """Ask the cluster that the options name, or that of a kubeconfig where Kubernetes looks for one.

    Args:
        place: The options.
        question: Asks it.
        otherwise: The answer where there is no such cluster.

    Raises:
        FaceFoundryError: the cluster that the options name does not answer, or refuses the action. About another
            cluster, which may have nothing to do with the run, a sentence is printed instead.
    """
    is_named = place != Place()
    if not (is_named or os.environ.get("KUBECONFIG") or (Path.home() / ".kube" / "config").is_file()):
        return otherwise
    try:
        with place.open() as runs:
            return question(runs)
    except FaceFoundryError as error:
        if is_named:
            raise
        click.echo(f"A Job of the run was not looked for. {plain(error.message)} [{error.reason}]", err=True)
        return otherwise


def sentence(state: JobState) -> str:
    """Return a sentence on a Job."""
    ended = f" {state.pods_failed} of its pods ended early." if state.pods_failed else ""
    reason = f" [{state.reason}]" if state.reason else ""
    return f"Job {state.job} in {state.namespace}: {state.state}. {state.message}{reason}{ended}"
