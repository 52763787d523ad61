"""Trainings that start from a base, as the trainer starts them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from facefoundry import codec
from facefoundry.bases import Bases
from facefoundry.errors import DataLoss, InvalidInput, NotFound
from facefoundry.model import weights
from facefoundry.model.architecture import Architecture, Colours, content_digest
from facefoundry.storage import manifest
from facefoundry.storage.models import prefix_of_import
from facefoundry.storage.parts import WEIGHTS
from facefoundry.storage.store import Store
from facefoundry.v1 import trainer_pb2
from services.trainer.imports import store_model
from services.trainer.settings import TrainerSettings
from services.trainer.trainings import Trainings
from tests.services.trainer.documents import attempt_of
from tests.services.trainer.importing import TINY, tensors_of
from tests.services.trainer.replicas import Replica

Ask = Callable[..., trainer_pb2.StartTrainingRequest]


def put_base(store: Store, architecture: Architecture = TINY, seed: int = 0) -> str:
    tensors = tensors_of(architecture, seed)
    digest, sizes = content_digest(tensors, architecture.colours), codec.to_values(architecture)
    return store_model(store, digest, architecture.pack(tensors), sizes, {}).uri


@pytest.fixture
def trainings(store: Store, make_replica: Callable[..., Replica], tmp_path: Path) -> Trainings:
    """A trainer whose package has the base `tiny`."""
    tensors = tensors_of(TINY, 0)
    (tmp_path / "tiny.safetensors").write_bytes(TINY.pack(tensors))
    record = {"content_digest": weights.content_digest(tensors), "architecture": codec.to_values(TINY)}
    (tmp_path / "tiny.json").write_text(json.dumps(record))
    return Trainings(store, make_replica("hang").backend, TrainerSettings(), bases=Bases(tmp_path))


def test_a_training_is_named_by_the_content_of_its_base(store: Store, trainings: Trainings, ask: Ask) -> None:
    uri = put_base(store)
    started = trainings.start(ask(start_from=uri))
    attempt = attempt_of(store, started)
    assert attempt.base is not None and store.uri(attempt.base.prefix) == uri
    assert attempt.base.content_digest == weights.content_digest(tensors_of(TINY, 0))
    assert trainings.start(ask(start_from="base:tiny")).uri == started.uri
    others = [ask(), ask(start_from=put_base(store, seed=1)), ask(start_from=uri, start_decoder="b")]
    assert len({started.uri, *(trainings.start(other).uri for other in others)}) == 4
    assert trainings.start(ask(start_decoder="b")).uri == trainings.start(ask()).uri


def test_a_base_of_the_package_is_stored_as_an_imported_model(store: Store, trainings: Trainings, ask: Ask) -> None:
    attempt = attempt_of(store, trainings.start(ask(start_from="base:tiny")))
    assert attempt.base is not None
    stored = manifest.load(store, attempt.base.prefix)
    assert manifest.read_part(store, stored.part(WEIGHTS)) == TINY.pack(tensors_of(TINY, 0))


def test_a_model_below_the_digest_of_another_is_no_base(store: Store, trainings: Trainings, ask: Ask) -> None:
    other = TINY.pack(tensors_of(TINY, 5))
    digest = weights.content_digest(tensors_of(TINY, 0))
    prefix = prefix_of_import(digest)
    part = manifest.put_part(store, prefix, WEIGHTS, other)
    planted = manifest.Manifest("model", {}, {}, (part,), {"iterations": 0}, "content of another")
    manifest.commit(store, prefix, planted)
    with pytest.raises(DataLoss) as caught:
        trainings.start(ask(start_from=store.uri(prefix)))
    assert (caught.value.reason, caught.value.resource) == ("BAD_MANIFEST", store.uri(prefix))
    manifest.commit(store, prefix, replace(planted, content_digest=digest), replace=True)
    attempt = attempt_of(store, trainings.start(ask(start_from="base:tiny")))
    assert attempt.base is not None and attempt.base.prefix == prefix
    stored = manifest.load(store, prefix).part(WEIGHTS)
    assert manifest.read_part(store, stored) == TINY.pack(tensors_of(TINY, 0)), "the base of the package is stored"


def test_a_trained_model_is_a_base_too(store: Store, trainings: Trainings, ask: Ask) -> None:
    trained = attempt_of(store, trainings.start(ask()))
    model = manifest.Manifest("model", {}, trained.options, (), {"iterations": 6}, "content")
    manifest.commit(store, trained.model_prefix, model)
    attempt = attempt_of(store, trainings.start(ask(start_from=store.uri(trained.model_prefix))))
    assert attempt.base is not None and attempt.base.content_digest == "content"


def test_a_base_of_other_sizes_is_refused_in_one_sentence(store: Store, trainings: Trainings, ask: Ask) -> None:
    uri = put_base(store, Architecture((4, 4, 8, 8), 16, 8, (8, 4, 8)))
    with pytest.raises(InvalidInput) as caught:
        trainings.start(ask(start_from=uri))
    assert caught.value.message == (
        "Expected training.start_from to be a model with the sizes and colours of the recipe, bottleneck=8, "
        f"decoder_filters=[8, 4, 4], but {uri} has bottleneck=16, decoder_filters=[8, 4, 8]: set the recipe's to "
        "those, or start from another model."
    )
    assert caught.value.reason == "BASE_SIZES"
    assert not [*store.list("trainings/")]


@pytest.mark.parametrize(("stored", "asked"), [("kept", "standardised"), ("standardised", "kept")])
def test_a_base_that_learnt_other_colours_is_refused(
    store: Store, trainings: Trainings, ask: Ask, stored: Colours, asked: Colours
) -> None:
    uri = put_base(store, replace(TINY, colours=stored))
    with pytest.raises(InvalidInput, match=f"recipe, colours={asked}, but {uri} has colours={stored}: ") as caught:
        trainings.start(ask(start_from=uri, colours=asked))
    assert caught.value.reason == "BASE_SIZES"
    assert trainings.start(ask(start_from=uri, colours=stored)).uri


@pytest.mark.parametrize(
    ("start_from", "error", "words"),
    [
        ("base:heads", InvalidInput, "The bases are base:tiny"),
        ("s3://other/imports/" + "0" * 40, InvalidInput, "in the bucket"),
        ("s3://{}/imports/" + "0" * 40, NotFound, "does not exist or is not finished"),
    ],
)
def test_a_base_that_does_not_exist_is_refused(
    store: Store, trainings: Trainings, ask: Ask, start_from: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        trainings.start(ask(start_from=start_from.format(store.bucket)))


def test_without_bases_in_the_package_the_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"None ships with it; the URI or the path of a model is taken too\."):
        Bases(tmp_path).load("base:heads")


@pytest.mark.parametrize(("common", "reasons"), [(0, []), (5, []), (6, ["COMMON_DECODER_ONLY"])])
def test_a_training_that_ends_with_one_common_decoder_has_a_warning(
    trainings: Trainings, ask: Ask, common: int, reasons: list[str]
) -> None:
    started = trainings.start(ask(iterations=6, common_iterations=common))
    assert [warning.reason for warning in started.warnings] == reasons
