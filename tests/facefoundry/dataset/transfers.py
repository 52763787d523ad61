"""Real services in front of a real store, whose URLs lead clients through a proxy that counts and fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from facefoundry.client import Client
from facefoundry.dataset.transfer import Transfers
from facefoundry.settings import TransferSettings
from facefoundry.storage.store import Store
from tests.faults.proxy import Fault, Proxy, Request, Rule
from tests.services.running import Services, serving
from tests.waiting import wait_until

PART = 4000


@dataclass
class Place:
    """Services, a client of them that knows no keys, and what the client asked the store.

    Attributes:
        services: The services; they reach the store without the proxy.
        transfers: The client's connections.
        proxy: What stands in the URLs.
        waits: What the user was told.
    """

    services: Services
    transfers: Transfers
    proxy: Proxy
    waits: list[str]

    @property
    def store(self) -> Store:
        """The store, without the proxy."""
        return self.services.store

    @property
    def client(self) -> Client:
        """The client."""
        return self.transfers.client

    def requests(self, kind: str) -> list[Request]:
        """The client's requests of a kind that the store answered well."""
        return [request for request, status in self.proxy.log if request.kind == kind and status < 300]


@contextmanager
def a_place(store: Store, scratch: Path, **changed: object) -> Iterator[Place]:
    """Serve for the time of the block; `changed` are settings of the services' store."""
    with Proxy(store.settings.endpoint) as proxy:
        public = {"public_endpoint": f"http://{proxy.endpoint}", **changed}
        behind = Store(store.settings.model_copy(update=public))
        with serving(behind, scratch, PART) as services, Client(services.channels) as client:
            waits: list[str] = []
            transfers = Transfers(client, TransferSettings(retry_seconds=30), on_wait=waits.append)
            yield Place(services, transfers, proxy, waits)


def at(number: int, kind: str, fault: Fault) -> Rule:
    """A rule for the request of a kind with a number, from 0."""
    seen: list[Request] = []

    def rule(request: Request) -> Fault | None:
        if request.kind == kind:
            seen.append(request)
            return fault if len(seen) == number + 1 else None
        return None

    return rule


def until_expired(lifetime_seconds: int) -> Callable[[], bool]:
    """What a proxy does before it passes a request on: wait until the URLs that are valid now are not."""

    def wait() -> bool:
        start = datetime.now(timezone.utc)
        wait_until(lambda: (datetime.now(timezone.utc) - start).total_seconds() > lifetime_seconds + 1)
        return False

    return wait
