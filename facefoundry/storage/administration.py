"""What only the owner of a bucket does: policies and accounts, deletion of old objects, versions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from minio import Minio, MinioAdmin
from minio.commonconfig import DISABLED, ENABLED, Filter
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException, S3Error
from minio.lifecycleconfig import (
    AbortIncompleteMultipartUpload,
    Expiration,
    LifecycleConfig,
    NoncurrentVersionExpiration,
)
from minio.lifecycleconfig import Rule as S3Rule
from minio.versioningconfig import VersioningConfig

from facefoundry.connections import Connections
from facefoundry.errors import Denied, FaceFoundryError
from facefoundry.settings import StoreSettings
from facefoundry.storage import rights
from facefoundry.storage.rights import Rule
from facefoundry.storage.store import Store

__all__ = ["add_account", "apply_rules", "enable_versions", "set_policy"]

_NOT_IMPLEMENTED = 501


def set_policy(store: Store, principals: Mapping[str, str]) -> str:
    """Set the bucket's policy, in place of the earlier one. Return why the server refuses it; empty if it does not.

    Args:
        store: The bucket.
        principals: How the server names each account.
    """
    text = json.dumps(rights.bucket_policy(principals, store.bucket), separators=(",", ":"))
    return _refusal(store, "the bucket's policy", lambda client: client.set_bucket_policy(store.bucket, text))


def apply_rules(store: Store, rules: Sequence[Rule]) -> tuple[list[Rule], dict[str, str]]:
    """Set the rules by which the server deletes old objects, in place of earlier ones.

    A server may refuse all rules because of a single one, or accept one and keep something else, such as a rule
    without its prefix. What it keeps instead is deleted at once. If the server does not have all rules afterwards,
    each is tried alone.

    Returns:
        The rules that the server has, and why it does not have each of the others, by name.

    Raises:
        Denied: the server keeps other rules, and does not delete them (WRONG_RULES).
        Unavailable: the server does not answer.
    """
    if not _problem(store, rules):
        return list(rules), {}
    problems = {rule.name: _problem(store, [rule]) for rule in rules}
    held = [rule for rule in rules if not problems[rule.name]]
    if held and (problem := _problem(store, held)):
        return [], {rule.name: problem for rule in rules}
    return held, {name: problem for name, problem in problems.items() if problem}


def enable_versions(store: Store) -> str:
    """Have the server keep old versions of objects. Return why it does not; empty if it does."""
    config = VersioningConfig(ENABLED)
    if refusal := _refusal(store, "versioning", lambda client: client.set_bucket_versioning(store.bucket, config)):
        return refusal
    status = store.request("versioning", lambda client: client.get_bucket_versioning(store.bucket).status)
    return "" if status == ENABLED else f"the server accepted it, and says {status or DISABLED}"


def add_account(settings: StoreSettings, name: str, access_key: str, secret_key: str, bucket: str) -> None:
    """Make an account of MinIO, or give it this secret key, and attach the policy of its name.

    Args:
        settings: Address and account of the server's administrator.
        name: Name of the account in `rights.ACCOUNTS`.
        access_key: Its access key.
        secret_key: Its secret key.
        bucket: Name of the bucket.

    Raises:
        Denied: the server refuses it, or is no MinIO.
    """
    administrator = StaticProvider(settings.access_key.get_secret_value(), settings.secret_key.get_secret_value())
    admin = MinioAdmin(
        endpoint=settings.endpoint,
        credentials=administrator,
        region=settings.region,
        secure=settings.secure,
        http_client=Connections(settings.timeout_seconds, ca_file=settings.ca_file),
    )
    policy = f"{bucket}-{name}"
    try:
        admin.user_add(access_key, secret_key)
        admin.policy_add(policy, policy=rights.policy(name, bucket))
        admin.policy_set(policy, user=access_key)
    except MinioAdminException as error:
        raise Denied(
            f"The store at {settings.endpoint} refused to make the account {name}: {error}. Use the keys of MinIO's "
            "root, or --server generic if it is another server.",
            reason="STORE_REFUSED",
            resource=name,
        ) from error


def _problem(store: Store, rules: Sequence[Rule]) -> str:
    """Set these rules and no others; return why the server does not have them, empty if it does.

    If it has something else, that is deleted at once: a rule without its prefix deletes the whole bucket.
    """
    wanted = LifecycleConfig([_s3_rule(rule) for rule in rules])
    if refusal := _refusal(store, "lifecycle", lambda client: client.set_bucket_lifecycle(store.bucket, wanted)):
        return refusal
    try:
        found = store.request("lifecycle", lambda client: client.get_bucket_lifecycle(store.bucket))
        held = {_content(rule) for rule in found.rules} if found else set()
    except FaceFoundryError:  # rules without content cannot be parsed
        held = None
    if held == {_content(rule) for rule in wanted.rules}:
        return ""
    if held == set():
        return "the server accepts it, and forgets it"
    _delete_rules(store)
    return "the server accepts it, and keeps something else, which was deleted at once"


def _delete_rules(store: Store) -> None:
    """Delete all rules of the bucket.

    Raises:
        Denied: the server does not do so (WRONG_RULES).
    """
    try:
        problem = _refusal(store, "lifecycle", lambda client: client.delete_bucket_lifecycle(store.bucket))
    except FaceFoundryError as error:
        problem = error.message
    if problem:
        raise Denied(
            f"The store at {store.settings.endpoint} keeps other rules of the bucket {store.bucket!r} than were set, "
            f"and does not delete them: {problem.rstrip('.')}. They may delete every object. Delete the bucket's "
            "lifecycle configuration at once.",
            reason="WRONG_RULES",
            resource=store.bucket,
        )


def _refusal(store: Store, subject: str, request: Callable[[Minio], object]) -> str:
    """Send a request that a server may not have; return the words with which it refuses it, empty if it does not."""

    def send(client: Minio) -> str:
        try:
            request(client)
        except S3Error as error:
            status = error.response.status
            if error.code == "AccessDenied" or not (400 <= status < 500 or status == _NOT_IMPLEMENTED):
                raise
            return f"{error.code}: {error.message}"
        return ""

    return store.request(subject, send)


def _s3_rule(rule: Rule) -> S3Rule:
    return S3Rule(
        ENABLED,
        rule_filter=Filter(prefix=rule.prefix),
        rule_id=rule.name,
        abort_incomplete_multipart_upload=AbortIncompleteMultipartUpload(rule.unfinished) if rule.unfinished else None,
        expiration=Expiration(days=rule.objects) if rule.objects else None,
        noncurrent_version_expiration=NoncurrentVersionExpiration(rule.old_versions) if rule.old_versions else None,
    )


def _content(rule: S3Rule) -> tuple[str | None, str, int | None, int | None, int | None]:
    aborted, expired, old = (
        rule.abort_incomplete_multipart_upload,
        rule.expiration,
        rule.noncurrent_version_expiration,
    )
    return (
        rule.rule_id,
        (rule.rule_filter.prefix if rule.rule_filter else None) or "",  # a rule without a prefix is for every object
        aborted.days_after_initiation if aborted else None,
        expired.days if expired else None,
        old.noncurrent_days if old else None,
    )
