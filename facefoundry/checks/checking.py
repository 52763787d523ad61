"""Runs the leak test of a dataset: measures its fakes in sandboxes, keeps what was measured, and judges it."""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Protocol, TypeVar

from facefoundry import codec
from facefoundry.checks.leaks import MIN_GROUPS, LeakReport, LeakRow, path_of
from facefoundry.checks.measured import Kept, Measured
from facefoundry.checks.videos import Fake, find_fakes, groups_of, is_divided, levels_of
from facefoundry.codec import JsonValue
from facefoundry.dataset import files
from facefoundry.dataset.layout import Layout
from facefoundry.errors import DataLoss, FaceFoundryError, InvalidInput, Unusable
from facefoundry.process.sandbox import Isolation, Limits, Sandbox

__all__ = ["HEAD", "LIMITS", "Item", "Progress", "check_leaks", "require_libraries", "run_all"]

HEAD: Final = 32
"""Number of frames at the start of each video that are decoded, unless the caller says otherwise."""
LIMITS = Limits(seconds=900, memory_bytes=6 << 30, threads=1)
"""Limits of a sandbox that measures videos."""
_JUDGING = Limits(seconds=24 * 3600, memory_bytes=16 << 30, threads=1)
_ALLOWED = ("facefoundry.checks.",)
_VERSION = 2
_CLOSE_AGAIN_SECONDS = 0.5

Progress = Callable[[int, int, str], None]
"""Called with the number of finished items, the number of all, and the id of the last one, from many threads."""


def check_leaks(
    layout: Layout,
    *,
    levels: Sequence[str] = (),
    subjects: Mapping[str, str] | None = None,
    head: int = HEAD,
    processes: int | None = None,
    on_progress: Progress = lambda done, total, last: None,
) -> LeakReport:
    """Find what tells the fakes of a dataset from its real videos without a look at the faces, and write `leaks.json`.

    What is measured stays in the folder `measured` of the run record, so a test that was stopped goes on.

    Args:
        layout: The dataset's folder.
        levels: Names of the levels to test; by default all.
        subjects: Who is shown in each sequence, by its id; by default every sequence shows another person.
        head: Number of frames at the start of each video that are decoded.
        processes: Number of processes that measure; by default one for each core.
        on_progress: Called after each fake.

    Raises:
        InvalidInput: there are no fakes, or libraries are missing.
    """
    require_libraries("sklearn")
    found = find_fakes(layout, levels or levels_of(layout))
    folder = layout.run_folder() / "measured"
    places = {(fake.level, fake.id): folder / fake.level / f"{fake.id}.json" for fake in found.fakes}
    failed = [f"{path} is missing, so its fakes were not measured." for path in dict.fromkeys(found.missing)]
    todo = [fake for fake in found.fakes if not _is_kept(places[fake.level, fake.id], _key(fake, head))]
    done = len(found.fakes) - len(todo)

    def measure(sandbox: Sandbox, fake: Fake) -> None:
        labels = str(fake.labels) if fake.labels else None
        arguments = {"fake": str(fake.video), "real": str(fake.real), "labels": labels, "head": head}
        values = list(sandbox.run("facefoundry.checks.measure:measure", **arguments))[-1]
        measured = codec.from_values(Measured, values if isinstance(values, dict) else {})
        files.write(places[fake.level, fake.id], codec.to_json(Kept(_key(fake, head), measured)))

    for fake, error in run_all(todo, measure, processes):
        done += 1
        on_progress(done, len(found.fakes), fake.id)
        if error:
            failed.append(f"{fake.level} {fake.id}: {error.message}")
    kept = [fake for fake in found.fakes if places[fake.level, fake.id].is_file()]
    kept = [fake for fake in kept if _is_kept(places[fake.level, fake.id], _key(fake, head))]
    if not kept:
        raise InvalidInput(f"No fake could be measured. {failed[0]}", reason="NO_FAKES")
    groups = groups_of(kept, subjects or {}, MIN_GROUPS)
    divided = is_divided(kept, groups)
    paths: dict[str, dict[str, JsonValue]] = {}
    for fake in kept:
        paths.setdefault(fake.level, {})[fake.id] = str(places[fake.level, fake.id])
    with Sandbox(_JUDGING, allow=_ALLOWED) as sandbox:
        values = sandbox.run("facefoundry.checks.judge:judge", files={**paths}, groups={**groups}, divided=divided)
        rows = [codec.from_values(LeakRow, row) for row in values if isinstance(row, dict)]
        seconds = sandbox.cpu_seconds()
    for fake in kept:
        seconds += codec.from_json(Kept, places[fake.level, fake.id].read_bytes()).measured.cpu_seconds
    count = len({fake.id for fake in kept})
    report = LeakReport(
        fakes=count,
        groups=len(set(groups.values())),
        by_pair=not divided,
        frames=head,
        rows=rows,
        failed=failed,
        cpu_seconds=seconds / count,
    )
    files.write(path_of(layout), codec.to_standard_json(report))
    return report


