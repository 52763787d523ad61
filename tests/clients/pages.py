"""The shell commands of docs/clients.md, docs/api.md and the gateway's page, run in their order."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from facefoundry.local import local_stack
from facefoundry.local.process import LOOPBACK, free_ports
from tests.clients import shell
from tests.clients.journey import write_clips
from tests.house import files

_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
_ADDRESS = f"{LOOPBACK}:8080"


@dataclass(frozen=True)
class Page:
    """A page whose commands run in a folder; both are relative to the root of the repository."""

    path: str
    folder: str

    @property
    def script(self) -> str:
        """Its commands, in their order."""
        return "".join(_BLOCK.findall((files.ROOT / self.path).read_text()))


NEEDS = ("go", "buf", "curl", "jq")
PAGES = {
    "page": Page("docs/clients.md", "."),
    "api": Page("docs/api.md", "."),
    "gateway": Page("examples/gateway/README.md", "examples/gateway"),
}


def run(page: Page, copy: Path, local_dir: Path) -> float:
    """Run the commands of a page against services of their own, and return the seconds that they took.

    Args:
        page: The page.
        copy: Copy of the repository.
        local_dir: Empty folder for the services.
    """
    write_clips(copy / page.folder)
    script = page.script.replace(_ADDRESS, f"{LOOPBACK}:{free_ports(1)[0]}")
    log = copy / "page.log"
    with local_stack(local_dir) as stack, log.open("w") as output:
        variables = {"FACEFOUNDRY_LOCAL_DIR": str(local_dir)}
        begin = time.monotonic()
        process = shell.start(script, copy / page.folder, stack.addresses, output, **variables)
        try:
            assert process.wait(900) == 0, f"{page.path}\n{log.read_text()}"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)  # what the page starts in the background
    return time.monotonic() - begin
