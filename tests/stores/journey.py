"""A pair of short clips through three services of their own on a given store, and once more into another folder."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from facefoundry.settings import StoreSettings
from tests import tiny
from tests.clips import write_pair
from tests.processes import Service, environment_of

_ITERATIONS = 20
_TINY = tiny.flags(extraction__identity=False)


def run(settings: StoreSettings, folder: Path) -> str:
    """Make a pair twice, and ask for the state; return what went wrong, empty if nothing did.

    Args:
        settings: The store, with keys that may do everything.
        folder: An empty folder.
    """
    clips, scratch = folder / "clips", folder / "scratch"
    for path in (clips, scratch):
        path.mkdir(parents=True)
    write_pair(clips)
    environment = environment_of(settings, scratch_dir=scratch) | {"FACEFOUNDRY_STORE_REGION": settings.region}
    services = {name: Service(name, environment, folder) for name in ("extractor", "trainer", "converter")}
    addresses = [flag for name, service in services.items() for flag in (f"--{name}", service.address)]
    try:
        for service in services.values():
            service.ready().close()
        made = []
        for out in (folder / "first", folder / "second"):
            arguments = ["generate-models", "-i", str(clips), "-o", str(out), *_TINY, "-it", str(_ITERATIONS)]
            if problem := _facefoundry([*arguments, "--convert_images", *addresses], environment, folder):
                return problem
            made.append(_digests(out))
        if made[0] != made[1]:
            return "the second run made other files"
        return _facefoundry(["status", *addresses], environment, folder)
    finally:
        for service in services.values():
            service.kill()


def _facefoundry(arguments: list[str], environment: dict[str, str], folder: Path) -> str:
    command = [sys.executable, "-m", "facefoundry", *arguments]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else (done.stderr.strip() or done.stdout.strip()).splitlines()[-1]


def _digests(out: Path) -> dict[str, str]:
    """Return the digests of the videos and pictures in an output folder."""
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(out.rglob("*.mp4"))
    }
