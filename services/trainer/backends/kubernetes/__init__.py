"""The backend `kubernetes`: each attempt is a Kubernetes Job, and its workers are the Job's pods."""

from __future__ import annotations

from facefoundry.settings import read
from services.trainer.backends.base import TrainingBackend
from services.trainer.backends.kubernetes.settings import KubernetesSettings
from services.trainer.settings import TrainerSettings

__all__ = ["load"]


def load(settings: TrainerSettings) -> TrainingBackend:
    """Make the backend, with its own settings from the environment.

    Raises:
        InvalidInput: a setting is wrong.
        Internal: the Job template is wrong, or there is no cluster to connect to.
    """
    # Imported here because the Kubernetes client takes a second to load.
    from services.trainer.backends.kubernetes.backend import KubernetesBackend

    return KubernetesBackend(read(KubernetesSettings))
