"""Connects a command to the services, on this machine or elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from facefoundry.cli.options import ConnectionOptions
from facefoundry.client import Client
from facefoundry.dataset.scheduler import Limits
from facefoundry.dataset.transfer import Transfers
from facefoundry.errors import InvalidInput
from facefoundry.local import Stack, User, local_stack
from facefoundry.planning.making import Connections
from facefoundry.settings import ChannelSettings, StoreSettings, read
from facefoundry.storage.store import Store

__all__ = ["Connection", "connect", "running_services", "start_or_join", "store_settings"]

Emit = Callable[[str], None]


@dataclass(frozen=True)
class Connection(Connections):
    """An open connection; `store_settings` are those of the object store, with keys if there are any."""

    store_settings: StoreSettings


@contextmanager
def connect(options: ConnectionOptions, emit: Emit) -> Iterator[Connection]:
    """Connect to the services. With `--local`, join the local stack, or start it here and stop it afterwards.

    Clips and results need no keys of the object store. Keys in the environment are used for the record of a run alone.

    Args:
        options: Where the services are.
        emit: Called with a sentence for the user when something starts or waits.
    """
    if not options.use_local:
        store = read(StoreSettings)
        channels = read(ChannelSettings, **options.addresses)
        with Client(channels, retry_seconds=store.retry_seconds) as client:
            yield _connection(client, store, emit, Limits())
        return
    if any(options.addresses.values()):
        raise InvalidInput(
            "Expected --local or addresses of services. Received both. Remove --local or the addresses.", reason="USAGE"
        )
    cores = os.cpu_count() or 1
    limits = Limits(extractions=cores, conversions=cores)
    with (
        start_or_join(options.local_dir, emit) as stack,
        Client(stack.channels, retry_seconds=stack.store.retry_seconds) as client,
    ):
        yield _connection(client, stack.store, emit, limits)


@contextmanager
def running_services(options: ConnectionOptions) -> Iterator[tuple[ChannelSettings, StoreSettings]]:
    """Yield the addresses of running services, and the settings of their store, with keys if there are any.

    With `--local`, the local stack is found, but not started.
    """
    if not options.use_local:
        yield read(ChannelSettings, **options.addresses), read(StoreSettings)
        return
    with local_stack(options.local_dir, start=False) as stack:
        yield stack.channels, stack.store


@contextmanager
def store_settings(use_local: bool, local_dir: Path | None, emit: Emit) -> Iterator[StoreSettings]:
    """Yield the settings of the object store: those of the environment, or those of the local stack.

    Args:
        use_local: Whether to join the local stack, or to start it and stop it afterwards.
        local_dir: Folder of the local object store.
        emit: Called with a sentence for the user when something starts or waits.
    """
    if not use_local:
        yield read(StoreSettings)
        return
    with start_or_join(local_dir, emit) as stack:
        yield stack.store


def start_or_join(local_dir: Path | None, emit: Emit) -> AbstractContextManager[Stack]:
    """Join the local stack, or start it and stop it after the block.

    It has the slots that FACEFOUNDRY_SLOTS says, or one for each core.

    Args:
        local_dir: Folder of the stack; None for the default one.
        emit: Called with a sentence for the user when something starts or waits.
    """
    slots = {} if "FACEFOUNDRY_SLOTS" in os.environ else {"FACEFOUNDRY_SLOTS": str(os.cpu_count() or 1)}
    return local_stack(local_dir, environment=slots, on_progress=emit, on_wait=_on_users(emit))


def _on_users(emit: Emit) -> Callable[[list[User]], None]:
    """Return a callback that prints which processes still use the local stack, for the person who waits."""
    return lambda users: _emit_users(emit, users)


def _emit_users(emit: Emit, users: list[User]) -> None:
    emit(f"Waiting for processes that use the services: {', '.join(str(user.pid) for user in users)}. Ctrl-C stops.")


def _connection(client: Client, settings: StoreSettings, emit: Emit, limits: Limits) -> Connection:
    store = Store(settings) if settings.has_keys else None
    return Connection(Transfers(client, settings, on_wait=emit), store, limits, settings)
