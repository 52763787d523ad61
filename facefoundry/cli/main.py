"""The command's entry: which commands there are and how errors end it."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from facefoundry import __version__
from facefoundry.cli.errors import show
from facefoundry.errors import FaceFoundryError

__all__ = ["cli", "main"]

_COMMANDS = {
    "generate-models": "ffpp:generate_models",
    "create-from-models": "ffpp:create_from_models",
    "extract-faces": "ffpp:extract_faces",
    "train": "ffpp:train",
    "convert": "ffpp:convert",
    "export-models": "export:export_models",
    "status": "status:status",
    "cancel": "cancel:cancel",
    "report": "report:report",
    "local": "local:local",
}


class _Commands(click.Group):
    """Loads a command's module when the command is used; takes `_` for `-`, as the original script spells its modes."""

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
    """The DeepFakes half of FaceForensics++: labelled fakes for training deepfake detectors.

    \b
    On this machine alone (in a clone, or installed with the extra `local`):
      facefoundry generate-models --local -i CLIPS -o OUT --recipe preview --convert_images
    Against services that run elsewhere:
      facefoundry generate-models -i CLIPS -o OUT --extractor HOST:50051 --trainer HOST:50052 --converter HOST:50053

    Every fake is labelled as synthetic. Use faces only of people who agreed to it.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command; exit 0 done, 1 failed, 2 wrong usage or input, 130 interrupted."""
    try:
        sys.exit(cli.main(args=arguments, prog_name="facefoundry", standalone_mode=False))
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except FaceFoundryError as error:
        sys.exit(show(error))
