"""Forty pairs over a store that refuses or cuts every twentieth request, with five clips that cannot be used."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest

from demo import clip
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.record import PairRecord
from facefoundry.dataset.run_folder import RunFolder
from tests import tiny
from tests.clips import Picture, encode
from tests.faults.processes import TINY, service_of
from tests.faults.proxied_store import ProxiedStore, content, half_visible
from tests.faults.proxy import now_and_then
from tests.processes import Process

ITERATIONS = 10
SIZE, FRAMES, STEP = 216, 8, 3
CLIPS_EACH = 5
PAIRS = 40
SPOILT = {"garbage": "NOT_A_VIDEO", "cut": "TRUNCATED", "empty": "NOT_A_VIDEO"}
FACELESS = {"wall": "NO_FACE_FOUND", "noise": "NO_FACE_FOUND"}


def write(path: Path, pictures: Iterable[Picture]) -> Path:
    small = (cv2.resize(picture, (SIZE, SIZE), interpolation=cv2.INTER_AREA).astype(np.uint8) for picture in pictures)
    return encode(path, small, options={"crf": "12", "preset": "fast", "threads": "1"})


def write_clips(folder: Path) -> list[str]:
    """Write stretches of the demo's two clips and five unusable clips; return the names of the good ones."""
    folder.mkdir()
    good = []
    for name in ("astronaut", "hopper"):
        frames = itertools.islice(clip.frames(name), 0, CLIPS_EACH * FRAMES * STEP, STEP)
        for number in range(CLIPS_EACH):
            stretch = list(itertools.islice(frames, FRAMES))
            if stretch:
                good.append(f"{name}{number}")
                write(folder / f"{name}{number}.mp4", stretch)
    (folder / "garbage.mp4").write_bytes(np.random.default_rng(0).bytes(50_000))
    whole = (folder / f"{good[0]}.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.mp4").write_bytes(b"")
    write(folder / "wall.mp4", [np.full((SIZE, SIZE, 3), 90 + number, np.uint8) for number in range(FRAMES)])
    noise = np.random.default_rng(1).integers(0, 256, (FRAMES, SIZE, SIZE, 3), dtype=np.uint8)
    write(folder / "noise.mp4", list(noise))
    return good


def run(proxied: ProxiedStore, clips: Path, pairs: list[list[str]]) -> dict[str, PairRecord]:
    """Run `generate-models` on the pairs and return the record's pairs by id."""
    more = {"slots": 2, "local_workers": 2, "worker_threads": 1, "restart_seconds": 0.2, "poll_seconds": 0.5}
    services = {name: service_of(proxied, name, **more) for name in ("extractor", "trainer", "converter")}
    command = Process("run", ["facefoundry"], proxied.environment(), proxied.folder)
    filelist, out = proxied.folder / "pairs.json", proxied.folder / "out"
    filelist.write_text(json.dumps(pairs))
    words = ["generate-models", "-i", str(clips), "-o", str(out), "--filelist", str(filelist), "--convert_images"]
    words += ["--json", f"-it={ITERATIONS}", "--name=forty", *tiny.flags(**TINY)]
    try:
        for name, service in services.items():
            service.ready().close()
            words += [f"--{name}", service.address]
        command.start(*words)
        code = command.wait(1500)
    finally:
        command.kill()
        for service in services.values():
            service.kill()
    pairs_by_id = {pair.id: pair for pair in RunFolder(FfppLayout(out).run_folder()).load_pairs()}
    failed = [pair for pair in pairs_by_id.values() if pair.state != "done"]
    assert code == (3 if failed else 0), command.tail()
    return pairs_by_id


@pytest.mark.timeout(3600)
def test_of_forty_pairs_exactly_those_with_unusable_clips_fail(new_proxied_store, tmp_path, whole, summarize):
    if not whole:
        pytest.skip("part of make crash-test")
    clips = tmp_path / "clips"
    good = write_clips(clips)
    reasons = {**SPOILT, **FACELESS}
    assert len(good) == 2 * CLIPS_EACH
    right = [list(pair) for pair in itertools.combinations(good, 2)][: PAIRS - len(reasons)]
    wrong = [[name, good[index]] for index, name in enumerate(reasons)]
    mixed = [pair for group in itertools.zip_longest(right[::7], wrong) for pair in group if pair]
    pairs = mixed + [pair for pair in right if pair not in mixed]
    assert len(pairs) == PAIRS

    undisturbed, disturbed = new_proxied_store(empty=True), new_proxied_store(empty=True)
    expected = run(undisturbed, clips, right)
    disturbed.proxy.rule = now_and_then(0.05, seed=40)
    found = run(disturbed, clips, pairs)
    disturbed.proxy.rule = None

    failed = {name: pair.failure.reason for name, pair in found.items() if pair.failure}
    assert failed == {"_".join(pair): reasons[pair[0]] for pair in wrong}
    assert {pair.failure.stage for pair in found.values() if pair.failure} == {"extract"}

    def digests(pairs_by_id, name):
        return {fake.id: fake.content_digest for fake in pairs_by_id[name].fakes}

    for name in expected:
        assert expected[name].state == "done"
        assert digests(found, name) == digests(expected, name)
        assert len(digests(found, name)) == 2
    assert half_visible(disturbed.store) == []
    made, same = content(disturbed.store), content(undisturbed.store)
    assert same.items() <= made.items()
    summarize(
        f"crash-test: {PAIRS} pairs over {disturbed.proxy.faults} refused or cut requests: {len(failed)} failed with "
        f"their reasons, {len(expected)} ended equal to an undisturbed run"
    )
