"""Prints the errors of the command, and defines its exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from facefoundry import errors
from facefoundry.cli.plain import plain
from facefoundry.codec import to_values
from facefoundry.errors import FaceFoundryError, to_record

__all__ = ["FOUND", "SOME_FAILED", "exit_code", "missing_is_wrong_input", "show"]

SOME_FAILED = 3
"""Exit code if some pairs, clips or fakes failed because of their input, and all others are done."""

FOUND = 4
"""Exit code if a check of a dataset was made and found something."""


def exit_code(error: FaceFoundryError) -> int:
    """Return the exit code for an error: 2 for wrong input, 130 for an interruption, 1 for every other error."""
    if isinstance(error, errors.InvalidInput):
        return 2
    return 130 if isinstance(error, errors.Cancelled) else 1


@contextmanager
def missing_is_wrong_input() -> Iterator[None]:
    """Raise `InvalidInput` for `NotFound` in a block, where the user named what is not there."""
    try:
        yield
    except errors.NotFound as error:
        raise errors.InvalidInput(error.message, reason=error.reason) from error


def show(error: FaceFoundryError, *, as_json: bool) -> None:
    """Print an error: as JSON to standard output, or as a sentence to standard error."""
    if as_json:
        print(json.dumps({"event": "error", **to_values(to_record(error))}), flush=True)
    else:
        print(f"Error: {plain(error.message)} [{plain(error.reason)}]", file=sys.stderr)
