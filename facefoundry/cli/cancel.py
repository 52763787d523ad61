"""`facefoundry cancel`: stop trainings; their checkpoints stay."""

from __future__ import annotations

import json
from pathlib import Path

import click
from google.protobuf.json_format import MessageToDict

from facefoundry.cli.options import connection_options, running_services
from facefoundry.client import ENDED, Client
from facefoundry.errors import NotFound
from facefoundry.v1 import trainer_pb2

__all__ = ["cancel"]


@click.command()
@click.argument("uris", nargs=-1, metavar="[TRAINING_URI]...")
@click.option("--pair", help="Trainings of this pair, such as 033_097.")
@click.option("--dataset", help="Trainings of this run, as `facefoundry status` names it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each training.")
@connection_options
def cancel(
    uris: tuple[str, ...],
    pair: str | None,
    dataset: str | None,
    as_json: bool,
    use_local: bool,
    local_dir: Path | None,
    **addresses: str | None,
) -> None:
    """Stop trainings, named by their URIs, or all unfinished ones of a pair, a run, or a pair of a run.

    \b
    Examples:
      facefoundry cancel --trainer HOST:50052 s3://BUCKET/trainings/DIGEST
      facefoundry cancel --local --pair 033_097       while another command runs with --local

    Checkpoints stay: the command that started a training goes on from there when it is run again.
    """
    if not uris and pair is None and dataset is None:
        raise click.UsageError("Name what to stop: URIs of trainings, --pair or --dataset.")
    with (
        running_services(use_local, local_dir, addresses) as channels,
        Client(channels, retry_seconds=10.0) as client,
    ):
        chosen = list(dict.fromkeys([*uris, *_found(client, pair, dataset)]))
        if not chosen:
            wanted = " and ".join(filter(None, [pair and f"pair {pair}", dataset and f"run {dataset}"]))
            raise NotFound(f"No training of {wanted} is unfinished.", reason="NO_SUCH_TRAINING")
        for uri in chosen:
            training = client.cancel_training(uri)
            click.echo(
                json.dumps(MessageToDict(training, preserving_proto_field_name=True)) if as_json else _say(training)
            )


def _found(client: Client, pair: str | None, dataset: str | None) -> list[str]:
    if pair is None and dataset is None:
        return []
    return [
        training.uri
        for training in client.list_trainings(dataset or "")
        if training.state not in ENDED and pair in (None, training.pair_id)
    ]


def _say(training: trainer_pb2.Training) -> str:
    if training.state != trainer_pb2.TRAINING_STATE_CANCELLED:
        state = trainer_pb2.TrainingState.Name(training.state).removeprefix("TRAINING_STATE_")
        return f"{training.pair_id} was not stopped: it is {state}."
    return f"{training.pair_id} is cancelled after iteration {training.iteration}/{training.iterations}."
