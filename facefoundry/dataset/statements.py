"""The statement about a revocation: what it found and removed, and whether anything is left of it.

It is written before anything is removed, so that a revocation that was stopped goes on, and again at the end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Final, Literal

from facefoundry import __version__
from facefoundry.errors import Unusable
from facefoundry.storage import document, keys
from facefoundry.storage.revocation import REVOKED
from facefoundry.storage.store import Store

__all__ = ["STATEMENTS", "ChangedPlace", "Statement", "load_statement", "refuse_revoked_clips", "save_statement"]

STATEMENTS: Final = "revoked/statements"
_FORMAT: Final = "facefoundry.revocation/1"
_NAMED = 12


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


@dataclass(frozen=True)
class ChangedPlace:
    """A dataset, or the record of a run, from which clips are removed.

    Attributes:
        where: `datasets/<name>` or `runs/<name>` in the bucket, or the path of a folder.
        clips: Ids of the clips that are removed: those that were revoked, and those that are left in no pair.
        pairs: Ids of the pairs that are removed.
    """

    where: str
    clips: tuple[str, ...]
    pairs: tuple[str, ...]

    def merged(self, other: ChangedPlace) -> ChangedPlace:
        """Return the same place with the clips and pairs of both."""
        return ChangedPlace(
            self.where,
            tuple(sorted({*self.clips, *other.clips})),
            tuple(sorted({*self.pairs, *other.pairs})),
        )


@dataclass(frozen=True)
class Statement:
    """What a revocation removes.

    Attributes:
        id: Digest of what was revoked, as it was asked for.
        revoked: What was asked for: `subject <name>`, or the digest of a clip.
        begun: When it began, UTC, ISO 8601.
        ended: When nothing was left, UTC, ISO 8601; empty before.
        digests: The digests with a tombstone: of clips, of what was made of them, and of rights.
        results: The prefixes that are removed.
        places: The datasets and records of runs that are changed.
        versions: Versions of the software, by name.
        format: Format of this document.
    """

    id: str
    revoked: str
    begun: str = field(default_factory=_now)
    ended: str = ""
    digests: dict[str, str] = field(default_factory=dict)
    results: tuple[str, ...] = ()
    places: tuple[ChangedPlace, ...] = ()
    versions: dict[str, str] = field(default_factory=lambda: {"facefoundry": __version__})
    format: Literal["facefoundry.revocation/1"] = _FORMAT

    @classmethod
    def about(cls, revoked: str) -> Statement:
        """Return an empty statement about what was asked for."""
        return cls(keys.digest_of({"revoked": revoked}), revoked)

    @property
    def key(self) -> str:
        """Key of the document."""
        return f"{STATEMENTS}/{self.id}.json"

    def with_found(self, digests: dict[str, str], results: Iterable[str], places: Iterable[ChangedPlace]) -> Statement:
        """Return the statement with what was found now too. With anything new, or with places, it has not ended.

        Args:
            digests: The digests that get a tombstone.
            results: The prefixes that are removed.
            places: The places that name what is removed.
        """
        places = tuple(places)
        by_place = {place.where: place for place in self.places}
        for place in places:
            known = by_place.get(place.where)
            by_place[place.where] = known.merged(place) if known else place
        made = replace(
            self,
            digests={**digests, **self.digests},
            results=tuple(sorted({*self.results, *results})),
            places=tuple(by_place[where] for where in sorted(by_place)),
        )
        return made if made == self and not places else replace(made, ended="")

    def finished(self) -> Statement:
        """Return the statement of a revocation of which nothing is left."""
        return replace(self, ended=_now())


def load_statement(store: Store, statement: Statement) -> Statement | None:
    """Read the stored statement with the same id; None if there is none.

    Raises:
        DataLoss: it is damaged (BAD_DOCUMENT).
    """
    return document.find(store, statement.key, Statement)


def save_statement(store: Store, statement: Statement) -> bytes:
    """Write the statement, in place of the earlier one, and return its bytes.

    Raises:
        Internal: it is too large (DOCUMENT_SIZE).
    """
    data = document.encode(statement)
    document.put(store, statement.key, data)
    return data


def refuse_revoked_clips(store: Store, run: str, clips: Iterable[str]) -> None:
    """Refuse clips of a run that were revoked after an earlier start of it.

    Args:
        store: The bucket.
        run: Name of the run.
        clips: Ids of the clips that it uses.

    Raises:
        Unusable: it uses such clips; the message names them (REVOKED).
    """
    found: set[str] = set()
    for key in store.list(f"{STATEMENTS}/"):
        if key.endswith(".json"):
            places = document.get(store, key, Statement).places
            found |= {clip for place in places if place.where == keys.run(run) for clip in place.clips}
    wrong = sorted(found & set(clips))
    if wrong:
        more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise Unusable(
            f"Expected clips that were not revoked. The run {run} has {', '.join(wrong[:_NAMED])}{more}, which were "
            "revoked, or left in no pair by that. Leave them out with exclude.clips, and run it again.",
            reason=REVOKED,
            resource=run,
        )
