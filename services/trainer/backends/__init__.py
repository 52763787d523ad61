"""Backends, the places where workers run: the interface (`base`), one package for each kind, and `load` by name.

Another package adds a backend with an entry point of the group `facefoundry.backends`. Its name is the value of
FACEFOUNDRY_BACKEND; its value is a function that takes the `TrainerSettings` and returns a `TrainingBackend`. A backend
reads its own settings, as `local` does.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points

from facefoundry.errors import FieldViolation, InvalidInput
from services.trainer.backends.base import TrainingBackend
from services.trainer.settings import TrainerSettings

__all__ = ["GROUP", "Load", "load", "names"]

GROUP = "facefoundry.backends"
"""Entry point group of other packages' backends."""

Load = Callable[[TrainerSettings], TrainingBackend]
"""Type of the function that an entry point names."""

_BUILT_IN = (
    EntryPoint("local", "services.trainer.backends.local:load", GROUP),
    EntryPoint("kubernetes", "services.trainer.backends.kubernetes:load", GROUP),
)


def names() -> list[str]:
    """Return the names of the installed backends."""
    return sorted(_installed())


def load(settings: TrainerSettings) -> TrainingBackend:
    """Make the backend that the settings name.

    Raises:
        InvalidInput: no such backend is installed (BACKEND_UNKNOWN), or one of its settings is wrong.
        Internal: the backend is configured wrongly.
    """
    found = _installed().get(settings.backend)
    if found is None:
        expected = ", ".join(names())
        raise InvalidInput(
            f"Expected FACEFOUNDRY_BACKEND to be an installed backend: {expected}. "
            f"Received FACEFOUNDRY_BACKEND={settings.backend!r}. Install its package, or name another one.",
            reason="BACKEND_UNKNOWN",
            violations=[FieldViolation("FACEFOUNDRY_BACKEND", f"must be one of {expected}")],
        )
    make: Load = found.load()
    return make(settings)


def _installed() -> dict[str, EntryPoint]:
    """Entry points by name; a built-in backend cannot be replaced."""
    return {found.name: found for found in (*entry_points(group=GROUP), *_BUILT_IN)}
