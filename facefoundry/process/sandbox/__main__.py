"""`python -m facefoundry.process.sandbox`: the child process of a sandbox, which runs functions for its parent."""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import sys
from pathlib import Path
from typing import IO

from facefoundry import codec
from facefoundry.errors import FaceFoundryError, to_record
from facefoundry.process.sandbox.protocol import Reply, Request, Start
from facefoundry.process.scratch import disk_full, file_too_large


def _serve(requests: IO[bytes], replies: IO[bytes]) -> None:
    """Run requested functions, one after the other, until the parent closes the pipe.

    Args:
        requests: Pipe with one `Request` as JSON in each line.
        replies: Pipe for one `Reply` as JSON in each line.
    """

    def send(reply: Reply) -> None:
        replies.write(codec.to_json(reply) + b"\n")
        replies.flush()

    for line in requests:
        request = codec.from_json(Request, line)
        module, _, name = request.function.partition(":")
        function = getattr(importlib.import_module(module), name)
        try:
            for message in function(**request.arguments):
                send(Reply(message))
        except FaceFoundryError as error:
            send(Reply(error=to_record(error)))
        except Exception as error:
            full = disk_full(error) or file_too_large(error)
            if full is None:
                raise
            send(Reply(error=to_record(full)))
        else:
            send(Reply(end=True))


def _main(start: Start) -> None:
    os.set_inheritable(start.requests, False)
    os.set_inheritable(start.replies, False)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if start.file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (start.file_bytes, start.file_bytes))
    # When the kernel runs out of memory it should kill this process, not the service.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    if start.isolation is not None:
        start.isolation.apply()
    _serve(os.fdopen(start.requests, "rb"), os.fdopen(start.replies, "wb"))


if __name__ == "__main__":
    _main(codec.from_json(Start, sys.argv[1].encode()))
