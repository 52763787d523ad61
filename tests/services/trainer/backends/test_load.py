"""Backends by name: this project's, and those that other packages add by an entry point."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from facefoundry.errors import InvalidInput
from services.trainer import backends
from services.trainer.backends.base import JobState
from services.trainer.backends.local import LocalBackend
from services.trainer.settings import TrainerSettings

# A whole backend of another package: it runs workers in no place at all, and all of them succeed.
MODULE = """
from pydantic import Field

from facefoundry.settings import Settings, read
from services.trainer.backends.base import Job, JobState, TrainingBackend


class InstantSettings(Settings):
    instant_restarts: int = Field(0, description="Restarts that every job reports.")


class InstantBackend(TrainingBackend):
    name = "instant"

    def __init__(self, settings):
        self._restarts = settings.instant_restarts
        self._jobs = {}

    def start(self, name, attempt_uri):
        self._jobs.setdefault(name, Job(name, JobState.SUCCEEDED, self._restarts, 0))

    def get(self, name):
        return self._jobs.get(name)

    def cancel(self, name):
        self._jobs.pop(name, None)

    def close(self):
        pass


def load(settings):
    return InstantBackend(read(InstantSettings))


def no_backend(settings):
    return None
"""


@pytest.fixture
def other_package(install_backends: Callable[..., None]) -> None:
    """An installed package with backends, good and bad."""
    install_backends(MODULE, instant="load", local="load", empty="no_backend", absent="absent")


def test_this_projects_backends_are_installed() -> None:
    assert backends.GROUP.names()[:2] == ["local", "kubernetes"]
    backend = backends.load(TrainerSettings(backend="local"))
    assert isinstance(backend, LocalBackend)
    backend.close()


def test_another_package_adds_a_backend_with_its_own_settings(
    other_package: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEFOUNDRY_INSTANT_RESTARTS", "3")
    backend = backends.load(TrainerSettings(backend="instant"))
    backend.start("job", "s3://bucket/trainings/job/attempt.json")
    job = backend.get("job")
    assert job is not None and (job.state, job.restarts) == (JobState.SUCCEEDED, 3)


def test_another_package_cannot_replace_a_backend_of_this_project(other_package: None) -> None:
    backend = backends.load(TrainerSettings(backend="local"))
    assert isinstance(backend, LocalBackend)
    backend.close()


def test_an_unknown_backend_is_refused_with_the_names_of_the_installed_ones(other_package: None) -> None:
    with pytest.raises(InvalidInput, match=r"local, kubernetes, .*instant.*FACEFOUNDRY_BACKEND='nowhere'") as caught:
        backends.load(TrainerSettings(backend="nowhere"))
    assert caught.value.reason == "BACKEND_UNKNOWN"
    assert caught.value.violations[0].field == "FACEFOUNDRY_BACKEND"


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_a_broken_package_is_named(other_package: None, name: str) -> None:
    with pytest.raises(InvalidInput, match="other_backend:") as caught:
        backends.load(TrainerSettings(backend=name))
    assert caught.value.reason == "BACKEND_BROKEN"
