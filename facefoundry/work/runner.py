"""Runs plans and jobs: takes a slot, a sandbox and a scratch folder, fetches files, runs the sandbox, stores parts."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import grpc

from facefoundry.errors import Cancelled, Unusable
from facefoundry.process.sandbox import Limits, Sandbox
from facefoundry.process.sandbox.isolation import available
from facefoundry.process.scratch import Scratch, reporting_full_disk
from facefoundry.rpc.slots import Slots
from facefoundry.settings import ServerSettings
from facefoundry.storage import manifest, sources
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.sources import SourceFiles
from facefoundry.storage.store import Store
from facefoundry.storage.usage import Usage
from facefoundry.telemetry import FRAMES, logger
from facefoundry.work.delivery import Delivery
from facefoundry.work.drain import Drain
from facefoundry.work.function import Args, Info, misbehaved
from facefoundry.work.messages import PartsReady, Progress, Result, Resumed
from facefoundry.work.plan import Job, Plan
from facefoundry.work.pool import SandboxPool
from facefoundry.work.workspace import Workspace

__all__ = ["Admitted", "Committed", "Runner"]

_log = logger(__name__)


@dataclass(frozen=True)
class Committed:
    """A stored result, the last event of `Runner.run`.

    Attributes:
        uri: URI of the result's prefix.
        manifest: Manifest of the result.
        reused: Whether an earlier call had stored the result.
    """

    uri: str
    manifest: Manifest
    reused: bool


@dataclass(frozen=True)
class Admitted:
    """What a running call holds.

    Attributes:
        sandbox: Its sandbox.
        workspace: The folders of the sandbox.
        drain: Says when the call must end.
        store: The object store, for this call alone: its requests end as soon as the caller is gone.
    """

    sandbox: Sandbox
    workspace: Workspace
    drain: Drain
    store: Store


class Runner:
    """Does the work of one service's calls: plans, whose results are stored, and jobs, whose results are not.

    Args:
        service: Name of the service.
        store: The object store.
        settings: Limits of sandboxes, drain time and scratch folder.
        max_source_bytes: Size of the largest source that is accepted.
        slots: Limits how many calls run at once. A result that is stored already needs no slot.
        stopping: Set when the service is asked to stop.
        pool: Sandboxes; by default the runner makes a pool.
        readable: Folders that sandboxes may read, besides their own.
        max_pixels: Most pixels of all frames of a source together that a call may work on.

    Raises:
        InvalidInput: the settings require an isolation that this kernel lacks (ISOLATION).
    """

    def __init__(
        self,
        service: str,
        store: Store,
        settings: ServerSettings,
        *,
        max_source_bytes: int,
        slots: Slots,
        stopping: threading.Event,
        pool: SandboxPool | None = None,
        readable: Sequence[Path] = (),
        max_pixels: int = 1 << 62,
    ) -> None:
        self._service, self._store, self._slots, self._stopping = service, store, slots, stopping
        self._drain_seconds = settings.drain_seconds
        self.max_pixels = max_pixels
        self._max_bytes = min(max_source_bytes, settings.sandbox_disk_bytes)
        if settings.sandbox_isolation == "required":
            available().require()
        self.scratch = Scratch(service, settings.scratch_dir)
        limits = Limits(
            settings.sandbox_seconds,
            settings.sandbox_memory_bytes,
            disk_bytes=settings.sandbox_disk_bytes,
            threads=settings.threads_per_sandbox,
        )
        self._pool = pool or SandboxPool(
            limits,
            self.scratch,
            readable=readable,
            processes=settings.sandbox_processes,
            kernel=settings.sandbox_isolation != "off",
        )

    def run(self, plan: Plan[Args, Info], context: grpc.ServicerContext) -> Iterator[Progress | Committed]:
        """Carry out a plan, or find its stored result. Yield progress, and finally the `Committed` result.

        Raises:
            Busy: no slot is free.
            Interrupted: the service is stopping; finished parts are kept.
            Unusable: the source is too large, or the sandbox refused it, exceeded a limit or died.
            DataLoss: a file has other bytes than its name or its source says.
            Cancelled: the caller cancelled the call.
        """
        stored = manifest.load_if_committed(self._store, plan.prefix)
        if stored is not None:
            _log.event("reused", kind=plan.kind, prefix=plan.prefix)
            yield Committed(self._store.uri(plan.prefix), stored, reused=True)
            return
        source = plan.job.source
        self._check_pixels(source)
        with source.named(), self.admitted(source.name, source.size, context) as held:
            arguments = plan.job.arguments(held.store)
            for progress in self._fetch(plan.job, held):
                yield progress
                held.drain.check()
            delivery = Delivery(held.store, plan, held.workspace)
            workspace = replace(held.workspace, finished=delivery.fetch_finished())
            result: Result[Info] | None = None
            before = held.sandbox.cpu_seconds()
            with closing(plan.job.function.run(held.sandbox, arguments, workspace)) as messages:
                for message in messages:
                    match message:
                        case Progress():
                            yield message
                        case Resumed(parts):
                            delivery.keep(parts)
                        case PartsReady(parts):
                            delivery.put(parts)
                        case Result():
                            result = message
                    if result is None:
                        held.drain.check(isinstance(message, PartsReady) and plan.can_resume(*message.parts))
            if result is None:
                raise misbehaved("ended without a result")
            committed = delivery.commit(result, Usage(round(max(0.0, held.sandbox.cpu_seconds() - before), 3)))
            self._count(plan, result)
            yield Committed(self._store.uri(plan.prefix), committed, reused=False)

    def ask(self, job: Job[Args, Info], context: grpc.ServicerContext) -> Info:
        """Do a job, and return the facts of its result without storing them. It raises the same errors as `run`."""
        source = job.source
        self._check_pixels(source)
        with source.named(), self.admitted(source.name, source.size, context) as held:
            arguments = job.arguments(held.store)
            for _ in self._fetch(job, held):
                held.drain.check()
            messages = list(job.function.run(held.sandbox, arguments, held.workspace))
            if not messages or not isinstance(messages[-1], Result):
                raise misbehaved("ended without a result")
            return messages[-1].info

    @contextmanager
    def admitted(self, name: str, size: int, context: grpc.ServicerContext) -> Iterator[Admitted]:
        """Hold a slot, a sandbox and its folders during the block. Once the caller is gone, the block ends soon.

        Requests to the store of the block, and the sandbox, then end at once.

        Args:
            name: Name of what the sandbox reads, for messages.
            size: Size of the clip or file, bytes.
            context: The gRPC context of the call.

        Raises:
            Busy: no slot is free.
            Interrupted: the service is stopping.
            Unusable: the source is too large (TOO_LARGE).
            Cancelled: the caller cancelled the call.
        """
        drain = Drain(self._service, self._stopping, self._drain_seconds)
        drain.refuse()
        if size > self._max_bytes:
            message = (
                f"{name} has {size} bytes; this {self._service} accepts at most {self._max_bytes}. "
                "Use a smaller one, or raise the limit in the settings of the service."
            )
            raise Unusable(message, reason="TOO_LARGE", resource=name)
        store = self._store.apart()
        with self._slots.take(), reporting_full_disk(), self._pool.acquire(context, name) as (sandbox, workspace):
            if not context.add_callback(store.cancel):
                raise Cancelled("The caller cancelled the call.")
            yield Admitted(sandbox, workspace, drain, store)

    def close(self) -> None:
        """End the processes of the sandboxes that are not in use."""
        self._pool.close()

    def _check_pixels(self, source: SourceFiles) -> None:
        """Refuse a source on which the work would take too long, before anything is spent on it."""
        if source.pixels > self.max_pixels:
            message = (
                f"{source.uri} has {source.pixels} pixels in all its frames; this {self._service} works on at most "
                f"{self.max_pixels}. Use a shorter or smaller clip, or raise FACEFOUNDRY_{self._service.upper()}"
                "_MAX_PIXELS of the service."
            )
            raise Unusable(message, reason="TOO_LARGE", resource=source.uri)

    def _fetch(self, job: Job[Args, Info], held: Admitted) -> Iterator[Progress]:
        for done, total in sources.fetch(held.store, job.files, held.workspace.inputs):
            yield Progress("download", done, total, unit="bytes")
        job.source.verify(held.workspace.inputs)

    def _count(self, plan: Plan[Args, Info], result: Result[Info]) -> None:
        for outcome, frames in result.frames.items():
            FRAMES.labels(self._service, outcome).inc(frames)
        _log.event("committed", kind=plan.kind, prefix=plan.prefix, frames=result.frames)
