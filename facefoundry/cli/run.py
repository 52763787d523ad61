"""`facefoundry run`: makes the dataset that a dataset file describes."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import click

from facefoundry.cli.options import ConnectionOptions, connection_options, layout_option
from facefoundry.cli.plan import summary
from facefoundry.cli.session import Session, command_line, connected_view, make_pairs
from facefoundry.cli.signing import SigningOptions, sign_folder, signing_options
from facefoundry.dataset.stored_dataset import is_uri
from facefoundry.errors import InvalidInput
from facefoundry.planning import yaml_file
from facefoundry.planning.making import assemble
from facefoundry.planning.objects import lister
from facefoundry.planning.outputs import FOLDER, check_output, open_output, space_sentences
from facefoundry.planning.recipe import recipe_of
from facefoundry.planning.running import plan_of
from facefoundry.settings import StoreSettings, read

__all__ = ["run"]


@click.command(short_help="Make the dataset that a dataset file describes.")
@click.argument("dataset_file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "-o",
    "--output",
    "out",
    metavar="PLACE",
    help="A folder, or a place in a bucket, s3://BUCKET/datasets/NAME/.  [default: `output` of FILE, or output]",
)
@layout_option
@click.option("--sign", is_flag=True, help="Sign the videos of the folder by C2PA, as `facefoundry sign` does.")
@signing_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per event, without progress bars.")
@connection_options
def run(
    dataset_file: Path,
    out: str | None,
    layout: str | None,
    sign: bool,
    signing: SigningOptions,
    as_json: bool,
    connection: ConnectionOptions,
) -> None:
    """Make all pairs of a dataset file: models, fakes, masks, labels and real videos.

    \b
    Examples:
      facefoundry run dataset.yaml -o OUT --local
      facefoundry run dataset.yaml -o OUT --local --sign --key key.pem --chain chain.pem
      facefoundry run dataset.yaml -o s3://BUCKET/datasets/NAME/
      facefoundry run dataset.yaml -o OUT --extractor HOST:50051 --trainer HOST:50052 --converter HOST:50053
      facefoundry status --dataset NAME        (shows its trainings; NAME is that in the file)

    In a bucket, the store copies the files from the results, and `facefoundry fetch` gets them. It needs keys of the
    object store. Models are left out, unless the file says `keep_models: true`.

    With --sign, what signs is checked first, and the videos are signed when all pairs have ended. In a bucket, nothing
    is signed: `facefoundry fetch --sign` signs what it fetches.

    Run the same command again to continue a run that was stopped, and to try pairs again that failed.
    """
    dataset = yaml_file.load(dataset_file)
    recipe_of(dataset)  # before anything is started
    place = out or dataset.output or FOLDER
    check_output(place, layout, read(StoreSettings))
    if sign and is_uri(place):
        message = (
            f"--sign is for a folder. Received {place}: the store copies the files there, and nothing signs them. "
            "Leave --sign out; then `facefoundry fetch --sign` signs what it fetches."
        )
        raise InvalidInput(message, reason="USAGE")
    credentials = signing.for_sign(sign=sign)
    with connected_view(connection, as_json) as (view, connected):
        plan, resolved = plan_of(dataset_file, lister(connected.store_settings))
        with open_output(place, layout, connected.store, with_models=dataset.keep_models) as output:
            warnings = plan.clip_rights.warnings(date.today())
            messages = [summary(resolved), *resolved.findings(), *warnings, *space_sentences(place, plan.estimate)]
            session = Session(view, assemble(plan, output, connected, view.event, command_line()))

            def finish() -> None:
                if credentials is not None:
                    sign_folder(view, output.layout, credentials)

            make_pairs(session, messages, on_this_machine=connection.use_local, finish=finish)
