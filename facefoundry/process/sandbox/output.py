"""What libraries print in a run of a sandbox."""

from __future__ import annotations

import os
import threading
from collections import deque
from types import TracebackType
from typing import IO

__all__ = ["Output"]

_LINES = 20


class Output:
    """A pipe for what is printed, of which the last lines are kept."""

    def __init__(self) -> None:
        printed, end = os.pipe()
        self._end = os.fdopen(end, "wb", buffering=0)
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._reader = threading.Thread(
            target=self._read, args=(os.fdopen(printed, "rb"),), name="sandbox-output", daemon=True
        )
        self._reader.start()

    def __enter__(self) -> Output:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def descriptor(self) -> int:
        """File descriptor of the end for writing."""
        return self._end.fileno()

    def close(self) -> None:
        """Close the end for writing in this process. Other processes may still write."""
        self._end.close()

    def last_line(self) -> str:
        """Return the last line that is not empty, once all processes that write have ended."""
        self._reader.join(1.0)
        return next((line for line in reversed(self._lines) if line.strip()), "")

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            while line := stream.readline(4096):
                self._lines.append(line.decode(errors="replace").rstrip())
