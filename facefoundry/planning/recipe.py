"""The recipe of a dataset."""

from __future__ import annotations

import json

from facefoundry import recipes
from facefoundry.errors import FieldViolation, InvalidInput
from facefoundry.planning.dataset_file import DatasetFile
from facefoundry.v1 import recipe_pb2

__all__ = ["recipe_of"]


def recipe_of(dataset: DatasetFile) -> recipe_pb2.Recipe:
    """Return the complete recipe of a dataset, with its overrides, and with those levels only that it names.

    Raises:
        InvalidInput: the name of the recipe, a field, a value or a level is wrong.
    """
    request = recipe_pb2.Recipe(name=dataset.recipe.name)
    for field, value in dataset.recipe.set.items():
        recipes.override(request, f"{field}={json.dumps(value)}")
    recipe = recipes.resolve(request)
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
