"""Plans and jobs: descriptions of the work of a call, made before any file is fetched.

A servicer makes them from the request and from stored manifests. The result of a job is only returned to the caller;
the result of a plan is also stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic

from facefoundry.codec import JsonObject
from facefoundry.storage.manifest import Part
from facefoundry.storage.parts import Numbered
from facefoundry.storage.sources import SourceFiles
from facefoundry.storage.store import Store
from facefoundry.work.function import Args, Info, SandboxFunction

__all__ = ["Job", "Plan"]


@dataclass(frozen=True)
class Job(Generic[Args, Info]):
    """A function to run in a sandbox, with its input files and arguments.

    Attributes:
        source: The clip to work on.
        files: The parts to fetch, by local file name, including the files of the source.
        function: The function that the sandbox runs.
        arguments: Returns the arguments of the function. It may raise an error, or download what the arguments name.
            It is therefore called only once the call holds a slot, before the files are fetched, with the call's store.
    """

    source: SourceFiles
    files: Mapping[str, Part]
    function: SandboxFunction[Args, Info]
    arguments: Callable[[Store], Args]


@dataclass(frozen=True)
class Plan(Generic[Args, Info]):
    """A job whose result is stored under a prefix.

    Attributes:
        kind: Kind of the manifest, such as `conversion`.
        prefix: Prefix of the parts and of the manifest. It contains the digest of all inputs that affect the result.
        job: The work.
        resumable: The kinds of parts that a later call can reuse if this call is interrupted.
        inputs: Field of the manifest: URIs and digests of what the result is made from.
        options: Field of the manifest: the recipe fields that the work reads.
        info: Facts that are known before the work; the manifest's `info` contains them and the facts of the `Result`.
    """

    kind: str
    prefix: str
    job: Job[Args, Info]
    resumable: Sequence[Numbered]
    inputs: JsonObject
    options: JsonObject
    info: JsonObject

    def can_resume(self, *parts: str) -> bool:
        """Return whether a later call can reuse all of the named parts."""
        return all(any(kind.matches(part) for kind in self.resumable) for part in parts)
