"""`facefoundry status`: do the services and their store answer, and how far is every training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from google.protobuf.json_format import MessageToDict
from rich.console import Console
from rich.table import Table

from facefoundry.cli.options import connection_options, running_services
from facefoundry.client import SERVICES, Client
from facefoundry.errors import FaceFoundryError
from facefoundry.v1 import trainer_pb2

__all__ = ["status"]


@click.command()
@click.option("--dataset", default="", help="Only trainings of this run.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@connection_options
def status(dataset: str, as_json: bool, use_local: bool, local_dir: Path | None, **addresses: str | None) -> None:
    """Show whether services and store answer, and every training.

    \b
    Examples:
      facefoundry status --local          while another command runs with --local
      facefoundry status --trainer HOST:50052 --dataset faces1
    """
    with (
        running_services(use_local, local_dir, addresses) as channels,
        Client(channels, retry_seconds=2.0) as client,
    ):
        services = {name: _info(client, name) for name in SERVICES}
        try:
            trainings = list(client.list_trainings(dataset))
        except FaceFoundryError:
            trainings = []  # the trainer's row already says why
    if as_json:
        click.echo(json.dumps({"services": services, "trainings": [_record(training) for training in trainings]}))
    else:
        _print(services, trainings)
    if not all(row["healthy"] for row in services.values()):
        raise click.exceptions.Exit(1)


def _info(client: Client, service: str) -> dict[str, Any]:
    try:
        info = client.info(service)
    except FaceFoundryError as error:
        return {"healthy": False, "detail": error.message}
    detail = info.store.detail or f"store {info.store.endpoint} answers"
    return {
        "healthy": info.store.reachable,
        "version": info.version,
        "slots": f"{info.slots_in_use}/{info.slots}",
        "engines": list(info.engines),
        "detail": detail,
    }


def _record(training: trainer_pb2.Training) -> dict[str, Any]:
    return MessageToDict(training, preserving_proto_field_name=True)


def _print(services: dict[str, dict[str, Any]], trainings: list[trainer_pb2.Training]) -> None:
    console = Console()
    table = Table("service", "version", "slots", "engines", "state", box=None)
    for name, row in services.items():
        engines = ", ".join(row.get("engines", ()))
        table.add_row(name, row.get("version", "-"), row.get("slots", "-"), engines, row["detail"])
    console.print(table)
    if not trainings:
        return
    table = Table("pair", "run", "state", "iteration", "it/s", "left", "loss A / B", "why", box=None)
    for training in trainings:
        state = trainer_pb2.TrainingState.Name(training.state).removeprefix("TRAINING_STATE_")
        left = f"{training.eta_seconds / 60:.0f} min" if training.eta_seconds else ""
        table.add_row(
            training.pair_id,
            training.dataset,
            state,
            f"{training.iteration}/{training.iterations}",
            f"{training.iterations_per_second:.1f}",
            left,
            f"{training.loss_a:.4f} / {training.loss_b:.4f}",
            training.failure.message or training.diagnosis.message,
        )
    console.print(table)
