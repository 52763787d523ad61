"""Shows the progress of a command: bars on a terminal, plain lines in a pipe, or JSON lines."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from facefoundry.cli.plain import plain
from facefoundry.dataset.progress import Event

__all__ = ["JsonView", "View", "make_view"]

_SECONDS_BETWEEN_LINES = 15.0


class View(AbstractContextManager["View"]):
    """Shows a bar for each running stage and a line for each finished stage. Many threads may use it at once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[counts]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._tasks: dict[tuple[str, str], TaskID] = {}
        self._started: dict[tuple[str, str], float] = {}
        self._last_line: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> View:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def message(self, text: str) -> None:
        """Print a line above the bars."""
        self._console.print(plain(text), markup=False, soft_wrap=True)

    def event(self, event: Event) -> None:
        """Show an event of the run."""
        key = (event.item, event.stage)
        with self._lock:
            if event.state == "doubt":
                self.message(f"! {event.item}: {event.message}")
            elif event.state in ("running", "waiting"):
                self._advance(key, event)
            else:
                self._finish(key, event)

    def _advance(self, key: tuple[str, str], event: Event) -> None:
        now = self._clock()
        self._started.setdefault(key, now)
        if key not in self._tasks:
            self._tasks[key] = self._progress.add_task(f"{event.item} {event.stage}", total=None, counts="")
        counts = event.message
        if event.done or event.total:
            counts = f"{event.done}/{event.total or '?'} {event.unit}"
        if event.state == "waiting":
            counts += f" ({event.message})"
        self._progress.update(self._tasks[key], completed=event.done, total=event.total or None, counts=plain(counts))
        if not self._console.is_terminal and now - self._last_line.setdefault(key, now) > _SECONDS_BETWEEN_LINES:
            self._last_line[key] = now
            self.message(f"  {event.item} {event.stage}: {counts}")

    def _finish(self, key: tuple[str, str], event: Event) -> None:
        task = self._tasks.pop(key, None)
        if task is not None:
            self._progress.remove_task(task)
        now = self._clock()
        seconds = now - self._started.pop(key, now)
        mark = "✗" if event.state == "failed" else "✓"
        if event.stage == "pair":
            self.message(f"{mark} pair {event.item} {event.state}{': ' + event.message if event.message else ''}")
        else:
            self.message(f"{mark} {event.item} {event.stage} {seconds:.1f} s {event.message}".rstrip())


class JsonView(View):
    """Prints one JSON object per line to standard output."""

    def __enter__(self) -> JsonView:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def message(self, text: str) -> None:
        """Print a message object."""
        self._print({"event": "message", "message": text})

    def event(self, event: Event) -> None:
        """Print a progress object."""
        self._print({"event": "progress", **asdict(event)})

    def _print(self, record: dict[str, object]) -> None:
        with self._lock:
            click.echo(json.dumps(record))


def make_view(as_json: bool) -> View:
    """Return a `JsonView` if `as_json`, else a `View` for people."""
    return JsonView() if as_json else View()
