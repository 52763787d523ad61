"""Small real inputs for trainings: extractions with drawn faces, and a recipe that trains within seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from facefoundry import recipes
from facefoundry.settings import read
from facefoundry.storage import keys, manifest
from facefoundry.storage.store import Store
from facefoundry.v1 import recipe_pb2, trainer_pb2
from services.trainer import signing, worker_protocol
from services.trainer.backends.local import LocalBackend, LocalSettings
from services.trainer.settings import TrainerSettings
from services.trainer.training_store import TrainingStore
from services.trainer.trainings import Trainings
from services.trainer.worker_protocol import Attempt, Base
from tests.extractions import put_extraction as put_crops
from tests.services.trainer.replicas import HookedBackend, Replica

MakeReplica = Callable[..., Replica]
Ask = Callable[..., trainer_pb2.StartTrainingRequest]


def drawn_faces(count: int, seed: int) -> NDArray[np.uint8]:
    """Smooth random crops uint8 [count, 256, 256, 3]."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:256, 0:256] / 256.0
    waves = random.uniform(1, 6, (count, 3, 2, 1, 1))
    phase = random.uniform(0, 6, (count, 3, 1, 1))
    values = np.sin(waves[:, :, 0] * rows * 3 + waves[:, :, 1] * columns * 3 + phase)
    return np.moveaxis(127.5 + 127.5 * values, 1, -1).astype(np.uint8)


@pytest.fixture(scope="session")
def draw_faces() -> Callable[[int, int], NDArray[np.uint8]]:
    """Draws smooth random crops: (count, seed) -> uint8 [count, 256, 256, 3]."""
    return drawn_faces


@pytest.fixture
def put_extraction(store: Store) -> Callable[..., str]:
    """Commits an extraction of drawn faces and gives its prefix."""

    def put(seed: int, count: int = 12) -> str:
        prefix = keys.extraction(keys.digest_of({"seed": seed, "count": count}))
        put_crops(store, prefix, drawn_faces(count, seed), crop_size=256, padding=48)
        return prefix

    return put


@pytest.fixture
def tiny_recipe() -> recipe_pb2.Recipe:
    """A recipe request for a network of a few thousand parameters."""
    recipe = recipe_pb2.Recipe(name="preview")
    recipe.training.encoder_filters.extend([4, 4, 8, 8])
    recipe.training.decoder_filters.extend([8, 4, 4])
    recipe.training.bottleneck = 8
    recipe.training.upscale_filters = 8
    recipe.training.batch_size = 4
    recipe.training.iterations = 6
    recipe.training.colours = "kept"  # so the content digest of a model is that of its tensors alone
    recipe.training.loss_weights = "even"  # so a high rate collapses within a few iterations
    return recipe


@pytest.fixture
def make_attempt(
    store: Store, tiny_recipe: recipe_pb2.Recipe, put_extraction: Callable[..., str]
) -> Callable[..., Attempt]:
    """Makes attempts at a training of the tiny recipe."""

    def make(
        iterations: int = 6, number: int = 1, faces: int = 12, common: int = 0, base: Base | None = None
    ) -> Attempt:
        tiny_recipe.training.iterations = iterations
        tiny_recipe.training.common_iterations = common
        recipe = recipes.resolve(tiny_recipe)
        first, second = (put_extraction(seed, faces) for seed in (1, 2))
        a, b = (manifest.load(store, prefix).content_digest for prefix in (first, second))
        digest = worker_protocol.training_digest(a, b, recipe.training, recipe.version, base)
        signing.make(store, digest)
        options = recipes.options(recipe.training)
        made = worker_protocol.now()
        return Attempt(digest, number, "A_B", first, second, options, iterations, made, base, recipe.version)

    return make


@pytest.fixture
def put_attempt(store: Store, make_attempt: Callable[..., Attempt]) -> Callable[..., Attempt]:
    """Saves attempts where a worker reads them."""

    def put(*args: int, **kwargs: object) -> Attempt:
        attempt = make_attempt(*args, **kwargs)
        TrainingStore(store).save_attempt(attempt)
        return attempt

    return put


SETTINGS = {"restart_seconds": 0.05, "grace_seconds": 2.0, "restarts": 3, "local_waiting_worker": False}

STAND_IN = """
import json, os, pathlib, signal, sys, time

mode, folder, uri = sys.argv[1:4]
if uri == "wait":
    pathlib.Path(folder, "waiting").write_text(str(os.getpid()))
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    order = json.loads(line)
    os.environ.update(order["environment"])
    uri = order["attempt_uri"]
runs = pathlib.Path(folder, "runs")
if mode == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with runs.open("a") as file:
    file.write(f"{uri} {os.getpid()}\\n")
count = sum(line.startswith(uri + " ") for line in runs.read_text().splitlines())
if mode == "report":
    report = {"reason": "NO_FACES", "message": "There is no face.", "iteration": 3}
    pathlib.Path(os.environ["FACEFOUNDRY_WORKER_TERMINATION_LOG"]).write_text(json.dumps(report) + chr(10))
    sys.exit(65)
if mode in ("hang", "stubborn"):
    time.sleep(600)
if mode == "interrupted twice":
    sys.exit(75 if count <= 2 else 0)
if mode == "killed once" and count == 1:
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit({"crash": 1, "interrupted": 75}.get(mode, 0))
"""


@pytest.fixture
def worker_command(tmp_path: Path) -> Callable[[str], tuple[str, ...]]:
    """Makes the command of a light worker that behaves as its mode says, and adds a line to `runs` for each start."""
    script = tmp_path / "worker.py"
    script.write_text(STAND_IN)
    return lambda mode: (sys.executable, str(script), mode, str(tmp_path))


@pytest.fixture
def make_local_backend(
    worker_command: Callable[[str], tuple[str, ...]],
) -> Iterator[Callable[..., LocalBackend]]:
    """Makes local backends with the light worker."""
    made: list[LocalBackend] = []

    def make(mode: str, **settings: float) -> LocalBackend:
        chosen = read(LocalSettings, **{**SETTINGS, **settings})
        made.append(LocalBackend(chosen, command=worker_command(mode)))
        return made[-1]

    yield make
    for backend in made:
        backend.close()


@pytest.fixture
def make_replica(store: Store, make_local_backend: Callable[..., LocalBackend]) -> MakeReplica:
    """Makes trainers of one bucket, each with its own backend and memory."""

    def make(mode: str = "hang", **settings: float) -> Replica:
        backend = HookedBackend(make_local_backend(mode, **settings))
        return Replica(Trainings(store, backend, TrainerSettings()), backend)

    return make


@pytest.fixture
def ask(store: Store, put_extraction: Callable[..., str], tiny_recipe: recipe_pb2.Recipe) -> Ask:
    """Makes requests for the pair of two committed extractions."""
    uris = [store.uri(put_extraction(seed)) for seed in (1, 2)]

    def make(
        iterations: int = 6, dataset: str = "set", pair: str = "A_B", seed: int = 0, **options: Any
    ) -> trainer_pb2.StartTrainingRequest:
        recipe = recipe_pb2.Recipe()
        recipe.CopyFrom(tiny_recipe)
        recipe.training.MergeFrom(recipe_pb2.TrainingOptions(iterations=iterations, seed=seed, **options))
        return trainer_pb2.StartTrainingRequest(
            extraction_a_uri=uris[0], extraction_b_uri=uris[1], pair_id=pair, dataset=dataset, recipe=recipe
        )

    return make
