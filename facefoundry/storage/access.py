"""Tries what each account may do in the bucket, and compares it with what it should."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from facefoundry.errors import Denied
from facefoundry.storage import keys
from facefoundry.storage.rights import ACCOUNTS
from facefoundry.storage.store import Store

__all__ = ["LISTED", "USES", "Access", "try_access"]

USES = ("read", "write", "delete")
LISTED = "list"
_CONTENT = b"This object shows what an account may do. It can be deleted."


@dataclass(frozen=True)
class Access:
    """Whether an account may use one class of keys.

    Attributes:
        account: Name of the account.
        kind: One of `keys.CLASSES`; empty for the list of the whole bucket.
        use: One of `USES`, or `LISTED`.
        meant: Whether it should.
        found: Whether it does.
    """

    account: str
    kind: str
    use: str
    meant: bool
    found: bool

    @property
    def is_right(self) -> bool:
        """Whether the account has this right exactly if it should."""
        return self.meant == self.found

    def __str__(self) -> str:
        """Say what is wrong, or right."""
        where = f"{self.kind}/" if self.kind else "the bucket"
        return f"{self.account} {'may' if self.found else 'may not'} {self.use} {where}"


def try_access(owner: Store, accounts: Mapping[str, Store]) -> list[Access]:
    """Try every account on every class of keys. The objects for this are deleted in the end.

    Args:
        owner: The bucket, with an account that may do everything.
        accounts: The bucket with the account of each name in `rights.ACCOUNTS`.
    """
    probes = {kind: f"{kind}/access-check/object" for kind in keys.CLASSES}
    try:
        return [access for name, store in accounts.items() for access in _try_account(owner, name, store, probes)]
    finally:
        owner.delete(probes.values())


def _try_account(owner: Store, name: str, store: Store, probes: Mapping[str, str]) -> Iterator[Access]:
    rights = ACCOUNTS[name]
    uses: dict[str, Callable[[str], object]] = {
        "read": store.get_bytes,
        "write": lambda key: store.put_bytes(key, _CONTENT),
        "delete": lambda key: store.delete([key]),
    }
    yield Access(name, "", LISTED, rights.lists, _is_allowed(lambda: store.objects("", limit=1)))
    for kind, key in probes.items():
        for use, call in uses.items():
            owner.put_bytes(key, _CONTENT)
            allowed = _is_allowed(partial(call, key))
            yield Access(name, kind, use, rights.allow(use, key), allowed)


def _is_allowed(use: Callable[[], object]) -> bool:
    try:
        use()
    except Denied:
        return False
    return True
