"""`facefoundry submit`: makes the dataset of a dataset file by a Job in the cluster."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import click
import yaml

from facefoundry.cli.cluster import cluster_options, sentence
from facefoundry.cli.options import gather
from facefoundry.cli.plain import plain
from facefoundry.cli.plan import summary
from facefoundry.cluster.manifests import JobOptions, Object
from facefoundry.cluster.runs import Place, objects_of, prepare, read_template, started
from facefoundry.codec import to_values
from facefoundry.errors import InvalidInput

__all__ = ["submit"]

F = TypeVar("F", bound=Callable[..., object])


def job_options(function: F) -> F:
    """Add what a Job has instead of the release's to a command, which gets it as the argument `options`."""
    function = gather(JobOptions, "options", function)
    for name, text in (
        ("--memory", "Memory request and limit of the pod, such as 4Gi."),
        ("--cpu", "CPU request of the pod, such as 500m."),
        ("--store-secret", "Secret with the keys access-key and secret-key of the store."),
        ("--service-account", "Service account of the pod."),
        ("--image", "Image of the command."),
    ):
        function = click.option(name, help=f"{text}  [default: the release's]")(function)
    return function


@click.command(short_help="Make the dataset of a dataset file by a Job in the cluster.")
@click.argument("dataset_file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "-o",
    "--output",
    metavar="PLACE",
    help="Where the dataset is made: s3://BUCKET/datasets/NAME/, or NAME in the release's bucket.  [default: `output` "
    "of FILE, or the name in FILE]",
)
@cluster_options
@job_options
@click.option("--release", help="Name of the release, if the namespace has several.")
@click.option("--dry-run", is_flag=True, help="Print the objects for `kubectl apply`, and create nothing.")
@click.option(
    "--template",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --dry-run: a file with the release's ConfigMap, such as the rendered chart, instead of the cluster.",
)
@click.option(
    "--wait",
    "wait_seconds",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    help="Seconds to wait for the start of the pod.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the state of the Job as one JSON object.")
def submit(
    dataset_file: Path,
    output: str | None,
    place: Place,
    release: str | None,
    options: JobOptions,
    dry_run: bool,
    template: Path | None,
    wait_seconds: float,
    as_json: bool,
) -> None:
    """Start a Job in the cluster that makes the dataset of FILE into the bucket, by your kubeconfig.

    \b
    Examples:
      facefoundry submit dataset.yaml --namespace facefoundry
      facefoundry submit dataset.yaml --dry-run | kubectl apply --filename -
      facefoundry status --dataset NAME        (NAME is that in the file)
      facefoundry logs --dataset NAME --follow
      facefoundry cancel --dataset NAME --namespace facefoundry
      facefoundry retry --dataset NAME --failed
      facefoundry fetch NAME OUT

    Clips, pairs and splits are fixed when the run is submitted, and travel in a ConfigMap. The clips must be in a
    bucket; listing a prefix needs keys of the store. What the Job needs comes from the release in the namespace. The
    Job goes on after its pod was killed or its node was lost, and needs no volume.
    """
    if template is not None and not dry_run:
        raise InvalidInput("--template is for --dry-run. Add --dry-run, or leave it out.", reason="USAGE")
    if template is not None:
        known = read_template(template)
        _print(objects_of(known, prepare(dataset_file, known, output, options)[0]))
        return
    with place.open() as runs:
        known = runs.template(release)
        submission, resolved = prepare(dataset_file, known, output, options)
        objects = objects_of(known, submission)
        if dry_run:
            _print(objects)
            return
        for line in (summary(resolved), *resolved.findings()):
            click.echo(plain(line), err=True)
        state = started(runs, objects, wait_seconds)
    click.echo(json.dumps(to_values(state)) if as_json else plain(f"{sentence(state)} Output: {state.output}"))


def _print(objects: Iterable[Object]) -> None:
    click.echo(yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, width=100), nl=False)


class _Dumper(yaml.SafeDumper):
    """Writes the files of a ConfigMap line by line."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
