"""The recipe of a dataset, and the base on this machine that its trainings may start from."""

from __future__ import annotations

import json
from pathlib import Path

from facefoundry import recipes
from facefoundry.bases import PREFIX, Bases
from facefoundry.errors import FieldViolation, InvalidInput
from facefoundry.planning.dataset_file import DatasetFile
from facefoundry.v1 import recipe_pb2

__all__ = ["base_of", "recipe_of", "request_of", "resolved"]


def request_of(dataset: DatasetFile) -> recipe_pb2.Recipe:
    """Return the name of a dataset's recipe, with its overrides.

    Raises:
        InvalidInput: a field is wrong.
    """
    request = recipe_pb2.Recipe(name=dataset.recipe.name)
    for field, value in dataset.recipe.set.items():
        recipes.override(request, f"{field}={json.dumps(value)}")
    return request


def base_of(request: recipe_pb2.Recipe, folder: Path) -> Path | None:
    """Return the path on this machine that `training.start_from` has; None if it is a URI, a base's name or not set.

    Args:
        request: Name of a recipe, and overrides.
        folder: The folder that the path is relative to.

    Raises:
        InvalidInput: there is nothing at the path (BASE_PATH).
    """
    start_from = request.training.start_from
    if not start_from or start_from.startswith((PREFIX, "s3://")):
        return None
    path = folder / start_from
    if not path.exists():
        raise InvalidInput(
            f"Expected training.start_from to be the path of a model, its URI or base:NAME. Received {start_from}, "
            "which does not exist.",
            reason="BASE_PATH",
        )
    return path


def resolved(request: recipe_pb2.Recipe) -> recipe_pb2.Recipe:
    """Return the complete recipe of a request, without a path of a base.

    Raises:
        InvalidInput: the name of the recipe, a field or a value is wrong, or there is no such base.
    """
    named = recipe_pb2.Recipe()
    named.CopyFrom(request)
    if not named.training.start_from.startswith((PREFIX, "s3://")):
        named.training.ClearField("start_from")
    recipe = recipes.resolve(named)
    if recipe.training.start_from.startswith(PREFIX):
        Bases().load(recipe.training.start_from)  # the trainer would say so too, but after the extractions
    return recipe


def recipe_of(dataset: DatasetFile) -> recipe_pb2.Recipe:
    """Return the complete recipe of a dataset, with its overrides, and with those levels only that it names.

    Raises:
        InvalidInput: the name of the recipe, a field, a value or a level is wrong.
    """
    recipe = resolved(request_of(dataset))
    if not dataset.levels:
        return recipe
    known = {level.name: level for level in recipe.compression.levels}
    unknown = [name for name in dataset.levels if name not in known]
    if unknown:
        described = f"names {', '.join(unknown)}; the recipe {recipe.name} has {', '.join(known)}"
        violation = FieldViolation("levels", described)
        raise InvalidInput(f"levels {described}.", reason="UNKNOWN_LEVEL", violations=[violation])
    kept = [known[name] for name in dict.fromkeys(dataset.levels)]
    del recipe.compression.levels[:]
    recipe.compression.levels.extend(kept)
    return recipe
