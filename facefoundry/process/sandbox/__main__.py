"""`python -m facefoundry.process.sandbox`: the child's side, which runs the functions that its parent asks for."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import sys
from pathlib import Path
from typing import IO, Any

from facefoundry.codec import to_values
from facefoundry.errors import FaceFoundryError, to_record
from facefoundry.process.scratch import disk_full


def _serve(requests: IO[bytes], messages: IO[bytes]) -> None:
    """The child's loop: one request line, then its messages, until the parent closes the pipe."""

    def say(record: dict[str, Any]) -> None:
        messages.write(json.dumps(record).encode() + b"\n")
        messages.flush()

    for line in requests:
        request = json.loads(line)
        module, _, name = request["target"].partition(":")
        function = getattr(importlib.import_module(module), name)
        try:
            for message in function(**request["arguments"]):
                say({"message": message})
        except FaceFoundryError as error:
            say({"error": to_values(to_record(error))})
        except Exception as error:
            full = disk_full(error)
            if full is None:
                raise
            say({"error": to_values(to_record(full))})
        else:
            say({"end": True})


def _main(requests: int, messages: int, file_bytes: int) -> None:
    os.set_inheritable(requests, False)
    os.set_inheritable(messages, False)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if file_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    # When the kernel runs out of memory it shall take this process, not the service.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    _serve(os.fdopen(requests, "rb"), os.fdopen(messages, "wb"))


if __name__ == "__main__":
    _main(*(int(argument) for argument in sys.argv[1:4]))
