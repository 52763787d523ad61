"""Rights to clips: the record that says why the faces of a clip may be used, its digest, and when it ends."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from facefoundry import codec
from facefoundry.errors import DataLoss

__all__ = ["FORMAT", "RIGHTS_FILE", "UNSTATED", "ClipRights", "Rights", "end_warning", "read_rights", "require_digests"]

RIGHTS_FILE: Final = "rights.json"
"""Name of the file of the rights, beside the filelist."""
FORMAT: Final = "facefoundry.rights/1"
UNSTATED: Final = "unstated"
"""What stands in place of a digest where somebody said that nothing is known of the rights."""

_DAY, _WARNED = timedelta(days=1), timedelta(days=30)
_EVIDENCED = {"consent": "evidence", "contract": "evidence", "licence": "licence", "statute": "terms"}


class Rights(BaseModel):
    """A record of rights: why the faces of clips may be used. It travels with the dataset: write no names into it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    basis: Literal["consent", "contract", "licence", "statute", "public-domain", "no-person"] = Field(
        description="Why the clips may be used: the person's consent, a contract, the licence of the clips, a statute, "
        "public-domain, or no-person if they show no real person."
    )
    subject: str = Field("", max_length=100, description="The person as your own records name them, such as P-017.")
    licence: str = Field("", max_length=200, description="Licence of the clips, such as CC-BY-4.0.")
    terms: str = Field("", max_length=1000, description="What the basis allows and forbids, or the law's section.")
    evidence: str = Field("", max_length=500, description="Where the form, contract or page is kept.")
    expires: date | None = Field(None, description="Last day of the rights, such as 2027-12-31; null without an end.")
    revoked: date | None = Field(None, description="Day on which the rights were withdrawn; null if they were not.")

    @model_validator(mode="after")
    def _is_evidenced(self) -> Self:
        wanted = _EVIDENCED.get(self.basis)
        if wanted and not getattr(self, wanted):
            raise ValueError(f"{wanted} must not be empty if basis is {self.basis}")
        return self

    @property
    def digest(self) -> str:
        """SHA-256 of the record as canonical JSON, without `revoked`, so that a revoked record is still found by it."""
        values = self.model_dump(mode="json", exclude={"revoked"}, exclude_defaults=True)
        return hashlib.sha256(json.dumps(values, separators=(",", ":"), sort_keys=True).encode()).hexdigest()

    def is_revoked(self, today: date) -> bool:
        """Return whether the rights were withdrawn."""
        return self.revoked is not None and self.revoked <= today

    def ended(self, today: date) -> str:
        """Return how the rights have ended, such as `expired on 2026-01-31`; empty if they have not."""
        if self.is_revoked(today):
            return f"were revoked on {self.revoked}"
        if self.expires is not None and self.expires < today:
            return f"expired on {self.expires}"
        return ""


@dataclass(frozen=True)
class ClipRights:
    """The rights to the clips of a dataset, the file `misc/rights.json`.

    Attributes:
        clips: Digest of the record of each clip, or `UNSTATED`, by id of the clip.
        records: The records by digest.
        format: `FORMAT`.
    """

    clips: Mapping[str, str] = field(default_factory=dict)
    records: Mapping[str, Rights] = field(default_factory=dict)
    format: Literal["facefoundry.rights/1"] = FORMAT

    @classmethod
    def of(cls, statements: Mapping[str, Rights | None]) -> ClipRights:
        """Return the rights of clips by their records; None is `UNSTATED`."""
        return cls(
            {clip: UNSTATED if record is None else record.digest for clip, record in statements.items()},
            {record.digest: record for record in statements.values() if record is not None},
        )

    @classmethod
    def unstated(cls, clips: Iterable[str]) -> ClipRights:
        """Return what is known of clips whose rights nobody was asked for."""
        return cls.of(dict.fromkeys(clips))

    def digest_of(self, clip: str) -> str:
        """Return the digest of the record of a clip, or `UNSTATED`."""
        return self.clips.get(clip, UNSTATED)

    @property
    def end(self) -> str:
        """The last day of the rights that end first, ISO 8601; empty if none of them ends."""
        days = [record.expires for record in self.records.values() if record.expires is not None]
        days += [record.revoked - _DAY for record in self.records.values() if record.revoked is not None]
        return min(days).isoformat() if days else ""

    def summary(self) -> str:
        """Return a sentence's part on the rights, such as `consent for 12 clips, unstated for 2`."""
        basis = {digest: record.basis for digest, record in self.records.items()}
        counts = Counter(basis.get(digest, UNSTATED) for digest in self.clips.values())
        named = sorted(counts, key=lambda name: (name == UNSTATED, name))
        if named == [UNSTATED] or not named:
            return UNSTATED
        first = f"{named[0]} for {counts[named[0]]} clips"
        return ", ".join([first, *(f"{name} for {counts[name]}" for name in named[1:])])

    def warnings(self, today: date) -> list[str]:
        """Return sentences on rights that are unstated or end soon."""
        unstated = sorted(clip for clip, digest in self.clips.items() if digest == UNSTATED)
        made = []
        if unstated:
            which = "all clips" if len(unstated) == len(self.clips) else f"{len(unstated)} of {len(self.clips)} clips"
            made.append(
                f"Rights are unstated for {which}, and labels and records of the dataset say so. A dataset file can "
                "state why these faces may be used (docs/datasets.md)."
            )
        return [*made, *filter(None, [end_warning(self.end, today)])]


def read_rights(path: Path) -> ClipRights:
    """Read the file of the rights of a dataset.

    Raises:
        DataLoss: it is damaged, a record is not that of its digest, or a clip has the digest of none (RIGHTS_FILE).
    """
    found = codec.from_json(ClipRights, path.read_bytes())
    require_digests(found, str(path))
    return found


def require_digests(rights: ClipRights, name: str) -> None:
    """Refuse rights whose records do not have the digests by which they are named.

    Args:
        rights: The rights.
        name: What messages call their file.

    Raises:
        DataLoss: a record is not that of its digest, or a clip has the digest of none (RIGHTS_FILE).
    """
    wrong = [
        f"the record {digest} has another digest" for digest, each in rights.records.items() if each.digest != digest
    ]
    known = {*rights.records, UNSTATED}
    wrong += [f"the clip {clip} names no record" for clip, digest in rights.clips.items() if digest not in known]
    if wrong:
        message = f"Expected records of rights by their digest in {name}. Received others: {wrong[0]}"
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise DataLoss(f"{message}{more}. Fetch or run the dataset again.", reason="RIGHTS_FILE", resource=name)


def end_warning(end: str, today: date) -> str:
    """Return a sentence if rights end within 30 days or have ended; otherwise an empty text.

    Args:
        end: Last day of the rights, ISO 8601; empty if they do not end.
        today: The day to judge by.
    """
    try:
        last = date.fromisoformat(end) if end else date.max
    except ValueError:
        return f"Expected the last day of the rights to clips of this dataset as YYYY-MM-DD. Its record has {end!r}."
    if last > today + _WARNED:
        return ""
    if last < today:
        return f"Rights to clips of this dataset expired on {end}. Renew them, or delete the dataset."
    return f"Rights to clips of this dataset expire on {end}. Renew them, or delete the dataset by then."
