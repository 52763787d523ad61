"""Prepares a bucket on each kind of S3 server: accounts with their rights, deletion of old objects, versions.

Servers differ in what they can hold. So what was set is tried afterwards, and what cannot be had is reported.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from facefoundry.errors import InvalidInput
from facefoundry.settings import StoreSettings
from facefoundry.storage import administration, rights
from facefoundry.storage.access import Access, try_access
from facefoundry.storage.store import Store

__all__ = ["SERVERS", "Report", "Server", "prepare"]

_ARN = "arn:aws:iam::000000000000:user/{account}"
_SETTLING_SECONDS = 10.0


@dataclass(frozen=True)
class Server:
    """How a kind of server gives rights to accounts.

    Attributes:
        makes_accounts: Whether accounts and their policies can be made over the network, as on MinIO.
        principals: Forms of an account's name in the policy of a bucket, tried in order; with `{account}` and
            `{access_key}`.
        advice: What to do for what it does not have.
        tried: Whether this code was ever run on such a server.
    """

    makes_accounts: bool = False
    principals: tuple[str, ...] = ()
    advice: str = ""
    tried: bool = True


SERVERS = {
    "minio": Server(makes_accounts=True, advice="MinIO deletes unfinished uploads by itself, by default after a day."),
    "seaweedfs": Server(principals=(_ARN,), advice="Make the accounts before, each an identity of its own name."),
    "versitygw": Server(
        principals=("{access_key}",),
        advice="Make the accounts before, with the role `user`. `facefoundry bucket expire` deletes old objects.",
    ),
    "garage": Server(
        advice="Garage gives a key rights to a whole bucket, with `garage bucket allow`. Use one for all components."
    ),
    "aws": Server(advice="Name the accounts with --principal.", tried=False),
    "generic": Server(
        principals=("{access_key}", _ARN, "arn:aws:iam:::user/{account}"),
        advice="`facefoundry bucket expire` deletes old objects.",
    ),
}
"""The kinds of servers by name."""


@dataclass
class Report:
    """What was prepared, and what cannot be had.

    Attributes:
        done: A sentence for each thing that the server has now.
        missing: What it does not have, and why.
        advice: What to do about that; empty if there is nothing.
        access: What each account may do.
    """

    done: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    advice: str = ""
    access: list[Access] = field(default_factory=list)

    @property
    def lacking(self) -> list[Access]:
        """The rights that an account needs and does not have."""
        return [access for access in self.access if access.meant and not access.found]

    @property
    def excessive(self) -> list[Access]:
        """The rights that an account has and should not have."""
        return [access for access in self.access if access.found and not access.meant]


def prepare(
    settings: StoreSettings,
    server: Server,
    accounts: Mapping[str, StoreSettings],
    *,
    versions: bool = False,
    retry_seconds: float = 0.0,
    on_wait: Callable[[str], object] = lambda _: None,
) -> Report:
    """Make the bucket if it does not exist, set what the server can hold, and try it.

    Args:
        settings: The bucket, with the account of its owner.
        server: The kind of the server.
        accounts: The bucket with each account that should get rights, by its name in `rights.ACCOUNTS`.
        versions: Whether to keep old versions of objects.
        retry_seconds: How long to wait for the server.
        on_wait: Called with a sentence for the user when that begins.

    Raises:
        Denied: the server refuses the owner's keys, or to make an account.
        InvalidInput: the server needs to be told how it names accounts.
    """
    store, report = Store(settings).with_retries_for(retry_seconds, on_wait), Report()
    store.make_bucket()
    report.done.append(f"The bucket {store.bucket} exists.")
    if accounts:
        _give_rights(store, server, accounts, report)
    _delete_old(store, report, versions=versions)
    if report.missing:
        report.advice = server.advice
    return report


def _give_rights(store: Store, server: Server, accounts: Mapping[str, StoreSettings], report: Report) -> None:
    stores = {name: Store(account.model_copy(update={"attempts": 1})) for name, account in accounts.items()}
    access_keys = {name: account.access_key.get_secret_value() for name, account in accounts.items()}
    listed = ", ".join(accounts)
    if server.makes_accounts:
        for name, account in accounts.items():
            secret_key = account.secret_key.get_secret_value()
            administration.add_account(store.settings, name, access_keys[name], secret_key, store.bucket)
        report.done.append(f"The accounts {listed} exist, each with a policy of its own.")
        report.access = _settled(store, stores)
        return
    if server is SERVERS["aws"]:
        raise InvalidInput(
            "AWS names accounts by their ARN. Give it with --principal, such as "
            "--principal 'arn:aws:iam::123456789012:user/{account}'.",
            reason="USAGE",
        )
    for number, form in enumerate(server.principals, 1):
        names = {name: form.format(account=name, access_key=access_keys[name]) for name in accounts}
        if problem := administration.set_policy(store, names):
            continue
        problem = f"a policy that names accounts as {form} does not give them their rights"
        report.access = _settled(store, stores, 0.0 if number < len(server.principals) else _SETTLING_SECONDS)
        if not report.lacking:
            report.done.append(f"The bucket has a policy for {listed}, which names them as {form}.")
            return
    if server.principals:
        report.missing.append(f"rights for each account: {problem}")
    else:
        report.missing.append("rights for each account: the server has none")
    report.access = report.access or _settled(store, stores, 0.0)


def _settled(owner: Store, accounts: Mapping[str, Store], seconds: float = _SETTLING_SECONDS) -> list[Access]:
    """Try the accounts until each has the rights that it should have, for a time: servers read policies again late."""
    deadline = time.monotonic() + seconds
    while True:
        access = try_access(owner, accounts)
        if all(found.is_right for found in access) or time.monotonic() > deadline:
            return access
        time.sleep(1.0)


def _delete_old(store: Store, report: Report, *, versions: bool) -> None:
    """Set the rules by which old objects are deleted, and keep versions only if old ones are deleted too."""
    held, problems = administration.apply_rules(store, rights.LIFECYCLE)
    if held:
        report.done.append(f"The server deletes old objects by the rules {', '.join(rule.name for rule in held)}.")
    for name, problem in problems.items():
        report.missing.append(f"the rule {name}: {problem}")
    if not versions:
        return
    if any(rule.old_versions and rule not in held for rule in rights.LIFECYCLE):
        report.missing.append("versions: every checkpoint would be kept, as the server does not delete old versions")
    elif problem := administration.enable_versions(store):
        report.missing.append(f"versions: {problem}")
    else:
        report.done.append("The server keeps old versions of objects.")
