"""`python -m benchmarks.signing OUT`: what signing the dataset in OUT costs, beside what the rest cost but trainings.

A copy of the dataset is signed with a development certificate of its own. Its cost is the CPU time of that; the cost of
the dataset is what its record says of all results but trainings: extractions, conversions and real videos.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from facefoundry.dataset.costs import costs_of
from facefoundry.dataset.layouts import layout_of
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.provenance import credentials
from facefoundry.provenance.signing import sign_dataset
from facefoundry.provenance.videos import find_videos

__all__ = ["BAR", "main"]

BAR = 0.05
"""Largest share of the dataset's CPU-seconds without training that signing may cost."""


def main(argv: Sequence[str] | None = None) -> int:
    """Print both costs and their ratio; return 1 if it is above the bar, 2 if the dataset's cost is not known."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.signing", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path, metavar="OUT", help="folder of a finished dataset that is not signed")
    arguments = parser.parse_args(argv)
    layout = layout_of(arguments.dataset)
    pairs = [pair for pair in RunFolder(layout.run_folder()).load_pairs() if pair.state == "done"]
    cost = costs_of(pairs)
    if not cost.cpu_seconds or cost.unknown:
        print("The records do not say what all results cost. Make the dataset again, with a store of its own.")
        return 2
    with tempfile.TemporaryDirectory(prefix="signing-") as folder:
        copy = layout_of(Path(shutil.copytree(arguments.dataset, Path(folder) / "copy")))
        signer = credentials.development(Path(folder) / "certificate")
        size = sum(video.path.stat().st_size for video in find_videos(copy))
        before = time.process_time()
        count = sign_dataset(copy, signer)
        seconds = time.process_time() - before
        grown = sum(video.path.stat().st_size for video in find_videos(copy)) - size
    share = seconds / cost.cpu_seconds
    print("| pairs | videos signed | bytes added | signing, CPU s | dataset without training, CPU s | share | bar |")
    print("|---|---|---|---|---|---|---|")
    print(
        f"| {len(pairs)} | {count} | {grown:,} of {size:,} | {seconds:.2f} | {cost.cpu_seconds:.1f} | {share:.1%} | "
        f"{BAR:.0%} |"
    )
    return int(share > BAR)


if __name__ == "__main__":
    raise SystemExit(main())
