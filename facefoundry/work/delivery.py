"""Stores the result of a plan: the parts of its prefix, and finally the manifest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from facefoundry import __version__, codec
from facefoundry.errors import DataLoss
from facefoundry.storage import manifest
from facefoundry.storage.manifest import Manifest, Part
from facefoundry.storage.store import Store
from facefoundry.storage.usage import Usage
from facefoundry.telemetry import logger
from facefoundry.work.function import Args, Info, misbehaved
from facefoundry.work.messages import Result
from facefoundry.work.plan import Plan
from facefoundry.work.workspace import Workspace

__all__ = ["Delivery", "made_file"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_DIGEST = re.compile("[0-9a-f]{64}|")
_log = logger(__name__)


@contextmanager
def made_file(workspace: Workspace, name: str) -> Iterator[Path]:
    """Hold a part that a sandbox made, and return a path that is that file's until the block ends.

    The sandbox is not trusted: whatever it puts in the place of the file meanwhile, the path leads to the same file.

    Raises:
        Unusable: the sandbox made no file of that name, or a link (MEDIA_CRASHED).
    """
    if not _NAME.fullmatch(name):
        raise misbehaved(f"made no file for the part {name!r}")
    try:
        file = workspace.open(workspace.made_part(name))
    except OSError as error:
        raise misbehaved(f"made no file for the part {name!r}") from error
    with file:
        yield Path(f"/proc/self/fd/{file.fileno()}")


class Delivery:
    """Stores the parts of a plan and then its manifest. It also fetches the parts that an earlier call finished.

    Args:
        store: The object store.
        plan: The plan whose result is stored.
        workspace: Local folders of the call, which contain the files of the parts.
    """

    def __init__(self, store: Store, plan: Plan[Args, Info], workspace: Workspace) -> None:
        self._store, self._plan, self._workspace = store, plan, workspace
        self._finished: dict[str, Part] = {}
        self._parts: dict[str, Part] = {}

    def fetch_finished(self) -> tuple[str, ...]:
        """Fetch the resumable parts that an earlier call stored, and return their names. Damaged parts are left out."""
        for name, part in manifest.find_parts(self._store, self._plan.prefix).items():
            if not self._plan.can_resume(name):
                continue
            try:
                manifest.fetch_part(self._store, part, self._workspace.finished_part(name))
            except DataLoss as error:
                _log.warning("part_damaged", detail=error.message)
                continue
            self._finished[name] = part
        return tuple(sorted(self._finished))

    def keep(self, names: Sequence[str]) -> None:
        """Include finished parts of an earlier call in the result.

        Args:
            names: Names of the parts that the sandbox reuses.

        Raises:
            Unusable: the sandbox names a part that was not fetched (MEDIA_CRASHED).
        """
        unknown = set(names) - set(self._finished)
        if unknown:
            raise misbehaved(f"reuses parts that were not fetched: {sorted(unknown)}")
        self._parts |= {name: self._finished[name] for name in names}
        if names:
            _log.event("resuming", prefix=self._plan.prefix, parts=len(names))

    def put(self, names: Sequence[str]) -> None:
        """Store parts that the sandbox made, and remove their files.

        Raises:
            Unusable: a part is not a file in the workspace (MEDIA_CRASHED).
        """
        for name in names:
            with made_file(self._workspace, name) as path:
                self._parts[name] = manifest.put_part(self._store, self._plan.prefix, name, path)
            self._workspace.made_part(name).unlink()

    def commit(self, result: Result[Info], usage: Usage | None = None) -> Manifest:
        """Write the manifest, which makes the result visible to readers, and return it.

        Args:
            result: The last message of the sandbox. It adds to the facts of the plan, and replaces none.
            usage: What the call used; None if unknown.

        Raises:
            Unusable: the content digest is no SHA-256 (MEDIA_CRASHED).
        """
        plan = self._plan
        if not _DIGEST.fullmatch(result.content_digest):
            raise misbehaved("sent a content digest that is no SHA-256")
        made = Manifest(
            kind=plan.kind,
            inputs=plan.inputs,
            options=plan.options,
            parts=tuple(self._parts[name] for name in sorted(self._parts)),
            info={**codec.to_values(result.info), **plan.info},
            content_digest=result.content_digest,
            versions={**result.versions, "facefoundry": __version__},
            usage=usage,
        )
        return manifest.commit(self._store, plan.prefix, made)
