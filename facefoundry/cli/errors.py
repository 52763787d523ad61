"""How errors look in a terminal, and the exit code of each."""

from __future__ import annotations

import json
import sys

from facefoundry import errors
from facefoundry.codec import to_values
from facefoundry.errors import FaceFoundryError, to_record

__all__ = ["SOME_FAILED", "exit_code", "show"]

SOME_FAILED = 3
"""Exit code where some pairs or clips failed, each with its reason, and would fail again; the others are done."""


def exit_code(error: FaceFoundryError) -> int:
    """2 for input that must be changed, 130 for an interruption, 1 for everything else."""
    if isinstance(error, errors.InvalidInput):
        return 2
    return 130 if isinstance(error, errors.Cancelled) else 1


def show(error: FaceFoundryError) -> int:
    """Print an error, as JSON where the command was asked for JSON, and return its exit code."""
    if "--json" in sys.argv:
        print(json.dumps({"event": "error", **to_values(to_record(error))}), flush=True)
    else:
        print(f"Error: {error.message} [{error.reason}]", file=sys.stderr)
    return exit_code(error)
