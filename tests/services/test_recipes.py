"""Every call that does work needs the name of a recipe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest

from facefoundry.errors import InvalidInput
from facefoundry.rpc.status import from_rpc_error
from facefoundry.storage import keys
from facefoundry.v1 import common_pb2, converter_pb2, extractor_pb2, recipe_pb2, trainer_pb2
from tests.services.running import Services

DIGEST = "0" * 40


def extract(services: Services, recipe: recipe_pb2.Recipe | None) -> object:
    uri = services.store.uri(keys.source(DIGEST))
    request = extractor_pb2.ExtractRequest(source_uri=uri, sequence_id="033", recipe=recipe)
    return list(services.stubs["extractor"].Extract(request, timeout=20))


def start_training(services: Services, recipe: recipe_pb2.Recipe | None) -> object:
    uri = services.store.uri(keys.extraction(DIGEST))
    request = trainer_pb2.StartTrainingRequest(
        extraction_a_uri=uri, extraction_b_uri=uri, pair_id="033_044", recipe=recipe
    )
    return services.stubs["trainer"].StartTraining(request, timeout=20)


def convert(services: Services, recipe: recipe_pb2.Recipe | None) -> object:
    request = converter_pb2.ConvertRequest(
        model_uri=services.store.uri(keys.model(DIGEST, 20)),
        target_extraction_uri=services.store.uri(keys.extraction(DIGEST)),
        target_side=common_pb2.SIDE_A,
        target_id="033",
        source_id="044",
        recipe=recipe,
    )
    return list(services.stubs["converter"].Convert(request, timeout=20))


def transcode(services: Services, recipe: recipe_pb2.Recipe | None) -> object:
    uri = services.store.uri(keys.source(DIGEST))
    request = converter_pb2.TranscodeRequest(source_uri=uri, sequence_id="033", recipe=recipe)
    return list(services.stubs["converter"].Transcode(request, timeout=20))


@pytest.mark.parametrize("call", [extract, start_training, convert, transcode])
def test_work_without_a_recipe_is_refused(services: Services, call: Callable[..., Any]) -> None:
    nameless = recipe_pb2.Recipe()
    nameless.training.iterations = 20
    for recipe in (None, nameless, recipe_pb2.Recipe(name="")):
        with pytest.raises(grpc.RpcError) as caught:
            call(services, recipe)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        refused = from_rpc_error(caught.value, "service")
        assert (type(refused), refused.reason) == (InvalidInput, "RECIPE_MISSING")
        assert [violation.field for violation in refused.violations] == ["recipe.name"]
        assert refused.message == (
            "Expected recipe.name to be the name of a shipped recipe, such as ffpp or preview. Received ''."
        )
    with pytest.raises(grpc.RpcError) as caught:
        call(services, recipe_pb2.Recipe(name="preview"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND  # accepted, and then there is no such clip or model
