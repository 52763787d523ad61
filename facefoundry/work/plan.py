"""Plans: what a call asks for, from the request and from manifests, before anything is fetched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic

from facefoundry.codec import JsonObject
from facefoundry.storage.manifest import Part
from facefoundry.storage.parts import Numbered
from facefoundry.storage.sources import SourceFiles
from facefoundry.work.function import Args, Info, SandboxFunction

__all__ = ["Job", "Plan"]


@dataclass(frozen=True)
class Job(Generic[Args, Info]):
    """A function for the child, and what it needs.

    Attributes:
        source: The clip that is worked on.
        files: What is fetched, local name to part; the source's files among them.
        function: The function.
        arguments: Returns its arguments. It may refuse them or fetch what they name, so it is called once there is a
            slot, before the files are fetched.
    """

    source: SourceFiles
    files: Mapping[str, Part]
    function: SandboxFunction[Args, Info]
    arguments: Callable[[], Args]


@dataclass(frozen=True)
class Plan(Generic[Args, Info]):
    """A job whose result is stored.

    Attributes:
        kind: Kind of the manifest, such as `conversion`.
        prefix: Where the parts and the manifest go; holds the digest of everything that decides on the result.
        job: The work.
        resumable: The parts that a later call can reuse.
        inputs: For the manifest: what the result is made of.
        options: For the manifest: the recipe fields that are used.
        info: For the manifest: facts that are known before the work.
    """

    kind: str
    prefix: str
    job: Job[Args, Info]
    resumable: Sequence[Numbered]
    inputs: JsonObject
    options: JsonObject
    info: JsonObject

    def can_resume(self, *parts: str) -> bool:
        """Whether a later call can reuse all of these parts."""
        return all(any(kind.matches(part) for kind in self.resumable) for part in parts)