def require_libraries(*further: str) -> None:
    """Refuse to start without the libraries that the sandboxes import.

    Raises:
        InvalidInput: a library is not installed (EXTRA_MISSING).
    """
    missing = [name for name in ("av", "cv2", *further) if importlib.util.find_spec(name) is None]
    if missing:
        message = f"Expected the packages of the extra `check`. {', '.join(missing)} cannot be imported. "
        raise InvalidInput(f"{message}Install them: pip install '.[check]'.", reason="EXTRA_MISSING")


class Item(Protocol):
    """What a sandbox works on: it reads some files."""

    @property
    def files(self) -> Sequence[Path]:
        """The files that it reads."""


T = TypeVar("T", bound=Item)


def run_all(
    items: Sequence[T],
    work: Callable[[Sandbox, T], None],
    processes: int | None,
    *,
    allow: Sequence[str] = _ALLOWED,
) -> Generator[tuple[T, FaceFoundryError | None], None, None]:
    """Do a work on each item, in one sandbox for each process, and yield the items as they end.

    A sandbox reads the folders of the items and writes nothing but temporary files. Closing the iterator early begins
    no further item and kills the sandboxes. An error about one item is yielded with it.

    Args:
        items: The items.
        work: Called with a sandbox and an item, in a thread for each process.
        processes: Number of processes; by default one for each core.
        allow: Prefixes of the modules whose functions the sandbox may run.
    """
    count = max(1, min(len(items), processes or os.cpu_count() or 1))
    own, stopped, sandboxes = threading.local(), threading.Event(), list[Sandbox]()
    paths = {path for item in items for path in item.files}
    readable = tuple(sorted({path.resolve().parent for path in paths}))

    def check(item: T) -> FaceFoundryError | None:
        if stopped.is_set():
            return None
        if not hasattr(own, "sandbox"):
            own.sandbox = _sandbox(Path(folders.enter_context(TemporaryDirectory(prefix="check-"))), readable, allow)
            sandboxes.append(own.sandbox)
        try:
            work(own.sandbox, item)
        except (Unusable, DataLoss) as error:
            return error
        return None

    with ExitStack() as folders, ThreadPoolExecutor(count, thread_name_prefix="check") as pool:
        futures = {pool.submit(check, item): item for item in items}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            stopped.set()
            running = [future for future in futures if not future.cancel()]
            _close(sandboxes)
            while wait(running, timeout=_CLOSE_AGAIN_SECONDS).not_done:
                _close(sandboxes)  # a run that was about to begin has begun after the first time


def _sandbox(folder: Path, readable: tuple[Path, ...], allow: Sequence[str]) -> Sandbox:
    isolation = Isolation(folder, writable=(), temporary=folder, readable=readable)
    return Sandbox(LIMITS, allow=allow, isolation=isolation)


def _close(sandboxes: Sequence[Sandbox]) -> None:
    for sandbox in tuple(sandboxes):
        sandbox.close(at_once=True)


def _key(fake: Fake, head: int) -> list[int]:
    """Return what a measurement depends on: the files' sizes and times, the frames, and the version of the figures."""
    paths = fake.files
    stats = [path.stat() for path in paths]
    return [_VERSION, head, *(number for stat in stats for number in (stat.st_size, stat.st_mtime_ns))]


def _is_kept(path: Path, key: list[int]) -> bool:
    try:
        return codec.from_json(Kept, path.read_bytes()).key == key
    except (OSError, DataLoss):
        return False
