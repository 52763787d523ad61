"""Starts shell commands as a caller without keys of the store has them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO

_PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def missing(programs: Iterable[str]) -> list[str]:
    """Return the programs that are not installed."""
    return [program for program in programs if not shutil.which(program, path=_PATH)]


def start(
    script: str, folder: Path, addresses: Mapping[str, str], output: int | IO[str] = subprocess.PIPE, **variables: str
) -> subprocess.Popen[str]:
    """Start shell commands in a folder and in a session of their own.

    Args:
        script: The commands; the first that fails ends them.
        folder: Where they run.
        addresses: Addresses of the services, by name. No other setting of ours reaches the commands.
        output: Where their output and errors go.
        variables: Further variables.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FACEFOUNDRY_")}
    services = {f"FACEFOUNDRY_{name.upper()}_ADDRESS": address for name, address in addresses.items()}
    return subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**inherited, **services, **variables, "PATH": _PATH},
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
