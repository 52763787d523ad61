"""Workers as Kubernetes Jobs: the template, what is known of a Job, and what that means."""

from __future__ import annotations

from services.trainer.backends.kubernetes.backend import KubernetesBackend

__all__ = ["KubernetesBackend"]
