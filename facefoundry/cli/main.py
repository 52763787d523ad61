"""The entry point of the command: finds the subcommand, and exits with the code of an error."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from facefoundry import __version__
from facefoundry.cli.errors import exit_code, show
from facefoundry.errors import FaceFoundryError

__all__ = ["cli", "main"]

_COMMANDS = {
    "plan": "plan:plan",
    "run": "run:run",
    "submit": "submit:submit",
    "fetch": "fetch:fetch",
    "generate-models": "ffpp:generate_models",
    "create-from-models": "ffpp:create_from_models",
    "extract-faces": "ffpp:extract_faces",
    "train": "ffpp:train",
    "convert": "ffpp:convert",
    "check-leaks": "check_leaks:check_leaks",
    "check-balance": "check_balance:check_balance",
    "export": "export:export",
    "export-models": "export_models:export_models",
    "auc": "auc:auc",
    "diff": "diff:diff",
    "sign": "sign:sign",
    "verify": "verify:verify",
    "datasheet": "datasheet:datasheet",
    "revoke": "revoke:revoke",
    "status": "status:status",
    "logs": "logs:logs",
    "cancel": "cancel:cancel",
    "retry": "retry:retry",
    "look": "look:look",
    "report": "report:report",
    "gate": "gate:gate",
    "local": "local:local",
    "bucket": "bucket:bucket",
}


class _Commands(click.Group):
    """Imports the module of a subcommand when it is used. Names may be spelled with `_` instead of `-`, as in FF++."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = _COMMANDS.get(cmd_name.replace("_", "-"))
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(import_module(f"facefoundry.cli.{module}"), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return (command.name if command else name), command, rest


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="facefoundry")
def cli() -> None:
    """Make labelled face-swap videos for training deepfake detectors, as the DeepFakes method of FaceForensics++ does.

    \b
    On this machine (in a clone, or installed with the extra `local`):
      facefoundry generate-models --local -i CLIPS -o OUT --recipe preview --convert_images
    With services that run elsewhere:
      facefoundry generate-models -i CLIPS -o OUT --extractor HOST:50051 --trainer HOST:50052 --converter HOST:50053
    Clips and results go by URLs of these services, so no keys of the object store are needed.

    \b
    Exit codes:
      0    everything is done
      1    a service, the store or this program failed: run the command again; or the one fake of `convert` failed,
           or `diff` found a difference
      2    an option or an input is wrong: change it; nothing was started
      3    some pairs, clips or fakes failed and would fail again; the others are done
      4    `check-leaks` found a leak, or `verify` something that is wrong
      130  interrupted

    Every fake is labelled as synthetic. Use only faces of people who have agreed to it.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit; `facefoundry --help` lists the exit codes."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        sys.exit(cli.main(args=arguments, prog_name="facefoundry", standalone_mode=False))
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except FaceFoundryError as error:
        show(error, as_json=_is_json_requested(arguments))
        sys.exit(exit_code(error))


def _is_json_requested(arguments: list[str]) -> bool:
    """Return whether the arguments contain `--json`. They were parsed before, so they are valid."""
    with click.Context(cli) as context:
        _, command, rest = cli.resolve_command(context, list(arguments))
        while isinstance(command, click.Group):  # the command of a format of `export`, for example
            context = click.Context(command, parent=context)
            _, command, rest = command.resolve_command(context, rest)
        if command is None:
            return False
        options, _, _ = command.make_parser(click.Context(command, parent=context)).parse_args(rest)
    return bool(options.get("as_json"))
