"""The signals that ask a process to stop."""

from __future__ import annotations

import os
import signal
import threading

__all__ = ["stop_event"]


def stop_event() -> threading.Event:
    """An event that is set at the first SIGTERM or SIGINT; call it from the main thread.

    Python runs its own handlers in the main thread alone, and only when that thread comes round to it: never, if the
    signal came just before it began to wait. What the interpreter writes into a pipe at the signal itself is read by a
    thread at once, which may also set an event whose lock the main thread holds.
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
