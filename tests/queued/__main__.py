"""`python -m tests.queued [--pairs N] [--seconds S]`: prints what a run costs while its trainings wait for workers."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from facefoundry.local.store import ObjectStore
from facefoundry.storage.store import Store
from tests.queued.measuring import MAX_BYTES, MAX_CALLS_PER_SECOND, MAX_THREADS, measure


def main() -> int:
    """Measure, print the figures, and return 1 if one is over its limit."""
    parser = argparse.ArgumentParser(prog="python -m tests.queued", description=__doc__)
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    with TemporaryDirectory() as folder, ObjectStore(Path(folder) / "store") as settings:
        Store(settings).make_bucket()
        found = measure(settings, given.pairs, given.seconds, Path(folder))
    begun = f"all were started within {found.start_seconds:.0f} s"
    print(f"{found.trainings} trainings wait; {begun}; then, for {found.seconds:.0f} s:")
    rows = (
        ("threads of the run", f"{found.threads} of at most {MAX_THREADS}"),
        ("its largest memory", f"{found.bytes >> 20} MiB of at most {MAX_BYTES >> 20} MiB"),
        ("its calls", f"{found.calls_per_second:.2f} a second of at most {MAX_CALLS_PER_SECOND:g}"),
        ("requests of the trainer", f"{found.requests_per_second:.2f} a second"),
        ("calls in all", ", ".join(f"{count} {name}" for name, count in found.calls.items())),
    )
    for what, value in rows:
        print(f"{what:24} {value}")
    is_good = (
        found.trainings == given.pairs
        and found.threads <= MAX_THREADS
        and found.bytes <= MAX_BYTES
        and found.calls_per_second <= MAX_CALLS_PER_SECOND
    )
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
