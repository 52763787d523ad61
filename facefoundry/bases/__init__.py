"""The bases that ship with the package: models from which trainings start, by name.

A base is two files in this folder: `NAME.safetensors`, the weights as the worker writes them, and `NAME.json`, their
content digest and the sizes of the networks. So the trainer knows both without a library that reads weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Annotated

from pydantic import Field

from facefoundry import codec
from facefoundry.codec import JsonObject
from facefoundry.errors import FieldViolation, InvalidInput

__all__ = ["PREFIX", "Base", "Bases"]

PREFIX = "base:"
"""What the value of `training.start_from` begins with if it names a base of this package."""

_WEIGHTS, _RECORD = ".safetensors", ".json"
_FIELD = "recipe.training.start_from"


@dataclass(frozen=True)
class _Record:
    """The content of `NAME.json`."""

    content_digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    architecture: JsonObject


@dataclass(frozen=True)
class Base:
    """A base of the package.

    Attributes:
        name: Its name.
        content_digest: As `facefoundry.model.architecture.content_digest` computes it.
        architecture: Fields of its `Architecture`.
        weights: The bytes of its safetensors file.
    """

    name: str
    content_digest: str
    architecture: JsonObject
    weights: bytes


class Bases:
    """The bases in a folder.

    Args:
        folder: The folder; by default this package.
    """

    def __init__(self, folder: Traversable | None = None) -> None:
        self._folder = folder or resources.files(__name__)

    def names(self) -> list[str]:
        """Return the names of all bases, sorted."""
        found = (entry.name for entry in self._folder.iterdir())
        return sorted(name.removesuffix(_WEIGHTS) for name in found if name.endswith(_WEIGHTS))

    def load(self, start_from: str) -> Base:
        """Return the base that `training.start_from` names as `base:NAME`.

        Raises:
            InvalidInput: there is no such base (BASE_UNKNOWN); the message lists those that exist.
            DataLoss: the record of the base is damaged.
        """
        name, names = start_from.removeprefix(PREFIX), self.names()
        if name not in names:
            listed = f"The bases are {', '.join(PREFIX + each for each in names)}" if names else "None ships with it"
            raise InvalidInput(
                f"Expected training.start_from to name a base of this version of FaceFoundry. Received {start_from!r}. "
                f"{listed}; the URI or the path of a model is taken too.",
                reason="BASE_UNKNOWN",
                violations=[FieldViolation(_FIELD, f"must name a base; got {start_from!r}")],
            )
        record = codec.from_json(_Record, (self._folder / f"{name}{_RECORD}").read_bytes())
        weights = (self._folder / f"{name}{_WEIGHTS}").read_bytes()
        return Base(name, record.content_digest, record.architecture, weights)
