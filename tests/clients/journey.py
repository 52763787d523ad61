"""What every client of examples/clients is held to, against services of its own on an empty bucket."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from demo import clip
from facefoundry.client import Client
from facefoundry.local import Stack, local_stack
from facefoundry.media.read import open_source
from tests.clients import shell
from tests.clients.examples import Example
from tests.clips import drifting_face, encode
from tests.processes import logged_events
from tests.waiting import wait_until

CLIPS = ("033", "097")


@dataclass(frozen=True)
class Outcome:
    """How a client did.

    Attributes:
        build_seconds: Time of its build.
        pair_seconds: Time of a pair, with the wait for a slot.
        digests: Content digests of both extractions, the model and both fakes.
    """

    build_seconds: float
    pair_seconds: float
    digests: tuple[str, ...]


@dataclass(frozen=True)
class Program:
    """A client in its folder, where its clips are and its fakes go.

    Attributes:
        example: The client.
        folder: Its folder.
        addresses: Addresses of the services, by name. The program gets no other setting.
    """

    example: Example
    folder: Path
    addresses: Mapping[str, str]

    def build(self) -> float:
        """Build it, and return the seconds that this took."""
        begin = time.monotonic()
        process = shell.start(self.example.build, self.folder, self.addresses)
        printed, _ = process.communicate()
        assert process.returncode == 0, printed
        return time.monotonic() - begin

    def start(self, first: str = f"{CLIPS[0]}.mp4") -> subprocess.Popen[str]:
        """Start it, with another first clip if one is given."""
        return shell.start(self.example.run.replace(f"{CLIPS[0]}.mp4", first), self.folder, self.addresses)


def write_clips(folder: Path, frames: int = 40) -> None:
    """Write the pair of clips that the page names into the folder of a client."""
    for portrait, name in zip(("astronaut", "hopper"), CLIPS, strict=True):
        encode(folder / f"{name}.mp4", islice(clip.frames(portrait), frames))


def run(example: Example, folder: Path, local_dir: Path) -> Outcome:
    """Build a client in its folder, and hold it to everything that the page says."""
    shutil.rmtree(folder / "fakes", ignore_errors=True)
    write_clips(folder)
    encode(folder / "long.mp4", drifting_face(1000))
    shutil.copy(folder / "033.mp4", folder / "a,b.mp4")
    (folder / "text.mp4").write_text("This is not a video.\n")
    with local_stack(local_dir) as stack, Client(stack.channels) as client:
        program = Program(example, folder, stack.addresses)
        build_seconds = program.build()
        with _slot_held(program, client):
            begin = time.monotonic()
            pair = program.start()
            _await_refusal(stack)
        printed, _ = pair.communicate()
        pair_seconds = time.monotonic() - begin
        assert pair.returncode == 0, printed
        check_error(program, "text.mp4", "NOT_A_VIDEO")
        check_error(program, "a,b.mp4", "SEQUENCE_ID", "sequence_id")
    return Outcome(build_seconds, pair_seconds, check_fakes(folder))


@contextmanager
def _slot_held(program: Program, client: Client) -> Iterator[None]:
    """Let the program hold the slot of the extractor with a long clip, and press Ctrl-C in the end."""
    with program.start("long.mp4") as holder:
        wait_until(lambda: client.info("extractor").slots_in_use or holder.poll() is not None)
        assert holder.poll() is None, holder.communicate()[0]
        yield
        os.killpg(holder.pid, signal.SIGINT)
        assert holder.wait(10) != 0
        wait_until(lambda: not client.info("extractor").slots_in_use, 10)


def _await_refusal(stack: Stack) -> None:
    log = stack.folder / "logs" / "extractor.log"
    wait_until(lambda: any(event.get("code") == "RESOURCE_EXHAUSTED" for event in logged_events(log)))


def check_error(program: Program, first: str, *shown: str) -> None:
    """Run the program with a wrong first clip: it must fail, and show these words of the error's details."""
    failed = program.start(first)
    printed, _ = failed.communicate(timeout=60)
    assert failed.returncode != 0
    for word in shown:
        assert word in printed, printed


def check_fakes(folder: Path) -> tuple[str, ...]:
    """Check every file of both fakes, and return the digests of what they were made of and of their content."""
    found: dict[str, str] = {}
    for target, source in (CLIPS, CLIPS[::-1]):
        fake = folder / "fakes" / f"{target}_{source}"
        manifest = json.loads((fake / "manifest.json").read_text())
        assert {path.name for path in fake.iterdir()} == {
            "manifest.json",
            *(part["name"] for part in manifest["parts"]),
        }
        for part in manifest["parts"]:
            assert hashlib.sha256((fake / part["name"]).read_bytes()).hexdigest() == part["sha256"], part["name"]
        with open_source(folder / f"{target}.mp4") as given, open_source(fake / "raw.mp4") as made:
            assert sum(1 for _ in given) == sum(1 for _ in made) == manifest["info"]["swapped_count"]
        found[f"extraction of {target}"] = manifest["inputs"]["target_digest"]
        found["model"] = manifest["inputs"]["model_digest"]
        found[f"fake {target}_{source}"] = manifest["content_digest"]
    return tuple(f"{name} {digest}" for name, digest in found.items())
