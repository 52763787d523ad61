"""Exports a dataset, and runs the loaders of clones on the exports.

    python -m tests.consumers DATASET WORK --clones FOLDER --python PYTHON [--local-dir FOLDER]

CLONES has the folders DeepfakeBench, SelfBlendedImages, CADDM, LipForensics, RealForensics and dfdc_deepfake_challenge;
those that are missing are left out. PYTHON has their libraries: torch, torchvision, albumentations 1.3.1, lmdb, pandas,
scikit-image, scikit-learn, pytorchvideo, dlib and OpenCV.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from facefoundry.errors import FaceFoundryError
from facefoundry.exports.dataset import Dataset, load_dataset
from facefoundry.exports.record import RECORD, parse_record

_FRAMES = 8
_LIMIT_SECONDS = 900
_HERE = Path(__file__).parent

Counts = dict[str, int]


@dataclass(frozen=True)
class Consumer:
    """A detector's loader.

    Attributes:
        clone: Name of the folder of its clone.
        format: Format of its export.
        options: Options of the export.
        expected: Returns how many samples of each label it should find in a split, given the dataset and the names of
            what the export left out.
        variant: What is added to the name of the export's folder, if a format is exported twice.
    """

    clone: str
    format: str
    options: tuple[str, ...]
    expected: Callable[[Dataset, frozenset[str]], Counts]
    variant: str = ""


def _pictures(dataset: Dataset, left_out: frozenset[str]) -> Counts:
    """Return how many pictures of real videos and of fakes the split train has, with 8 of each video."""
    fakes = [id_ for id_ in dataset.fakes if dataset.split_of(id_) == "train" and id_ not in left_out]
    real = [id_ for id_ in dataset.sequences if dataset.split_of(id_) == "train" and id_ not in left_out]
    return {"0": _FRAMES * len(real), "1": _FRAMES * len(fakes)}


def _real_pictures(dataset: Dataset, left_out: frozenset[str]) -> Counts:
    return {"0": _pictures(dataset, left_out)["0"]}


def _videos(dataset: Dataset, left_out: frozenset[str]) -> Counts:
    """Return how many real videos and fakes all splits have."""
    fakes = [fake for id_, fake in dataset.fakes.items() if id_ not in left_out]
    return {"0": len({id_ for fake in fakes for id_ in (fake.target, fake.source)}), "1": len(fakes)}


def _videos_of_pairs(dataset: Dataset, left_out: frozenset[str]) -> Counts:
    """Return how many real videos and fakes the pairs have; a real video counts in each of its pairs."""
    count = _videos(dataset, left_out)["1"]
    return {"0": count, "1": count}


CONSUMERS = (
    Consumer("DeepfakeBench", "deepfakebench", ("--frames", str(_FRAMES)), _pictures),
    Consumer("DeepfakeBench", "deepfakebench", ("--frames", str(_FRAMES), "--lmdb"), _pictures, "-lmdb"),
    Consumer("SelfBlendedImages", "sbi", ("--frames", str(_FRAMES)), _real_pictures),
    Consumer("CADDM", "caddm", ("--frames", str(_FRAMES), "--levels", "c23"), _pictures),
    Consumer("LipForensics", "lipforensics", ("--levels", "c23"), _videos_of_pairs),
    Consumer("RealForensics", "realforensics", ("--levels", "c23", "--partial"), _videos),
    Consumer("dfdc_deepfake_challenge", "dfdc", ("--partial", "--boxes", "--crops", "--diffs"), _videos),
)


def main() -> None:
    """Print what each loader found, and end with 1 if a count is not that of the dataset."""
    parser = argparse.ArgumentParser(description="Run the loaders of detectors on exports of a dataset.")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--clones", type=Path, required=True)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--local-dir")
    parser.add_argument("--only", nargs="*", default=())
    arguments = parser.parse_args()
    failed = False
    for consumer in CONSUMERS:
        clone = (arguments.clones / consumer.clone).resolve()
        if not clone.is_dir() or (arguments.only and consumer.format not in arguments.only):
            print(f"{consumer.clone}: no clone, left out" if not clone.is_dir() else f"{consumer.clone}: not chosen")
            continue
        try:
            failed |= not _run(consumer, clone, arguments)
        except FaceFoundryError as error:
            failed = True
            print(f"{consumer.clone}: {error.message}")
    sys.exit(int(failed))


def _run(consumer: Consumer, clone: Path, arguments: argparse.Namespace) -> bool:
    """Export, run the loader, and return whether its counts are those of the dataset."""
    out = (arguments.work / f"{consumer.format}{consumer.variant}").resolve()
    command = [sys.executable, "-m", "facefoundry", "export", consumer.format, str(arguments.dataset), str(out)]
    store = ["--local", "--local-dir", arguments.local_dir] if arguments.local_dir else []
    if subprocess.run([*command, *consumer.options, "--update", *store], check=False).returncode:
        print(f"{consumer.clone}{consumer.variant}: the export failed")
        return False
    record = parse_record((out / RECORD).read_bytes(), str(out / RECORD))
    left_out = frozenset(sentence.partition(":")[0] for sentence in record.left_out)
    expected = consumer.expected(load_dataset(arguments.dataset), left_out)
    program = [arguments.python, str(_HERE / f"{consumer.format}.py"), str(clone), str(out)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=_LIMIT_SECONDS, check=False)
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        print(f"{consumer.clone}: failed\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return False
    found = json.loads(lines[-1])
    matches = found["labels"] == expected
    print(
        f"{consumer.clone}{consumer.variant}: {found}; expected {expected}: {'equal' if matches else 'DIFFERENT'}",
        flush=True,
    )
    return matches


if __name__ == "__main__":
    main()
