"""Runs of a dataset file over a store that fails, which are killed at random moments and continued."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from demo import clip
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.record import PairRecord
from facefoundry.dataset.run_folder import RunFolder
from tests import tiny
from tests.clips import Picture, encode
from tests.faults.processes import TINY, service_of
from tests.faults.proxied_store import ProxiedStore
from tests.processes import Process
from tests.waiting import wait_until

ITERATIONS = 10
SERVICES = ("extractor", "trainer", "converter")
FASTER = {"slots": 2, "local_workers": 2, "worker_threads": 1, "restart_seconds": 0.2, "poll_seconds": 0.5}
SPOILT = {"garbage": "NOT_A_VIDEO", "cut": "TRUNCATED", "empty": "NOT_A_VIDEO"}
FACELESS = {"wall": "NO_FACE_FOUND", "noise": "NO_FACE_FOUND"}
_SIZE, _FRAMES, _STEP = 216, 8, 3

Pairs = Sequence[tuple[str, str]]


def write_clips(folder: Path, each: int, wrong: Iterable[str]) -> list[str]:
    """Write stretches of the demo's two clips, and clips that cannot be used; return the names of the good ones.

    Args:
        folder: Where the clips are written.
        each: How many stretches of each clip.
        wrong: Names of `SPOILT` and `FACELESS`.
    """
    folder.mkdir()
    good = []
    for name in ("astronaut", "hopper"):
        frames = itertools.islice(clip.frames(name), 0, each * _FRAMES * _STEP, _STEP)
        for number in range(each):
            good.append(f"{name}{number}")
            _write(folder / f"{name}{number}.mp4", itertools.islice(frames, _FRAMES))
    whole = (folder / f"{good[0]}.mp4").read_bytes()
    noise = np.random.default_rng(1).integers(0, 256, (_FRAMES, _SIZE, _SIZE, 3), dtype=np.uint8)
    walls = [np.full((_SIZE, _SIZE, 3), 90 + number, np.uint8) for number in range(_FRAMES)]
    makers: dict[str, Callable[[Path], object]] = {
        "garbage": lambda path: path.write_bytes(np.random.default_rng(0).bytes(50_000)),
        "cut": lambda path: path.write_bytes(whole[: len(whole) // 2]),
        "empty": lambda path: path.write_bytes(b""),
        "wall": lambda path: _write(path, walls),
        "noise": lambda path: _write(path, list(noise)),
    }
    for name in wrong:
        makers[name](folder / f"{name}.mp4")
    return good


def write_dataset(folder: Path, name: str, pairs: Pairs) -> Path:
    """Write the dataset file of pairs of the clips in `folder/clips`."""
    (folder / f"{name}.json").write_text(json.dumps(pairs))
    chosen = dict(text.partition("=")[::2] for text in tiny.assignments(**TINY, training__iterations=ITERATIONS))
    dataset = {
        "format": "facefoundry.dataset/1",
        "name": name,
        "sources": [{"kind": "folder", "path": "clips"}],
        "rights": {"default": "unstated"},
        "pairs": {"strategy": "filelist", "path": f"{name}.json"},
        "splits": {"kind": "none"},
        "recipe": {"name": "preview", "set": {field: json.loads(value) for field, value in chosen.items()}},
    }
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(dataset))
    return path


class Runs:
    """Runs of dataset files by services in front of a store.

    Attributes:
        events: How many events the last run had.
        kills: Who was killed with a run, and after how many of its events.
    """

    def __init__(self, proxied: ProxiedStore) -> None:
        self._proxied = proxied
        self._services = {name: service_of(proxied, name, **FASTER) for name in SERVICES}
        self.events, self.kills = 0, list[str]()

    def run(self, dataset: Path, kills: int = 0, chance: random.Random | None = None) -> dict[str, PairRecord]:
        """Make a dataset, and return the records of its pairs by id.

        Args:
            dataset: The dataset file.
            kills: How often the run is killed, with a service, before it may end.
            chance: Chooses the moments, and the services.
        """
        chance = chance or random.Random()
        out = self._proxied.folder / dataset.stem
        command = Process(dataset.stem, ["facefoundry"], self._proxied.environment(), self._proxied.folder)
        words = ["run", str(dataset), "-o", str(out), "--json"]
        try:
            for name, service in self._services.items():
                service.ready().close()
                words += [f"--{name}", service.address]
            for _ in range(kills):
                self._kill(command, words, chance)
            before = len(command.events())
            command.start(*words)
            code = command.wait(1800)
            self.events = len(command.events()) - before
        finally:
            command.kill()
        pairs = {pair.id: pair for pair in RunFolder(FfppLayout(out).run_folder()).load_pairs()}
        assert code == (3 if any(pair.state != "done" for pair in pairs.values()) else 0), command.tail()
        return pairs

    def _kill(self, command: Process, words: Sequence[str], chance: random.Random) -> None:
        """Start the run, and kill it and a service after some of its events."""
        victim, before = chance.choice(SERVICES), len(command.events())
        events = chance.randrange(5, self.events // 3)  # a run that finds everything stored has more
        command.start(*words)
        wait_until(lambda: len(command.events()) >= before + events, 600, failure=command.tail)
        command.kill()
        self._services[victim].kill()
        self._services[victim].ready().close()
        self.kills.append(f"{victim} after {events}")

    def close(self) -> None:
        """Kill the services."""
        for service in self._services.values():
            service.kill()


def digests(pairs: Mapping[str, PairRecord]) -> dict[str, dict[str, str]]:
    """Return the content digests of the fakes of all pairs that are done."""
    return {
        name: {fake.id: fake.content_digest for fake in pair.fakes}
        for name, pair in pairs.items()
        if pair.state == "done"
    }


def _write(path: Path, pictures: Iterable[Picture]) -> Path:
    small = (cv2.resize(picture, (_SIZE, _SIZE), interpolation=cv2.INTER_AREA).astype(np.uint8) for picture in pictures)
    return encode(path, small, options={"crf": "12", "preset": "fast", "threads": "1"})
