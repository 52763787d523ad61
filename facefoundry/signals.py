"""The signals that ask a process to stop."""

from __future__ import annotations

import queue
import signal
import threading

__all__ = ["stop_event"]


def stop_event() -> threading.Event:
    """An event that is set at the first SIGTERM or SIGINT; call it from the main thread.

    A handler may interrupt anything, itself and the event's own lock included, so it only puts the signal into a queue
    that allows for that, and a thread sets the event.
    """
    stop = threading.Event()
    received: queue.SimpleQueue[int] = queue.SimpleQueue()

    def pass_on() -> None:
        received.get()
        stop.set()

    threading.Thread(target=pass_on, name="signals", daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: received.put(number))
    return stop
