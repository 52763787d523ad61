"""The backend `local`: workers are processes on the trainer's machine."""

from __future__ import annotations

from facefoundry.settings import read
from services.trainer.backends.base import TrainingBackend
from services.trainer.backends.local.backend import LocalBackend
from services.trainer.backends.local.settings import LocalSettings
from services.trainer.settings import TrainerSettings

__all__ = ["LocalBackend", "LocalSettings", "load"]


def load(settings: TrainerSettings) -> TrainingBackend:
    """Make the backend, with its own settings from the environment.

    Raises:
        InvalidInput: a setting is wrong.
    """
    return LocalBackend(read(LocalSettings), settings.scratch_dir)
