"""`facefoundry cancel`: stops trainings and keeps their checkpoints."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import click
from google.protobuf.json_format import MessageToDict

from facefoundry.cli.cluster import cluster_options, stop_job
from facefoundry.cli.connection import running_services
from facefoundry.cli.options import ConnectionOptions, connection_options
from facefoundry.cli.plain import plain
from facefoundry.client import ENDED, Client
from facefoundry.cluster.runs import Place
from facefoundry.errors import NotFound
from facefoundry.v1 import trainer_pb2

__all__ = ["cancel"]

_AT_ONCE = 4


@click.command(short_help="Stop trainings; checkpoints are kept.")
@click.argument("uris", nargs=-1, metavar="[TRAINING_URI]...")
@click.option("--pair", help="Stop the trainings of this pair, such as 033_097.")
@click.option("--dataset", help="Stop the trainings of this run; `facefoundry status` lists runs.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per training.")
@cluster_options
@connection_options
def cancel(
    uris: tuple[str, ...],
    pair: str | None,
    dataset: str | None,
    as_json: bool,
    place: Place,
    connection: ConnectionOptions,
) -> None:
    """Stop trainings by their URIs, or all unfinished trainings of a pair, of a run, or of a pair in a run.

    \b
    Examples:
      facefoundry cancel --trainer HOST:50052 s3://BUCKET/trainings/DIGEST
      facefoundry cancel --local --pair 033_097       (while another command runs with --local)
      facefoundry cancel --namespace facefoundry --dataset faces1      (a run that was submitted)

    The command deletes the Job of a submitted run first, so the Job cannot start a training again. This needs
    --namespace, --context or --kubeconfig: a Job in another cluster is only mentioned. Then it stops the trainings. If
    it does not reach the trainer, they go on: repeat the command.

    Checkpoints are kept. Run the command that started a training again to continue it, or `facefoundry retry`.
    """
    if not uris and pair is None and dataset is None:
        raise click.UsageError("Expected the URI of a training, --pair or --dataset.")
    stopped = bool(dataset) and pair is None and not connection.use_local and stop_job(str(dataset), place)
    if stopped and not as_json:
        click.echo(plain(f"The Job of the run {dataset} is deleted. `facefoundry retry` starts it again."))
    with (
        running_services(connection) as (channels, _),
        Client(channels, retry_seconds=10.0) as client,
    ):
        chosen = list(dict.fromkeys([*uris, *_find(client, pair, dataset)]))
        if not chosen and not stopped:
            requested = " and ".join(filter(None, [pair and f"pair {pair}", dataset and f"run {dataset}"]))
            raise NotFound(
                f"There is no unfinished training of {requested}. `facefoundry status` lists all trainings.",
                reason="NO_SUCH_TRAINING",
            )
        for training in _cancelled(client, chosen):
            click.echo(
                json.dumps(MessageToDict(training, preserving_proto_field_name=True))
                if as_json
                else plain(_as_sentence(training))
            )


def _cancelled(client: Client, uris: Sequence[str]) -> Iterator[trainer_pb2.Training]:
    """Stop trainings, a few at once, and yield them in order. After an error no further one is stopped."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            yield from pool.map(client.cancel_training, uris)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _find(client: Client, pair: str | None, dataset: str | None) -> list[str]:
    if pair is None and dataset is None:
        return []
    return [
        training.uri
        for training in client.list_trainings(dataset or "")
        if training.state not in {*ENDED, trainer_pb2.Training.STATE_DAMAGED} and pair in (None, training.pair_id)
    ]


def _as_sentence(training: trainer_pb2.Training) -> str:
    if training.state != trainer_pb2.Training.STATE_CANCELLED:
        state = trainer_pb2.Training.State.Name(training.state).removeprefix("STATE_")
        return f"{training.pair_id} was not stopped: it is {state}."
    return f"{training.pair_id} is cancelled after iteration {training.iteration}/{training.iterations}."
