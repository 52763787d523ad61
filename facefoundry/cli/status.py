"""`facefoundry status`: shows whether the services and their store answer, and how far each training is."""

from __future__ import annotations

import json
from dataclasses import dataclass

import click
from google.protobuf.json_format import MessageToDict
from rich.console import Console
from rich.table import Table
from rich.text import Text

from facefoundry.cli.connection import running_services
from facefoundry.cli.errors import show
from facefoundry.cli.options import ConnectionOptions, connection_options
from facefoundry.cli.plain import plain
from facefoundry.client import SERVICES, Client
from facefoundry.codec import JsonObject
from facefoundry.errors import FaceFoundryError
from facefoundry.v1 import info_pb2, trainer_pb2

__all__ = ["status"]


@dataclass(frozen=True)
class ServiceStatus:
    """The state of a service.

    Attributes:
        healthy: Whether the service and the object store answer.
        detail: A sentence about the state.
        info: The answer of the service; None if it does not answer.
    """

    healthy: bool
    detail: str
    info: info_pb2.GetInfoResponse | None = None

    @property
    def slots(self) -> str:
        """Slots in use and all slots, such as `1/4`."""
        return f"{self.info.slots_in_use}/{self.info.slots}" if self.info else "-"

    def to_values(self) -> JsonObject:
        """Convert to JSON values."""
        values: JsonObject = {"healthy": self.healthy, "detail": self.detail}
        if self.info:
            values |= {"version": self.info.version, "slots": self.slots, "engines": list(self.info.engines)}
        return values


@click.command(short_help="Show the state of services and trainings.")
@click.option("--dataset", default="", help="Show only the trainings of this run.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@connection_options
def status(dataset: str, as_json: bool, connection: ConnectionOptions) -> None:
    """Show whether the services and the object store answer, and all trainings.

    \b
    Examples:
      facefoundry status --local          (while another command runs with --local)
      facefoundry status --trainer HOST:50052 --dataset faces1

    The exit code is 1 if a service or the store does not answer, the trainings cannot be listed, or one is damaged.
    """
    with running_services(connection) as channels, Client(channels, retry_seconds=2.0) as client:
        services = {name: _status_of(client, name) for name in SERVICES}
        trainings, failure = _trainings(client, dataset)
    if as_json:
        rows = [MessageToDict(training, preserving_proto_field_name=True) for training in trainings]
        values = {name: service.to_values() for name, service in services.items()}
        click.echo(json.dumps({"services": values, "trainings": rows}))
    else:
        _print(services, trainings)
    damaged = any(training.state == trainer_pb2.Training.STATE_DAMAGED for training in trainings)
    if failure is not None and services["trainer"].healthy:  # otherwise the trainer's row has the reason
        show(failure, as_json=False)
    if failure is not None or damaged or not all(service.healthy for service in services.values()):
        raise click.exceptions.Exit(1)


def _trainings(client: Client, dataset: str) -> tuple[list[trainer_pb2.Training], FaceFoundryError | None]:
    """Return the trainings of a run, and the error that ended the list, if any."""
    found: list[trainer_pb2.Training] = []
    try:
        found.extend(client.list_trainings(dataset))
    except FaceFoundryError as error:
        return found, error
    return found, None


def _status_of(client: Client, service: str) -> ServiceStatus:
    try:
        info = client.info(service)
    except FaceFoundryError as error:
        return ServiceStatus(False, error.message)
    return ServiceStatus(info.store.reachable, info.store.detail or f"store {info.store.endpoint} answers", info)


def _print(services: dict[str, ServiceStatus], trainings: list[trainer_pb2.Training]) -> None:
    console = Console()
    table = Table("service", "version", "slots", "engines", "state", box=None)
    for name, service in services.items():
        version, engines = (service.info.version, service.info.engines) if service.info else ("-", ())
        table.add_row(*_cells(name, version, service.slots, ", ".join(engines), service.detail))
    console.print(table)
    if not trainings:
        return
    table = Table("pair", "run", "state", "iteration", "it/s", "left", "loss A / B", "reason", box=None)
    for training in trainings:
        state = trainer_pb2.Training.State.Name(training.state).removeprefix("STATE_")
        left = f"{training.eta.seconds / 60:.0f} min" if training.HasField("eta") else ""
        table.add_row(
            *_cells(
                training.pair_id,
                ", ".join(training.datasets),
                state,
                f"{training.iteration}/{training.iterations}",
                f"{training.iterations_per_second:.1f}",
                left,
                f"{training.loss_a:.4f} / {training.loss_b:.4f}",
                training.failure.message or training.diagnosis.message or training.restart.message,
            )
        )
    console.print(table)


def _cells(*texts: str) -> list[Text]:
    """Return texts from outside as cells of a table, which print them as they are: `[red]` is no markup."""
    return [Text(plain(text)) for text in texts]
