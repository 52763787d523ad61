"""The previous release and this one, side by side: services of one, clients of the other, and one bucket."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from facefoundry.client import Client
from facefoundry.dataset.results import StoredResult
from facefoundry.dataset.transfer import Transfers
from facefoundry.settings import ChannelSettings, read
from facefoundry.storage.store import Store
from facefoundry.v1 import common_pb2, converter_pb2, recipe_pb2, trainer_pb2
from tests import tiny
from tests.processes import THIS, Release, Service, environment_of
from tests.release.previous import previous_release
from tests.waiting import wait_until

pytestmark = pytest.mark.full

SERVICES = ("extractor", "trainer", "converter")
ITERATIONS = 20
PAIR = "astronaut_hopper"
REFUSALS = ("RECIPE_FIELD", "UNKNOWN_FIELD", "UNKNOWN_CALL")
"""What a client says of services that lack a field or a call that it needs."""


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The previous release."""
    return previous_release(tmp_path_factory.mktemp("previous"))


@dataclass(frozen=True)
class Running:
    """The services of a release in front of a bucket."""

    environment: dict[str, str]
    addresses: dict[str, str]

    def run(self, release: Release, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run the command of a release with these services."""
        flags = [flag for name, address in self.addresses.items() for flag in (f"--{name}", address)]
        return subprocess.run(
            [release.python, "-m", "facefoundry", *map(str, arguments), *flags, "--json"],
            env={**self.environment, **release.variables},
            cwd=release.folder,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def make_pair(self, release: Release, clips: Path, out: Path, recipe: str = "ffpp") -> str:
        """Make a pair by the command of a release; return its error, empty if there is none."""
        changes = tiny.assignments(extraction__identity=False)
        sets = [flag for change in changes for flag in ("--set", change)]
        made = ("generate-models", "-i", clips, "-o", out, "--recipe", recipe, *sets, "-it", ITERATIONS)
        ended = self.run(release, *made, "--convert_images")
        return "" if ended.returncode == 0 else f"exit {ended.returncode}: {ended.stdout[-3000:]}{ended.stderr[-3000:]}"


@contextmanager
def serving(release: Release, store: Store, folder: Path) -> Iterator[Running]:
    """Run the services of a release in front of a bucket while the context is open."""
    folder.mkdir()
    environment = environment_of(store.settings, scratch_dir=folder, sweep_seconds=1)
    services = [Service(name, environment, folder, release=release) for name in SERVICES]
    try:
        for service in services:
            service.ready().close()
        yield Running(environment, {service.name: service.address for service in services})
    finally:
        for service in services:
            service.kill()


def read_back(running: Running, store: Store, release: Release) -> None:
    """Check that services, and the command of a release, read what services of the other release have stored."""
    wait_until(lambda: PAIR in running.run(release, "status").stdout, every=1.0)  # the index gets it after the start
    channels = read(ChannelSettings, **{f"{name}_address": address for name, address in running.addresses.items()})
    with Client(channels) as client:
        (training,) = client.list_trainings()
        assert training.state == trainer_pb2.Training.STATE_SUCCEEDED
        model = StoredResult(Transfers(client), training.model_uri)
        assert model.read("weights.safetensors")
        recipe = recipe_pb2.Recipe(name="ffpp")
        recipe.conversion.erosion = 3  # what the other release has not made already
        conversion = client.convert(
            converter_pb2.ConvertRequest(
                model_uri=training.model_uri,
                target_extraction_uri=str(model.manifest().inputs["extraction_a"]),
                target_side=common_pb2.SIDE_A,
                target_id="astronaut",
                source_id="hopper",
                recipe=recipe,
            )
        )
        assert not conversion.reused and conversion.frame_count > 0


def test_the_previous_services_serve_this_client_or_tell_why_not_and_these_read_their_pair(
    previous: Release, new_store: Callable[[], Store], clips: Path, tmp_path: Path
) -> None:
    store = new_store()
    with serving(previous, store, tmp_path / "previous") as running:
        for recipe in ("preview", "ffpp"):
            problem = running.make_pair(THIS, clips, tmp_path / recipe, recipe)
            assert not problem or any(reason in problem for reason in REFUSALS), problem
        if problem:
            assert running.make_pair(previous, clips, tmp_path / "out") == ""
    with serving(THIS, store, tmp_path / "this") as running:
        read_back(running, store, THIS)


def test_the_previous_client_makes_a_pair_with_these_services_and_the_previous_ones_read_it(
    previous: Release, new_store: Callable[[], Store], clips: Path, tmp_path: Path
) -> None:
    store = new_store()
    with serving(THIS, store, tmp_path / "this") as running:
        assert running.make_pair(previous, clips, tmp_path / "out") == ""
    with serving(previous, store, tmp_path / "previous") as running:
        read_back(running, store, previous)
