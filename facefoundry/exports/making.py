"""Makes items of an export in parallel: functions run in sandboxes, one for each process."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from itertools import count
from pathlib import Path

from facefoundry.dataset import files
from facefoundry.errors import DataLoss, FaceFoundryError, Internal, Unusable
from facefoundry.exports.place import ExportPlace
from facefoundry.exports.plan import Copied, Item, Made, Written
from facefoundry.process.sandbox import Isolation, Limits, Sandbox

__all__ = ["LIMITS", "make_all", "name_of", "outputs_of"]

LIMITS = Limits(seconds=900, memory_bytes=6 << 30, threads=1)
"""Limits of a sandbox that makes an item."""
_CLOSE_AGAIN_SECONDS = 0.5


def name_of(item: Item) -> str:
    """Return the unique name of an item: that of `Made`, or the path of a file."""
    return item.name if isinstance(item, Made) else item.path


def outputs_of(item: Item) -> tuple[str, ...]:
    """Return the paths of the files and folders that an item makes."""
    return item.outputs if isinstance(item, Made) else (item.path,)


def make_all(
    items: Sequence[Item], place: ExportPlace, folder: Path, modules: Sequence[str], processes: int | None = None
) -> Generator[tuple[Item, FaceFoundryError | None], None, None]:
    """Make items, and yield each when its files are in their place, or with the error about it.

    Closing the iterator early begins no further item and kills the sandboxes.

    Args:
        items: The items.
        place: Where their files go.
        folder: A working folder on this machine, without links in its path.
        modules: Prefixes of the modules whose functions may run.
        processes: Number of items that are made at once; by default one for each core.
    """
    workers = max(1, min(len(items), processes or os.cpu_count() or 1))
    readable = {path.resolve().parent for item in items if isinstance(item, Made) for path in item.sources.values()}
    pool_of_sandboxes = _Sandboxes(folder, tuple(modules), tuple(sorted(readable)))
    stopped = threading.Event()

    def make(item: Item) -> FaceFoundryError | None:
        if stopped.is_set():
            return None
        try:
            if isinstance(item, Written):
                place.write(item.path, item.data)
            elif isinstance(item, Copied):
                place.copy(item.source, item.path)
            else:
                pool_of_sandboxes.make(item, place)
        except (Unusable, DataLoss) as error:
            return error
        return None

    with ThreadPoolExecutor(workers, thread_name_prefix="export") as pool:
        futures = {pool.submit(make, item): item for item in items}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            stopped.set()
            running = [future for future in futures if not future.cancel()]
            pool_of_sandboxes.close()
            while wait(running, timeout=_CLOSE_AGAIN_SECONDS).not_done:
                pool_of_sandboxes.close()  # a run that was about to begin has begun after the first time


class _Sandboxes:
    """A sandbox for each thread, in a folder of its own."""

    def __init__(self, folder: Path, modules: tuple[str, ...], readable: tuple[Path, ...]) -> None:
        self._folder, self._modules, self._readable = folder, modules, readable
        self._own, self._numbers, self._all = threading.local(), count(), list[Sandbox]()

    def make(self, item: Made, place: ExportPlace) -> None:
        """Run the function of an item in an empty folder, and move what it made to its place."""
        sandbox, isolation = self._mine()
        made = isolation.writable[0]
        for output in item.outputs:
            files.make_folder(made / output if output.endswith("/") else (made / output).parent)
        sources = {name: str(path.resolve()) for name, path in item.sources.items()}
        for _ in sandbox.run(item.function, folder=str(made), **sources, **item.arguments):
            pass
        _check(made, item)
        for output in item.outputs:
            place.take(made / output, output)

    def close(self) -> None:
        """Kill the sandboxes."""
        for sandbox in tuple(self._all):
            sandbox.close(at_once=True)

    def _mine(self) -> tuple[Sandbox, Isolation]:
        if not hasattr(self._own, "sandbox"):
            self._own.folder = self._folder / f"process-{next(self._numbers)}"
            self._own.sandbox = Sandbox(LIMITS, allow=self._modules)
            self._all.append(self._own.sandbox)
        sandbox: Sandbox = self._own.sandbox
        own: Path = self._own.folder
        shutil.rmtree(own, ignore_errors=True)
        writable, temporary = own / "made", own / "temporary"
        for path in (writable, temporary):
            files.make_folder(path)
        isolation = Isolation(own, writable=(writable,), temporary=temporary, readable=self._readable)
        sandbox.isolation = isolation
        return sandbox, isolation


def _check(made: Path, item: Made) -> None:
    """Refuse a function that did not make exactly its outputs."""
    missing = [path for path in item.outputs if not (made / path).exists()]
    folders = tuple(path for path in item.outputs if path.endswith("/"))
    found = (path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file())
    others = [path for path in found if path not in item.outputs and not path.startswith(folders)]
    if missing or others:
        raise Internal(
            f"Expected {item.function} to make {', '.join(item.outputs)}. It did not make "
            f"{', '.join(missing) or 'too little'}, and made {', '.join(others[:5]) or 'nothing'} besides.",
            reason="EXPORT_OUTPUTS",
        )
