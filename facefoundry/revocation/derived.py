"""Finds everything in the bucket that was made of some clips, by the inputs that results and trainings name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from facefoundry.errors import DataLoss, NotFound, Unusable
from facefoundry.storage import document
from facefoundry.storage.info import SourceInfo
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.revocation import digests_in
from facefoundry.storage.store import Store
from facefoundry.storage.uploads import UploadRecord

__all__ = ["REMOVED_FIRST", "Derived", "Inventory", "Result"]

REMOVED_FIRST: Final = ("conversions", "imports", "models", "trainings", "extractions", "sources")
"""The kinds of results, those first of which nothing else is made."""

_MANIFEST, _ATTEMPT = "/manifest.json", "/attempt.json"
_THREADS = 16


@dataclass(frozen=True)
class Result:
    """A result or a training of the bucket.

    Attributes:
        prefix: Its prefix.
        content: Its content digest; empty if it has none.
        inputs: What it was made of, as JSON.
        rights: Of a source, the digest of the record of the rights to it.
        parts: SHA-256 of its parts.
        size: Bytes of its parts.
    """

    prefix: str
    content: str
    inputs: str
    rights: str = ""
    parts: tuple[str, ...] = ()
    size: int = 0

    @property
    def kind(self) -> str:
        """The kind, such as `extractions`."""
        return self.prefix.partition("/")[0]

    @property
    def digest(self) -> str:
        """The digest in the prefix."""
        return self.prefix.split("/")[1]


@dataclass(frozen=True)
class Derived:
    """What was made of some clips.

    Attributes:
        results: The results, the clips among them.
        digests: Kind of what has each digest, by the digest.
    """

    results: tuple[Result, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def parts(self) -> frozenset[str]:
        """SHA-256 of all parts of the results."""
        return frozenset(sha256 for result in self.results for sha256 in result.parts)


class Inventory:
    """What the bucket has, read once.

    Args:
        store: The bucket, with the keys of its owner.

    Attributes:
        results: The results that can be read.
        unfinished: Prefixes without a manifest or an attempt: only their digest can say what they are made of.
        damaged: Keys of manifests and attempts that cannot be read, so that nobody knows what they are made of.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.unfinished: list[str] = []
        self.damaged: list[str] = []
        names = [name for kind in REMOVED_FIRST for name in self._documents(kind)]
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="inputs") as pool:
            self.results = [result for result in pool.map(self._read, names) if result is not None]

    def made_of(self, digests: Mapping[str, str]) -> Derived:
        """Return everything that was made of what has one of these digests, and has one itself.

        Args:
            digests: Kind of what has each digest, by the digest.
        """
        known, found = dict(digests), dict[str, Result]()
        while True:
            new = [
                result
                for result in self.results
                if result.prefix not in found
                and (known.keys() & {result.digest, result.content, result.rights, *digests_in(result.inputs)})
            ]
            if not new:
                return Derived(tuple(found.values()), known)
            for result in new:
                found[result.prefix] = result
                known.setdefault(result.digest, result.kind)
                if result.content:
                    known.setdefault(result.content, "content")

    def uploads(self, digests: Iterable[str]) -> list[str]:
        """Return the prefixes of uploads that became something with one of these digests, or have such a content."""
        wanted, store = set(digests), self._store

        def is_wanted(key: str) -> bool:
            try:
                record = document.get(store, key, UploadRecord)
            except (DataLoss, NotFound, Unusable):
                return False
            return bool(wanted & {record.sha256, *digests_in(record.result)})

        names = [key for key in store.list("uploads/") if key.count("/") == 1 and key.endswith(".json")]
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="uploads") as pool:
            return [key[: -len(".json")] for key, found in zip(names, pool.map(is_wanted, names), strict=True) if found]

    def _documents(self, kind: str) -> Iterator[str]:
        """Yield the keys of the documents that say what results of a kind were made of."""
        depth = 3 if kind == "models" else 2
        prefixes, whole = set[str](), set[str]()
        for key in self._store.list(f"{kind}/"):
            segments = key.split("/")
            if len(segments) <= depth or not any(digests_in(segments[1])) or segments[1] == "0" * 40:
                continue
            prefix = "/".join(segments[:depth])
            prefixes.add(prefix)
            if key in (prefix + _MANIFEST, prefix + _ATTEMPT):
                whole.add(prefix)
                yield key
        self.unfinished += sorted(prefixes - whole)

    def _read(self, key: str) -> Result | None:
        try:
            if key.endswith(_ATTEMPT):
                return Result(key.removesuffix(_ATTEMPT), "", document.read(self._store, key).decode())
            found = document.get(self._store, key, Manifest)
            rights = found.info_as(SourceInfo).rights if found.kind == "source" else ""
        except NotFound:  # deleted since it was listed
            return None
        except (DataLoss, UnicodeDecodeError, Unusable):
            self.damaged.append(key)
            return None
        content = found.content_digest if any(digests_in(found.content_digest)) else ""  # that of some is no SHA-256
        return Result(
            key.removesuffix(_MANIFEST),
            content,
            json.dumps(dict(found.inputs)),
            rights,
            tuple(part.sha256 for part in found.parts),
            sum(part.size for part in found.parts),
        )
