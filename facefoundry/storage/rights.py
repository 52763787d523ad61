"""The rights of each account in the bucket, as policies of S3, and the rules by which old objects are deleted.

An account is named for the component that uses it. `signer` signs URLs; `client` writes clips, the records of runs,
and datasets; `web-page` reads the latter two. No account but the owner's writes what was revoked.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from facefoundry.codec import JsonObject
from facefoundry.storage import keys

__all__ = ["ACCOUNTS", "LIFECYCLE", "Rights", "Rule", "bucket_policy", "lifecycle", "policy"]

_VERSION = "2012-10-17"


@dataclass(frozen=True)
class Rights:
    """What an account may do. Classes of keys are patterns of keys without the `/*` at their end.

    Attributes:
        reads: Classes of keys that it reads.
        writes: Classes of keys that it writes.
        deletes: Classes of keys that it deletes.
        lists: Whether it lists the bucket, and writes in parts. Who uses a URL does neither.
    """

    reads: tuple[str, ...]
    writes: tuple[str, ...] = ()
    deletes: tuple[str, ...] = ()
    lists: bool = True

    def allow(self, use: str, key: str) -> bool:
        """Return whether an object may be used.

        Args:
            use: `read`, `write` or `delete`.
            key: Key of the object.
        """
        classes = {"read": self.reads, "write": self.writes, "delete": self.deletes}[use]
        return any(fnmatch.fnmatchcase(key, f"{name}/*") for name in classes)


ACCOUNTS = {
    "extractor": Rights(
        ("clips", "sources", "conversions", "extractions", "uploads", "revoked"),
        ("extractions", "sources", "uploads"),
        ("uploads",),
    ),
    "trainer": Rights(
        ("extractions", "trainings", "signing", "models", "imports", "uploads", "revoked"),
        ("trainings", "signing", "imports", "uploads"),
        ("uploads",),
    ),
    "worker": Rights(
        ("extractions", "trainings", "signing", "models", "imports", "revoked"),
        ("trainings", "models"),
        ("trainings",),
    ),
    "converter": Rights(("sources", "extractions", "models", "conversions", "imports", "revoked"), ("conversions",)),
    "client": Rights(
        tuple(name for name in keys.CLASSES if name not in ("signing", "uploads")), ("clips", "runs", "datasets")
    ),
    "signer": Rights(
        # It needs no tombstones: with the readers of extractions, they take no statement of their own in the policy.
        ("sources", "extractions", "models", "trainings/*/previews", "imports", "conversions", "revoked"),
        ("uploads/*",),
        lists=False,
    ),
    "web-page": Rights(("runs", "datasets")),
}
"""The accounts by name."""


@dataclass(frozen=True)
class Rule:
    """A rule by which a server deletes old objects. Times are in days; None for a rule without that time.

    Attributes:
        name: Name of the rule.
        prefix: Start of the keys.
        unfinished: Age at which an upload in parts that was never finished is deleted.
        objects: Age at which objects are deleted.
        old_versions: Age at which versions are deleted, from the time when they were replaced or deleted.
    """

    name: str
    prefix: str
    unfinished: int | None = None
    objects: int | None = None
    old_versions: int | None = None


LIFECYCLE = (
    Rule("unfinished-uploads", "", unfinished=2),
    Rule("uploads", "uploads/", objects=7),
    Rule("checkpoints-of-abandoned-trainings", "trainings/", objects=180),
    Rule("old-versions-of-trainings", "trainings/", old_versions=1),
    Rule("old-versions-of-runs", "runs/", old_versions=1),
)
"""What can be made again, or is of no use any more."""


def policy(account: str, bucket: str) -> JsonObject:
    """Return the policy to attach to an account."""
    return {
        "Version": _VERSION,
        "Statement": [
            {"Sid": name, "Effect": "Allow", "Action": [*actions], "Resource": [*resources]}
            for name, actions, resources in _grants(ACCOUNTS[account], bucket)
        ],
    }


def bucket_policy(principals: Mapping[str, str], bucket: str) -> JsonObject:
    """Return the policy of a bucket that gives several accounts their rights.

    Accounts with the same rights to a class of keys, and classes with the same accounts and rights, share a statement,
    because some servers hold at most 4 KiB.

    Args:
        principals: How the server names each account: by the account, an ARN or an access key.
        bucket: Name of the bucket.
    """
    holders: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for account, principal in principals.items():
        for _, actions, resources in _grants(ACCOUNTS[account], bucket):
            for resource in resources:
                holders.setdefault((resource, tuple(actions)), []).append(principal)
    uses: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (resource, grouped), names in holders.items():
        uses.setdefault((resource, tuple(names)), []).extend(grouped)
    groups: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for (resource, accounts), allowed in uses.items():
        groups.setdefault((tuple(allowed), accounts), []).append(resource)
    return {
        "Version": _VERSION,
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": [*names]}, "Action": [*actions], "Resource": [*resources]}
            for (actions, names), resources in groups.items()
        ],
    }


def lifecycle() -> JsonObject:
    """Return the rules as the JSON that AWS's tools take."""
    return {"Rules": [_rule(rule) for rule in LIFECYCLE]}


def _grants(rights: Rights, bucket: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield each group of rights: its name, its actions and its resources."""
    whole = f"arn:aws:s3:::{bucket}"
    if rights.lists:
        yield "FindBucket", ["s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"], [whole]
    in_parts = ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"] if rights.lists else []
    for name, actions, classes in (
        ("Read", ["s3:GetObject"], rights.reads),
        ("Write", ["s3:PutObject", *in_parts], rights.writes),
        ("Delete", ["s3:DeleteObject"], rights.deletes),
    ):
        if classes:
            yield name, actions, [f"{whole}/{prefix}/*" for prefix in classes]


def _rule(rule: Rule) -> JsonObject:
    values: JsonObject = {"ID": rule.name, "Status": "Enabled", "Filter": {"Prefix": rule.prefix}}
    if rule.unfinished:
        values["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": rule.unfinished}
    if rule.objects:
        values["Expiration"] = {"Days": rule.objects}
    if rule.old_versions:
        values["NoncurrentVersionExpiration"] = {"NoncurrentDays": rule.old_versions}
    return values
