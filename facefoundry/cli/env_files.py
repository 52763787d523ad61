"""Reads settings from files with lines `NAME=value`, as Docker, systemd and `kubectl create secret` do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from facefoundry.errors import InvalidInput
from facefoundry.settings import Settings, read

__all__ = ["settings_of"]

S = TypeVar("S", bound=Settings)


def settings_of(path: Path, kind: type[S], required: Sequence[str] = ()) -> S:
    """Read settings from a file, and what it does not set from the environment.

    Args:
        path: The file. Empty lines and lines that begin with `#` are left out; quotes are part of a value.
        kind: The class of the settings.
        required: Fields that the file must set.

    Raises:
        InvalidInput: a line has another form or names no setting, a required one is missing (ENV_FILE), or a value is
            wrong (SETTINGS).
    """
    prefix = str(kind.model_config["env_prefix"])
    fields = {f"{prefix}{field.upper()}": field for field in kind.model_fields}
    values: dict[str, str] = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, separator, value = line.partition("=")
        if not separator or name not in fields:
            raise InvalidInput(
                f"Expected {prefix}<SETTING>=value in line {number} of {path}. Received "
                f"{name if separator else 'no ='!r}. docs/settings.md lists the settings.",
                reason="ENV_FILE",
                resource=str(path),
            )
        values[fields[name]] = value
    if missing := [f"{prefix}{field.upper()}" for field in required if not values.get(field)]:
        raise InvalidInput(f"{path} must set {' and '.join(missing)}.", reason="ENV_FILE", resource=str(path))
    return read(kind, **values)
