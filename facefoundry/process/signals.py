"""Receives the signals that ask a process to stop: SIGTERM and SIGINT (Ctrl-C)."""

from __future__ import annotations

import os
import signal
import threading

__all__ = ["stop_event"]


def stop_event() -> threading.Event:
    """Return an event that is set at the first SIGTERM or SIGINT. Call it from the main thread.

    Python runs signal handlers in the main thread only, and only between two bytecodes: if the signal arrives just
    before the main thread waits for a lock, the handler never runs. For each signal the interpreter also writes a byte
    into the wakeup pipe. A thread reads the byte at once and sets the event, even if the main thread holds the event's
    lock.
    """
    stop = threading.Event()
    received, wakeup = os.pipe()
    os.set_blocking(wakeup, False)

    def pass_on() -> None:
        os.read(received, 1)
        stop.set()

    threading.Thread(target=pass_on, name="signals", daemon=True).start()
    signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    return stop
