"""The backends that can be used here: this project's own, and those that other packages add.

A backend is a place where workers run. A package adds one with an entry point of the group `facefoundry.backends`. The
entry point's name is the value of FACEFOUNDRY_BACKEND that selects the backend. It refers to a function that takes the
`TrainerSettings` and returns a `TrainingBackend`. The function also reads the backend's own settings, see
`backends/local/__init__.py`.

    [project.entry-points."facefoundry.backends"]
    my_backend = "my_package.backend:load"
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from facefoundry.errors import FaceFoundryError, FieldViolation, InvalidInput
from services.trainer.backends.base import TrainingBackend
from services.trainer.settings import TrainerSettings

__all__ = ["GROUP", "Load", "load", "names"]

GROUP: Final = "facefoundry.backends"
"""Group of the entry points with which other packages add backends."""

Load = Callable[[TrainerSettings], TrainingBackend]
"""Type of the function that an entry point refers to."""

# Imported only when it is used, as the Kubernetes client takes a second to load.
_OWN: Final = {
    "local": EntryPoint("local", "services.trainer.backends.local:load", GROUP),
    "kubernetes": EntryPoint("kubernetes", "services.trainer.backends.kubernetes:load", GROUP),
}


def names() -> list[str]:
    """Return the names of the installed backends, this project's first."""
    return list(_installed())


def load(settings: TrainerSettings) -> TrainingBackend:
    """Make the backend that FACEFOUNDRY_BACKEND selects.

    Raises:
        InvalidInput: no such backend is installed (BACKEND_UNKNOWN), the package that adds it is broken
            (BACKEND_BROKEN), or one of its settings is wrong.
        Internal: the backend is configured wrongly.
    """
    name = settings.backend
    entry = _installed().get(name)
    if entry is None:
        raise _refused(
            f"Expected FACEFOUNDRY_BACKEND to be one of {', '.join(names())}. Received FACEFOUNDRY_BACKEND={name!r}. "
            f"To use another backend, install a package that adds it with an entry point of the group {GROUP}.",
            "BACKEND_UNKNOWN",
        )
    try:
        make: Load = entry.load()
        backend = make(settings)
    except FaceFoundryError:
        raise
    except Exception as error:  # anything may go wrong in another package's module
        raise _broken(entry, repr(error)) from error
    if not isinstance(backend, TrainingBackend):
        raise _broken(entry, f"it returned {backend!r}")
    return backend


def _installed() -> dict[str, EntryPoint]:
    """Return the entry points by name; none of them can replace this project's backends."""
    return {**_OWN, **{entry.name: entry for entry in entry_points(group=GROUP) if entry.name not in _OWN}}


def _broken(entry: EntryPoint, problem: str) -> InvalidInput:
    return _refused(
        f"Expected a function that returns a TrainingBackend. The backend {entry.name!r} of the entry point "
        f"{entry.value} cannot be used: {problem}.",
        "BACKEND_BROKEN",
    )


def _refused(message: str, reason: str) -> InvalidInput:
    violations = [FieldViolation("FACEFOUNDRY_BACKEND", f"must be one of {', '.join(names())}")]
    return InvalidInput(message, reason=reason, violations=violations)
