"""One extraction on its way into the bucket: what is asked for, which parts are there, and the commit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from facefoundry import __version__, recipes
from facefoundry.errors import DataLoss, FieldViolation, InvalidInput
from facefoundry.recipes.digests import digest_values
from facefoundry.storage import keys, manifest, sources
from facefoundry.storage.manifest import Manifest, Part
from facefoundry.storage.sources import SourceFiles
from facefoundry.storage.store import Store
from facefoundry.v1 import extractor_pb2

__all__ = ["Delivery", "Order"]

# What an extraction computes. It counts up when equal inputs give other boxes or crops, so that older extractions, and
# their parts, are not taken for new ones. 2: a tracked box is one of the whole frame's own detection windows. 3 and 4:
# which of these windows are tried.
_METHOD = 4


@dataclass(frozen=True)
class Order:
    """A checked request.

    Attributes:
        name: Id of the sequence, for messages.
        source: The source.
        options: Fields of `v1.ExtractionOptions`, all set.
        prefix: Prefix of the extraction; holds the digest of source, options, recipe version and method.
    """

    name: str
    source: SourceFiles
    options: dict[str, Any]
    prefix: str

    @classmethod
    def of(cls, store: Store, request: extractor_pb2.ExtractRequest) -> Order:
        """Check a request.

        Raises:
            InvalidInput: its URI, id or recipe is wrong.
            NotFound: the source is not there.
        """
        name = _name(request.sequence_id)
        source = sources.find_source(store, request.source_uri, name)
        recipe = recipes.resolve(request.recipe)
        options = recipes.options(recipe.extraction)
        made_of = {
            "source": source.digest,
            "options": digest_values(recipe.extraction),
            "version": recipe.version,
            "method": _METHOD,
        }
        prefix = keys.extraction(keys.digest_of(made_of))
        return cls(name, source, options, prefix)


class Delivery:
    """Puts parts as they are finished, finds those of a call that was cut, and commits.

    Args:
        store: Where to.
        order: What for.
    """

    def __init__(self, store: Store, order: Order) -> None:
        self._store, self._order = store, order
        self._parts: list[Part] = []
        self._found: list[tuple[Part, Part]] = []

    def fetch_finished(self, folder: Path) -> list[tuple[str, str]]:
        """Fetch faces and alignments of the parts that are finished, from the first on; damaged ones end the list."""
        there = manifest.find_parts(self._store, self._order.prefix)
        files = []
        for names in _numbered_names():
            if any(name not in there for name in names):
                break
            paths = [folder / f"finished-{name}" for name in names]
            try:
                for name, path in zip(names, paths, strict=True):
                    manifest.fetch_part(self._store, there[name], path)
            except DataLoss:
                break
            sized = [replace(there[name], size=path.stat().st_size) for name, path in zip(names, paths, strict=True)]
            self._found.append((sized[0], sized[1]))
            files.append((str(paths[0]), str(paths[1])))
        return files

    def resumed(self, parts: int) -> None:
        """Take over so many of the finished parts."""
        self._parts = [part for pair in self._found[:parts] for part in pair]

    def put(self, name: str, path: Path) -> None:
        """Put a part's file and remove it."""
        self._parts.append(manifest.put_part(self._store, self._order.prefix, name, path))
        path.unlink()

    def commit(self, info: Mapping[str, Any], versions: Mapping[str, str]) -> Manifest:
        """Make the extraction exist."""
        record = Manifest(
            kind="extraction",
            inputs={"source": self._order.source.uri},
            options=self._order.options,
            parts=tuple(sorted(self._parts, key=lambda part: part.name)),
            info=dict(info),
            content_digest=str(info["content_digest"]),
            versions={"facefoundry": __version__, **versions},
        )
        manifest.commit(self._store, self._order.prefix, record)
        return record


def _numbered_names() -> Iterator[tuple[str, str]]:
    number = 0
    while True:
        yield f"faces-{number:05d}.tar", f"alignments-{number:05d}.safetensors"
        number += 1


def _name(sequence_id: str) -> str:
    """Check an id; a fake's is `<target>_<source>`."""
    names = sequence_id.split("_")
    if len(names) > 2:
        message = f"Expected a sequence id, or <target>_<source> for a fake. Received sequence_id={sequence_id!r}."
        violation = FieldViolation("sequence_id", "at most one '_'")
        raise InvalidInput(message, reason="SEQUENCE_ID", violations=[violation])
    return "_".join(keys.sequence_id(name) for name in names)
