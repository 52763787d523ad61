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
from typing import Final

from facefoundry.entry_points import EntryPointGroup
from facefoundry.errors import FaceFoundryError
from services.trainer.backends import local
from services.trainer.backends.base import TrainingBackend
from services.trainer.settings import TrainerSettings

__all__ = ["GROUP", "Load", "load"]

Load = Callable[[TrainerSettings], TrainingBackend]
"""Type of the function that an entry point refers to."""


def _kubernetes(settings: TrainerSettings) -> TrainingBackend:
    from services.trainer.backends import kubernetes  # only here, as its client takes a second to load

    return kubernetes.load(settings)


GROUP: Final = EntryPointGroup[Load](
    name="facefoundry.backends",
    kind="backend",
    field="FACEFOUNDRY_BACKEND",
    own={"local": local.load, "kubernetes": _kubernetes},
    expected="a function that returns a TrainingBackend",
    accepts=lambda name, found: callable(found),
)
"""This project's backends, and the entry points with which other packages add backends."""


def load(settings: TrainerSettings) -> TrainingBackend:
    """Make the backend that FACEFOUNDRY_BACKEND selects.

    Raises:
        InvalidInput: no such backend is installed (BACKEND_UNKNOWN), the package that adds it is broken
            (BACKEND_BROKEN), or one of its settings is wrong.
        Internal: the backend is configured wrongly.
    """
    make = GROUP.find(settings.backend)
    try:
        backend = make(settings)
    except FaceFoundryError:
        raise
    except Exception as error:  # anything may go wrong in another package's module
        raise GROUP.broken(settings.backend, repr(error)) from error
    if not isinstance(backend, TrainingBackend):
        raise GROUP.broken(settings.backend, f"expected {GROUP.expected}, which returned {backend!r}")
    return backend
