"""Does a plan: fetches what it needs, runs the sandboxed child, puts parts as they get finished, commits last."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from facefoundry import __version__
from facefoundry.errors import DataLoss, Interrupted, Unusable
from facefoundry.process.sandbox import Sandbox
from facefoundry.process.scratch import Scratch
from facefoundry.storage import manifest, sources
from facefoundry.storage.manifest import Manifest, Part
from facefoundry.storage.parts import ALIGNMENTS, CHUNKS, WEIGHTS
from facefoundry.storage.store import Store
from facefoundry.telemetry import FRAMES, logger
from facefoundry.v1 import common_pb2
from services.converter.plan import Plan
from services.converter.settings import ConverterSettings

__all__ = ["Work"]

_log = logger(__name__)


class Work:
    """Where work is done and when it has to stop.

    Args:
        store: The object store.
        settings: Limits.
        draining: Set when this process is about to stop; the running chunk is finished, then the work is cut.
    """

    def __init__(self, store: Store, settings: ConverterSettings, draining: threading.Event) -> None:
        self._store = store
        self._settings = settings
        self._draining = draining
        self._scratch = Scratch("converter", settings.scratch_dir)

    def do(self, plan: Plan, sandbox: Sandbox) -> Iterator[common_pb2.Progress | Manifest]:
        """Yield progress, and the committed manifest at the end.

        Raises:
            Unusable: the source is too large, or the child refuses it.
            Interrupted: this process is stopping; finished chunks are in the store.
        """
        most = self._settings.converter_max_source_bytes
        if plan.source.size > most:
            what = f"The source has {plan.source.size} bytes; this converter takes at most {most}"
            raise Unusable(what, reason="TOO_LARGE")
        with self._scratch.folder() as folder:
            for done, total in sources.fetch(self._store, plan.files, folder):
                yield common_pb2.Progress(stage="download", done=done, total=total, unit="bytes")
            arguments = dict(plan.arguments, sources=[str(folder / name) for name in plan.source.files])
            parts: dict[str, Part] = {}
            if plan.kind == "conversion":
                parts = self._chunks(plan, folder)
                arguments |= {"alignments": str(folder / ALIGNMENTS), "weights": str(folder / WEIGHTS)}
                arguments["chunk_files"] = {name: str(folder / name) for name in parts}
            made = folder / "made"
            made.mkdir()
            result: dict[str, Any] = {}
            for message in self._messages(sandbox, plan, {**arguments, "folder": str(made)}):
                if "progress" in message:
                    yield common_pb2.Progress(unit="frames", **message["progress"])
                elif "part" in message:
                    parts[message["part"]] = self._put(plan, made, message)
                else:
                    result = message["result"]
            yield self._commit(plan, parts, result)

    def _chunks(self, plan: Plan, folder: Path) -> dict[str, Part]:
        """Chunks that an earlier call finished, fetched; a damaged one is made again."""
        found = {}
        for name, part in manifest.find_parts(self._store, plan.prefix).items():
            if not CHUNKS.matches(name):
                continue
            try:
                path = manifest.fetch_part(self._store, part, folder / name)
            except DataLoss as error:
                _log.warning("chunk_damaged", detail=error.message)
                continue
            found[name] = replace(part, size=path.stat().st_size)
        if found:
            _log.event("resuming", prefix=plan.prefix, chunks=len(found))
        return found

    def _messages(self, sandbox: Sandbox, plan: Plan, arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The child's messages, cut behind the running chunk once this process is stopping."""
        stop_at: float | None = None
        messages = sandbox.run(plan.function, **arguments)
        try:
            for message in messages:
                yield message
                if self._draining.is_set() and "result" not in message:
                    stop_at = stop_at or time.monotonic() + self._settings.converter_drain_work_seconds
                    if CHUNKS.matches(message.get("part", "")) or time.monotonic() > stop_at:
                        raise Interrupted(
                            "This converter is stopping. Finished chunks are kept; ask again and the work goes on.",
                            retry_after_seconds=1.0,
                        )
        finally:
            messages.close()

    def _put(self, plan: Plan, made: Path, message: dict[str, Any]) -> Part:
        path = made / Path(message["path"]).name  # the child names the file, never the folder
        part = manifest.put_part(self._store, plan.prefix, message["part"], path)
        path.unlink()
        return part

    def _commit(self, plan: Plan, parts: dict[str, Part], result: dict[str, Any]) -> Manifest:
        facts = dict(result)
        content_digest = facts.pop("content_digest")
        record = Manifest(
            kind=plan.kind,
            inputs=plan.inputs,
            options=plan.options,
            parts=tuple(parts[name] for name in sorted(parts)),
            info={**plan.info, **facts},
            content_digest=content_digest,
            versions={"facefoundry": __version__, "decoder": facts["decoder"]},
        )
        manifest.commit(self._store, plan.prefix, record)
        swapped = facts.get("swapped_count", 0)
        FRAMES.labels("converter", "swapped").inc(swapped)
        FRAMES.labels("converter", "untouched").inc(facts["frame_count"] - swapped)
        _log.event("committed", prefix=plan.prefix, frames=facts["frame_count"], swapped=swapped)
        return record
