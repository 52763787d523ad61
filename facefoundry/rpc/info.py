"""Implements InfoService, which describes a running service: version, recipes, engines, slots, store and isolation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import grpc

from facefoundry import __version__, recipes
from facefoundry.errors import FaceFoundryError
from facefoundry.process.sandbox.isolation import Available
from facefoundry.rpc.slots import Slots
from facefoundry.storage import keys
from facefoundry.storage.conditional import ConditionalWrites
from facefoundry.storage.store import Store
from facefoundry.v1 import info_pb2, info_pb2_grpc

__all__ = ["InfoServicer"]

_STORE_SECONDS, _STORE_ATTEMPTS = 3.0, 2


class InfoServicer(info_pb2_grpc.InfoServiceServicer):
    """Serves GetInfo. If the store does not answer within seconds, the response says so; the call does not fail.

    Args:
        service: Name of the service.
        store: The object store.
        slots: The slots of this replica.
        engines: Returns the names for the field `engines`: the extractor's engines, or the trainer's backend.
        isolation: What sandboxes are isolated with.
    """

    def __init__(
        self,
        service: str,
        store: Store,
        slots: Slots,
        engines: Callable[[], Sequence[str]],
        isolation: Available,
    ) -> None:
        self._service, self._slots, self._engines = service, slots, engines
        self._isolation = isolation
        seconds, attempts = store.settings.timeout_seconds, store.settings.attempts
        shorter = {"timeout_seconds": min(_STORE_SECONDS, seconds), "attempts": min(_STORE_ATTEMPTS, attempts)}
        self._store = Store(store.settings.model_copy(update=shorter))
        self._conditional_writes = ConditionalWrites(self._store, keys.probe(service))

    def GetInfo(  # noqa: N802 (name given by the contract)
        self, request: info_pb2.GetInfoRequest, context: grpc.ServicerContext
    ) -> info_pb2.GetInfoResponse:
        """Return the current state of the service."""
        detail, conditional_writes = "", False
        try:
            self._store.check()
            conditional_writes = self._conditional_writes.honoured()
        except FaceFoundryError as error:
            detail = error.message
        settings = self._store.settings
        return info_pb2.GetInfoResponse(
            service=self._service,
            version=__version__,
            recipes=[recipes.load(name) for name in recipes.names()],
            engines=list(self._engines()),
            slots=self._slots.number,
            slots_in_use=self._slots.in_use,
            store=info_pb2.StoreInfo(
                endpoint=settings.endpoint,
                buckets=[settings.bucket],
                reachable=not detail,
                detail=detail,
                conditional_writes=conditional_writes,
            ),
            isolation=info_pb2.IsolationInfo(landlock=self._isolation.landlock, seccomp=self._isolation.seccomp),
        )
