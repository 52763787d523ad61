"""Models on disk on their way through a real trainer into the store, as `create-from-models` takes them."""

from __future__ import annotations

import hashlib
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import json_format

import facefoundry
from facefoundry import codec
from facefoundry.cli.options import ConnectionOptions, OutputOptions, RecipeOptions
from facefoundry.cli.session import open_session
from facefoundry.client import Client
from facefoundry.dataset import models
from facefoundry.dataset.results import StoredResult
from facefoundry.dataset.transfer import Transfers
from facefoundry.errors import InvalidInput, Unusable
from facefoundry.model import weights
from facefoundry.planning.making import RunPlan
from facefoundry.settings import ChannelSettings
from facefoundry.storage import keys, manifest
from facefoundry.storage.info import ModelInfo
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.store import Store
from facefoundry.v1 import recipe_pb2
from services.trainer.functions import NETWORKS
from tests.services.trainer.importing import TINY, Service, importing, tensors_of

WEIGHTS = "weights.safetensors"


@pytest.fixture(scope="module")
def service(new_store: Callable[[], Store], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with importing(new_store(), tmp_path_factory.mktemp("scratch")) as running:
        yield running


@pytest.fixture(scope="module")
def transfers(service: Service) -> Iterator[Transfers]:
    with Client(ChannelSettings(trainer_address=f"127.0.0.1:{service.server.port}")) as client:
        yield Transfers(client)


@pytest.fixture
def ours(service: Service, transfers: Transfers, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A model as generate-models leaves it on disk; each test has another."""
    seed = int(hashlib.sha256(request.node.name.encode()).hexdigest()[:6], 16)
    prefix, tensors = keys.model(f"{seed:040x}", 300), tensors_of(TINY, seed)
    parts = (manifest.put_part(service.store, prefix, WEIGHTS, TINY.pack(tensors)),)
    info, inputs = codec.to_values(ModelInfo(iterations=300)), {"content_a": "x"}
    made = Manifest("model", inputs, {}, parts, info, weights.content_digest(tensors))
    manifest.commit(service.store, prefix, made)
    models.download(StoredResult(transfers, service.store.uri(prefix)), tmp_path / "a_b")
    return tmp_path / "a_b"


@pytest.fixture
def theirs(ours: Path, tmp_path: Path) -> Path:
    """The same model in published form."""
    models.export(ours, tmp_path / "published" / "a_b")
    return tmp_path / "published" / "a_b"


def loaded(service: Service, uri: str) -> Manifest:
    return manifest.load(service.store, keys.prefix_of(service.store.bucket, uri, "imports"))


def test_a_model_goes_to_disk_and_back_as_the_same_bytes_in_either_form(
    service: Service, transfers: Transfers, ours: Path, theirs: Path, tmp_path: Path
) -> None:
    uri = models.upload(transfers, theirs)
    assert models.upload(transfers, ours) == uri
    back = loaded(service, uri)
    assert manifest.read_part(service.store, back.part(WEIGHTS)) == (ours / WEIGHTS).read_bytes()
    assert back.content_digest == models.load_verified(ours).content_digest
    objects = [*service.store.list("")]
    assert models.upload(transfers, theirs) == uri
    assert [*service.store.list("")] == objects
    models.download(StoredResult(transfers, uri), tmp_path / "again" / "a_b")
    assert models.upload(transfers, tmp_path / "again" / "a_b") == uri


def test_where_both_forms_lie_in_one_folder_ours_counts(transfers: Transfers, ours: Path, theirs: Path) -> None:
    uri = models.upload(transfers, ours)
    for path in theirs.iterdir():
        (ours / path.name).write_bytes(b"damaged")
    assert models.upload(transfers, ours) == uri


def test_a_record_that_claims_another_models_digest_is_not_believed(
    service: Service, transfers: Transfers, ours: Path
) -> None:
    trained = models.load_verified(ours).content_digest
    other = {name: values + np.float32(1) for name, values in tensors_of(TINY, seed=0).items()}
    stranger = TINY.pack(other)
    (ours / WEIGHTS).write_bytes(stranger)
    record = json.loads((ours / models.RECORD).read_text())
    record["manifest"]["parts"][0] |= {"sha256": hashlib.sha256(stranger).hexdigest(), "size": len(stranger)}
    (ours / models.RECORD).write_text(json.dumps(record))
    assert loaded(service, models.upload(transfers, ours)).content_digest == weights.content_digest(other) != trained


def test_a_damaged_file_is_named_as_it_is_on_disk(service: Service, transfers: Transfers, theirs: Path) -> None:
    before = [*service.store.list("imports/")]
    (theirs / "decoder_A.h5").write_bytes(b"not HDF5")
    with pytest.raises(Unusable) as caught:
        models.upload(transfers, theirs)
    path = theirs / "decoder_A.h5"
    assert caught.value.message.startswith(f"{path}, /: expected a weight file")
    assert (caught.value.reason, caught.value.resource) == ("NOT_A_MODEL", str(path))
    assert [*service.store.list("imports/")] == before


def test_an_upload_that_belongs_to_another_model_too_is_sent_again(
    service: Service, transfers: Transfers, ours: Path, theirs: Path, tmp_path: Path
) -> None:
    first = models.upload(transfers, theirs)
    with_other_decoder = tmp_path / "c_d"
    with_other_decoder.mkdir()
    for name in NETWORKS:
        source = theirs / name.replace("decoder_A", "decoder_B")
        (with_other_decoder / name).write_bytes(source.read_bytes())
    second = models.upload(transfers, with_other_decoder)
    assert second != first
    assert models.upload(transfers, theirs) == first


@pytest.fixture
def handler() -> Iterator[None]:
    """Puts back the handler of SIGTERM, which a session replaces."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("file", ["", WEIGHTS])
def test_a_command_imports_the_base_that_its_recipe_names_by_path(
    service: Service, transfers: Transfers, ours: Path, tmp_path: Path, handler: None, file: str
) -> None:
    recipe = RecipeOptions("preview", None, (f"training.start_from={ours / file}", "training.common_iterations=5"))
    connection = ConnectionOptions(trainer_address=f"127.0.0.1:{service.server.port}")
    output = OutputOptions(tmp_path / "out", as_json=True, fps=(), tolerate_damage=False)
    plan = RunPlan(recipe.resolve(), {}, convert=False, base=recipe.base)
    with open_session(plan, connection, output) as session:
        used = recipe_pb2.Recipe()
        json_format.ParseDict(session.making.record.recipe, used)
    assert used.training.start_from == facefoundry.upload_model(ours, client=transfers.client)
    assert used.training.common_iterations == 5 and not plan.recipe.training.start_from
    faithful = RecipeOptions("ffpp", None, (f"training.start_from={ours}",))
    with (
        pytest.raises(InvalidInput, match="which is faithful"),
        open_session(RunPlan(faithful.resolve(), {}, base=faithful.base), connection, output),
    ):
        pass
