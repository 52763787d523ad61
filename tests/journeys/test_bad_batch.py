"""A run over good and bad clips: only the pairs with bad ones fail, each with its reason."""

from __future__ import annotations

import json
import os
import shutil
from itertools import islice

import cv2
import numpy as np
import pytest

from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.media.read import open_source
from tests import tiny
from tests.clips import encode

pytestmark = pytest.mark.timeout(900)

TINY = tiny.flags(extraction__identity=False, training__iterations=20)
FRAMES = {"astronaut": 12, "hopper": 10}


def _small(clip, count):
    """The first frames of a clip at half its size."""
    with open_source(clip) as source:
        return [
            cv2.resize(frame, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for frame in islice(source, count)
        ]


def _frames_with_a_gap(folder):
    folder.mkdir()
    for number in (1, 2, 4):
        (folder / f"{number}.png").write_bytes(b"not looked into")


# Id of a bad clip, and the stage and reason that its pair fails with.
BAD = {
    "cut": ("extract", "TRUNCATED"),
    "faceless": ("extract", "NO_FACE_FOUND"),
    "gap": ("extract", "FRAME_GAP"),
    "link": ("extract", "INPUT_FILE"),
    "notes": ("extract", "NOT_A_VIDEO"),
    "pipe": ("extract", "NOT_A_FILE"),
    "sparse": ("extract", "TOO_LARGE"),
    "again": ("extract", "SAME_CLIP"),
}


@pytest.fixture(scope="module")
def ended(new_command, clips, tmp_path_factory):
    """The run's exit code, events and folder."""
    folder, out = tmp_path_factory.mktemp("mixed"), tmp_path_factory.mktemp("out")
    for name, count in FRAMES.items():
        encode(folder / f"{name}.mp4", _small(clips / f"{name}.mp4", count))
    whole = (folder / "hopper.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    encode(folder / "faceless.mp4", [np.full((64, 96, 3), 40 * level, np.uint8) for level in range(4)])
    _frames_with_a_gap(folder / "gap")
    (folder / "link.mp4").symlink_to(folder / "gone.mp4")
    (folder / "notes.mp4").write_bytes(b"these are notes\n" * 100)
    os.mkfifo(folder / "pipe.mp4")
    with (folder / "sparse.mp4").open("wb") as file:
        file.truncate(60 << 30)
    shutil.copy(folder / "astronaut.mp4", folder / "again.mp4")
    pairs = [["astronaut", name] for name in BAD]
    pairs.insert(3, ["astronaut", "hopper"])
    (folder / "pairs.json").write_text(json.dumps(pairs))
    command = new_command()
    words = ["generate-models", "-i", folder, "-o", out, "--filelist", folder / "pairs.json", "--convert_images"]
    with command.start(*words, *TINY) as process:
        out_lines, err = process.communicate(timeout=800)
    assert "Traceback" not in err
    return process.returncode, [json.loads(line) for line in out_lines.splitlines()], out, command


def test_exactly_the_pairs_with_bad_clips_fail_with_their_reasons(ended):
    code, _, out, _ = ended
    pairs = list(RunFolder(FfppLayout(out).run_folder()).load_pairs())
    found = {pair.id: (pair.failure.stage, pair.failure.reason) if pair.failure else None for pair in pairs}
    assert found == {"astronaut_hopper": None} | {f"astronaut_{name}": failure for name, failure in BAD.items()}
    assert {pair.state for pair in pairs} == {"done", "failed"}
    assert code == 3


def test_the_summary_says_which_and_why(ended):
    _, events, _, _ = ended
    messages = [event["message"] for event in events if event["event"] == "message"]
    for name, (_, reason) in BAD.items():
        (line,) = [line for line in messages if line.startswith(f"astronaut_{name} failed: ")]
        assert name in line.partition(": ")[2] and line.endswith(f"[{reason}]")
    (last,) = (line for line in messages if line.startswith(f"1 of {len(BAD) + 1} pairs done in "))
    assert " not good enough to judge by: " in last


def test_the_good_pair_is_whole_and_nothing_of_a_bad_one_is_left(ended):
    _, _, out, command = ended
    fakes = out / "manipulated_sequences" / "Deepfakes"
    for fake in ("astronaut_hopper", "hopper_astronaut"):
        for level in ("raw", "c23", "c40", "masks"):
            with open_source(fakes / level / "videos" / f"{fake}.mp4") as source:
                assert source.count() == FRAMES[fake.partition("_")[0]]
    names = {path.stem for path in out.rglob("*.mp4")}
    assert names == {"astronaut", "hopper", "astronaut_hopper", "hopper_astronaut"}
    assert [path.name for path in (fakes / "models").iterdir()] == ["astronaut_hopper"]
    committed = [key.split("/")[0] for key in command.objects() if key.endswith("manifest.json")]
    # Astronaut, hopper and faceless are sources; the copy of astronaut is the same one.
    counts = {kind: committed.count(kind) for kind in ("sources", "extractions", "models")}
    assert counts == {"sources": 3, "extractions": 2, "models": 1}
