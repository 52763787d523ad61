"""What a running command shows: progress bars on a terminal, plain lines in a pipe, JSON lines for machines."""

from __future__ import annotations

import json
import threading
import time
from contextlib import AbstractContextManager
from dataclasses import asdict

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from facefoundry.dataset.progress import Event

__all__ = ["JsonView", "View", "make_view"]

_QUIET_SECONDS = 15.0


class View(AbstractContextManager["View"]):
    """Bars for what runs, a line for what ended. Safe to call from many threads."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}", style="bold"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[counts]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._tasks: dict[tuple[str, str], TaskID] = {}
        self._started: dict[tuple[str, str], float] = {}
        self._said: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> View:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        self._console.print(text, markup=False, soft_wrap=True)

    def event(self, event: Event) -> None:
        """Show what happened."""
        key = (event.item, event.stage)
        with self._lock:
            if event.state in ("running", "waiting"):
                self._advance(key, event)
            else:
                self._finish(key, event)

    def _advance(self, key: tuple[str, str], event: Event) -> None:
        now = time.monotonic()
        self._started.setdefault(key, now)
        if key not in self._tasks:
            self._tasks[key] = self._progress.add_task(f"{event.item} {event.stage}", total=None, counts="")
        counts = event.message
        if event.done or event.total:
            counts = f"{event.done}/{event.total or '?'} {event.unit}"
        if event.state == "waiting":
            counts += f" ({event.message})"
        self._progress.update(self._tasks[key], completed=event.done, total=event.total or None, counts=counts)
        if not self._console.is_terminal and now - self._said.setdefault(key, now) > _QUIET_SECONDS:
            self._said[key] = now
            self.say(f"  {event.item} {event.stage}: {counts}")

    def _finish(self, key: tuple[str, str], event: Event) -> None:
        task = self._tasks.pop(key, None)
        if task is not None:
            self._progress.remove_task(task)
        now = time.monotonic()
        seconds = now - self._started.pop(key, now)
        mark = "✗" if event.state == "failed" else "✓"
        if event.stage == "pair":
            self.say(f"{mark} pair {event.item} {event.state}{': ' + event.message if event.message else ''}")
        else:
            self.say(f"{mark} {event.item} {event.stage} {seconds:.1f} s {event.message}".rstrip())


class JsonView(View):
    """One JSON object a line on standard output."""

    def __enter__(self) -> JsonView:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def say(self, text: str) -> None:
        """Print a message object."""
        self._print({"event": "message", "message": text})

    def event(self, event: Event) -> None:
        """Print a progress object."""
        self._print({"event": "progress", **asdict(event)})

    def _print(self, record: dict[str, object]) -> None:
        with self._lock:
            click.echo(json.dumps(record))


def make_view(as_json: bool) -> View:
    """The view that `--json` asks for."""
    return JsonView() if as_json else View()
