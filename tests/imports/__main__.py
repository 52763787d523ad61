"""`python -m tests.imports [--gigabytes 2] [--frames 100000]`: an import of that size, stopped in every way.

A clip is put in parts by a process that is killed, and put again where it stopped. Then it is imported while the caller
leaves, while the extractor is killed, and to the end. Last, a folder of that many frames is refused. Every stage prints
a line with its figures; the first thing that is wrong ends the program. The disk needs four times the size of the clip.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from facefoundry.local.store import ObjectStore
from facefoundry.storage.store import Store
from tests.imports import stages
from tests.processes import Service, environment_of


def main() -> None:
    """Run all stages in a folder of their own."""
    parser = argparse.ArgumentParser(prog="python -m tests.imports", description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2.0, help="size of the clip")
    parser.add_argument("--frames", type=int, default=100_000, help="number of frames in the folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="imports-") as folder, ObjectStore(Path(folder) / "store") as settings:
        work, store = Path(folder), Store(settings)
        scratch = work / "scratch"
        service = Service("extractor", environment_of(settings, scratch_dir=scratch), work)
        try:
            clip = stages.write_clip(work, int(arguments.gigabytes * (1 << 30)))
            uri = stages.upload_twice(service, clip)
            stages.leave(service, store, scratch, uri)
            stages.kill(service, store, scratch, uri)
            stages.finish(service, store, scratch, uri, clip)
            stages.refuse_frames(service, store, arguments.frames)
        finally:
            service.kill()


if __name__ == "__main__":
    main()
