"""Finds what can be used here by name: this project's own, and what other packages add by entry points.

[project.entry-points."facefoundry.<group>"]
my_name = "my_package.my_module:MY_OBJECT"
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from facefoundry.errors import FieldViolation, InvalidInput

__all__ = ["EntryPointGroup"]

T = TypeVar("T")


@dataclass(frozen=True)
class EntryPointGroup(Generic[T]):
    """A group of entry points, and the objects of this project that no entry point of the same name replaces.

    Attributes:
        name: Name of the group, such as `facefoundry.engines`.
        kind: What one entry point adds, in a word, such as `engine`.
        field: Field or setting that selects an object by its name.
        own: This project's objects by name.
        expected: What an entry point must refer to, for messages.
        accepts: Returns whether an entry point of the given name may refer to the given object.
    """

    name: str
    kind: str
    field: str
    own: Mapping[str, T]
    expected: str
    accepts: Callable[[str, object], bool]

    def names(self) -> list[str]:
        """Return the names of all objects: this project's first, then those of other packages, sorted."""
        return [*self.own, *sorted(self._others())]

    def find(self, name: str) -> T:
        """Return the object of that name; only then is its package imported.

        Raises:
            InvalidInput: there is no such object (`<KIND>_UNKNOWN`), or the package that adds it is broken
                (`<KIND>_BROKEN`).
        """
        if name in self.own:
            return self.own[name]
        entry = self._others().get(name)
        if entry is None:
            raise self._unknown(name)
        try:
            found: T = entry.load()
        except Exception as error:  # anything may go wrong in another package's module
            raise self.broken(name, f"it cannot be imported: {error!r}") from error
        if not self.accepts(name, found):
            raise self.broken(name, f"expected {self.expected}, received {found!r}")
        return found

    def broken(self, name: str, problem: str) -> InvalidInput:
        """Return the error that the object of that name cannot be used, with its entry point."""
        entry = self._others().get(name)
        where = f" of the entry point {entry.value}" if entry else ""
        return InvalidInput(
            f"The {self.kind} {name!r}{where} cannot be used: {problem}. "
            f"Repair the package that adds it, or choose another {self.kind}.",
            reason=f"{self.kind.upper()}_BROKEN",
            metadata={self.kind: name},
            violations=[FieldViolation(self.field, problem)],
        )

    def _unknown(self, name: str) -> InvalidInput:
        names = ", ".join(self.names())
        field = self.field.rpartition(".")[2]  # some requests have the field outside a recipe
        return InvalidInput(
            f"Expected {field} to be one of {names}. Received {field}={name!r}. "
            f"To use another {self.kind}, install a package that adds it with an entry point of the group {self.name}.",
            reason=f"{self.kind.upper()}_UNKNOWN",
            metadata={self.kind: name},
            violations=[FieldViolation(self.field, f"must be one of {names}")],
        )

    def _others(self) -> dict[str, EntryPoint]:
        return {entry.name: entry for entry in entry_points(group=self.name) if entry.name not in self.own}
