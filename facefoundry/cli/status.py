"""`facefoundry status`: shows whether the services and their store answer, and how far each training is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date

import click
from google.protobuf.json_format import MessageToDict

from facefoundry.cli.cluster import cluster_options, find_job, sentence
from facefoundry.cli.connection import running_services
from facefoundry.cli.errors import show
from facefoundry.cli.options import ConnectionOptions, connection_options
from facefoundry.cli.plain import plain
from facefoundry.cli.tables import print_table
from facefoundry.client import SERVICES, Client
from facefoundry.cluster.runs import Place
from facefoundry.cluster.status import RunStatus
from facefoundry.codec import JsonObject, to_values
from facefoundry.dataset.rights import end_warning
from facefoundry.dataset.version import short
from facefoundry.errors import FaceFoundryError
from facefoundry.planning.stored_run import stored_run
from facefoundry.report.wording import duration, moment
from facefoundry.settings import StoreSettings
from facefoundry.storage.store import Store
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
@click.option("--dataset", default="", metavar="NAME", help="Show only this run: Job, record and trainings.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@cluster_options
@connection_options
def status(dataset: str, as_json: bool, place: Place, connection: ConnectionOptions) -> None:
    """Show whether the services and the object store answer, and all trainings.

    \b
    Examples:
      facefoundry status --local          (while another command runs with --local)
      facefoundry status --trainer HOST:50052 --dataset faces1
      facefoundry status --namespace facefoundry --dataset faces1      (a run that was submitted)

    Of one run, its Job is shown where there is a kubeconfig, and its record where there are keys of the store. Then
    services need not answer.

    The exit code is 1 if a service or the store does not answer, the trainings cannot be listed, or one is damaged; of
    one run, if nothing is known of it.
    """
    with running_services(connection) as (channels, store), Client(channels, retry_seconds=2.0) as client:
        run = _run_status(dataset, place, store, connection.use_local) if dataset else None
        services = {name: _status_of(client, name) for name in SERVICES}
        trainings, failure = _trainings(client, dataset)
    is_known = run is not None and (run.job is not None or run.record is not None)
    if as_json:
        rows = [MessageToDict(training, preserving_proto_field_name=True) for training in trainings]
        values = {name: service.to_values() for name, service in services.items()}
        known: JsonObject = {"run": to_values(run)} if run else {}
        click.echo(json.dumps({**known, "services": values, "trainings": rows}))
    else:
        if run is not None:
            _print_run(run)
        if is_known and not any(service.healthy for service in services.values()):
            click.echo("The services do not answer from here, so its trainings are not shown.")
        else:
            _print(services, trainings, dataset)
    damaged = any(training.state == trainer_pb2.Training.STATE_DAMAGED for training in trainings)
    if failure is not None and services["trainer"].healthy:  # otherwise the trainer's row has the reason
        show(failure, as_json=False)
    is_down = failure is not None or not all(service.healthy for service in services.values())
    if damaged or (is_down and not is_known):
        raise click.exceptions.Exit(1)


def _run_status(name: str, place: Place, store: StoreSettings, use_local: bool) -> RunStatus:
    job = None if use_local else find_job(name, place)
    return RunStatus(name, job, stored_run(Store(store), name) if store.has_keys else None)


def _print_run(run: RunStatus) -> None:
    if run.job is not None:
        click.echo(plain(f"{sentence(run.job)} Output: {run.job.output}"))
    if run.record is not None:
        record = run.record
        click.echo(
            plain(
                f"{record.done} of {record.pairs} pairs are done, {len(record.failures)} failed, "
                f"{duration(record.seconds)} after {moment(record.created)}."
                f"{f' Version {short(record.version)}.' if record.version else ''}"
            )
        )
        if warning := end_warning(record.rights_end, date.today()):
            click.echo(plain(warning))
        for pair, failed in record.failures.items():
            click.echo(plain(f"{pair} failed: {failed.message} [{failed.reason}]"))


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


def _print(services: dict[str, ServiceStatus], trainings: list[trainer_pb2.Training], dataset: str) -> None:
    rows = []
    for name, service in services.items():
        version, engines = (service.info.version, service.info.engines) if service.info else ("-", ())
        rows.append((name, version, service.slots, ", ".join(engines), service.detail))
    print_table(("service", "version", "slots", "engines", "state"), rows)
    if trainings:
        cells = [_cells_of(training) for training in trainings]
        columns = [name for name in cells[0] if name != "run" or not dataset]
        print_table(columns, ([row[name] for name in columns] for row in cells), whole="pair")


def _cells_of(training: trainer_pb2.Training) -> dict[str, str]:
    """Return the cells of a training, by column. What is not known yet is empty."""
    return {
        "pair": training.pair_id,
        "run": ", ".join(training.datasets),
        "state": trainer_pb2.Training.State.Name(training.state).removeprefix("STATE_"),
        "iteration": f"{training.iteration}/{training.iterations}",
        "it/s": f"{training.iterations_per_second:.1f}" if training.iterations_per_second else "",
        "left": f"{training.eta.seconds / 60:.0f} min" if training.HasField("eta") else "",
        "loss A / B": f"{training.loss_a:.4f} / {training.loss_b:.4f}" if training.loss_a or training.loss_b else "",
        "reason": training.failure.message or training.diagnosis.message or training.restart.message,
    }
