"""Finds the base from which a training starts, and checks that its networks have the sizes and colours of the recipe.

A base that ships with the package is stored in the bucket first, as an imported model. So every worker reads its base
from there.
"""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf import json_format

from facefoundry.bases import PREFIX, Bases
from facefoundry.errors import FieldViolation, InvalidInput
from facefoundry.recipes.digests import complete
from facefoundry.storage import keys
from facefoundry.storage.info import ModelInfo
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.models import find_model
from facefoundry.storage.store import Store
from facefoundry.v1.recipe_pb2 import TrainingOptions
from services.trainer.imports import store_model
from services.trainer.worker_protocol import Base

__all__ = ["find_base"]

_FIELD = "recipe.training.start_from"
_COMPARED = ("face_size", "encoder_filters", "bottleneck", "upscale_filters", "decoder_filters", "colours")


def find_base(store: Store, bases: Bases, options: TrainingOptions) -> Base | None:
    """Return the base that training options name; None if the training starts from nothing.

    Args:
        store: The object store.
        bases: The bases that ship with the package.
        options: All training options.

    Raises:
        InvalidInput: the base does not exist in the package (BASE_UNKNOWN), its URI is wrong, or its networks have
            other sizes or colours than the recipe (BASE_SIZES).
        NotFound: there is no such model.
    """
    name = options.start_from
    if not name:
        return None
    if name.startswith(PREFIX):
        shipped = bases.load(name)
        digest, weights = shipped.content_digest, shipped.weights
        uri = store_model(store, digest, weights, shipped.architecture, {"base": shipped.name}).uri
    else:
        uri = name
    prefix = keys.prefix_of(store.bucket, uri, ("models", "imports"), _FIELD)
    found = find_model(store, prefix)
    _check_networks(name, found, options)
    return Base(prefix, found.content_digest)


def _check_networks(name: str, base: Manifest, options: TrainingOptions) -> None:
    stored = base.info_as(ModelInfo).architecture or base.options
    found = json_format.ParseDict({field: stored[field] for field in _COMPARED if field in stored}, TrainingOptions())
    complete(found)
    wrong = [field for field in _COMPARED if getattr(found, field) != getattr(options, field)]
    if wrong:
        has, wants = (
            ", ".join(f"{field}={_shown(getattr(each, field))}" for field in wrong) for each in (found, options)
        )
        raise InvalidInput(
            f"Expected training.start_from to be a model with the sizes and colours of the recipe, {wants}, but {name} "
            f"has {has}: set the recipe's to those, or start from another model.",
            reason="BASE_SIZES",
            violations=[FieldViolation(_FIELD, f"must be a model with {wants}; got one with {has}")],
        )


def _shown(value: int | str | Sequence[int]) -> int | str | list[int]:
    return value if isinstance(value, int | str) else list(value)
