"""From clips to a dataset by one file: plan, check, run; and the same pairs by the options of `generate-models`."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.retention import expire_results
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.local.store import ObjectStore
from facefoundry.storage.store import Store
from tests import tiny
from tests.clips import drifting_face, encode


def digests(out):
    return {
        fake.id: fake.content_digest
        for pair in RunFolder(FfppLayout(out).run_folder()).load_pairs()
        for fake in pair.fakes
    }


@pytest.mark.full
def test_one_file_makes_the_dataset_that_the_options_make(new_command, tmp_path):
    command, clips, path = new_command(), tmp_path / "clips", tmp_path / "dataset.yaml"
    clips.mkdir()
    for number in range(6):
        encode(
            clips / f"c{number}.mp4", [picture // (1 + number) * 2 for picture in drifting_face(12, first=9 * number)]
        )
    run = command.start("plan", clips, "-o", path, "--name", "six", "--recipe", "preview", "--rights", "unstated")
    assert run.wait(60) == 0
    overrides = {name: json.loads(value) for name, _, value in (text.partition("=") for text in tiny.assignments())}
    overrides |= {"training.iterations": 20, "extraction.identity": False}
    path.write_text(path.read_text().replace("set: {}", f"set: {json.dumps(overrides)}"))
    (checked,) = [event for event in command.run("plan", "--check", path) if event["event"] == "check"]
    assert {row["what"]: row["state"] for row in checked["rows"]}["pairs that can be made"] == "ok"
    out, again, plain = (tmp_path / name for name in ("out", "again", "plain"))
    command.run("run", path, "-o", out)
    made = digests(out)
    assert len(made) == 6 and all(made.values())
    assert "3 reused from the store" in command.run("run", path, "-o", again)[-1]["message"]
    options = [f"--set={name}={json.dumps(value)}" for name, value in overrides.items()]
    filelist = ["--filelist", out / "misc" / "filelist.json", "--recipe", "preview", "--convert_images"]
    command.run("generate-models", "-i", clips, "-o", plain, *filelist, *options)
    assert digests(plain) == digests(again) == made


@pytest.mark.full
def test_excluded_frames_are_not_swapped_and_what_has_expired_is_made_again(new_command, tmp_path):
    command, clips, path = new_command(), tmp_path / "clips", tmp_path / "dataset.yaml"
    clips.mkdir()
    for number in range(2):
        encode(clips / f"c{number}.mp4", [picture // (1 + number) * 2 for picture in drifting_face(12)])
    run = command.start("plan", clips, "-o", path, "--recipe", "preview", "--rights", "unstated")
    assert run.wait(60) == 0
    overrides = {name: json.loads(value) for name, _, value in (text.partition("=") for text in tiny.assignments())}
    overrides |= {"training.iterations": 20, "extraction.identity": False}
    text = path.read_text().replace("set: {}", f"set: {json.dumps(overrides)}")
    text = text.replace("frames: {}", "frames: {c0: '0-3,10-max'}")
    for kind in ("extractions", "trainings", "conversions"):
        text = text.replace(f"{kind}: null", f"{kind}: 1")
    path.write_text(text)
    command.run("run", path, "-o", tmp_path / "out")
    layout = FfppLayout(tmp_path / "out")
    labels = {name: json.loads(layout.labels(name).read_text())["frames"] for name in ("c0_c1", "c1_c0")}
    reasons = [label["reason"] for label in labels["c0_c1"]]
    assert reasons == ["EXCLUDED"] * 4 + [None] * 6 + ["EXCLUDED"] * 2
    assert [label["reason"] for label in labels["c1_c0"]] == [None] * 12
    sequence = RunFolder(layout.run_folder()).load_run().sequences["c0"]
    assert (sequence.faces, [(row.reason, row.frames) for row in sequence.missing]) == (6, [("EXCLUDED", 6)])

    with ObjectStore(command.local_dir / "store") as settings:
        counts = expire_results(Store(settings), lambda: datetime.now(timezone.utc) + timedelta(days=2))
    assert counts == {"sources": 0, "extractions": 2, "trainings": 1, "models": 0, "conversions": 2}
    made = {key.partition("/")[0] for key in command.objects() if key.endswith("/manifest.json")}
    assert {"sources", "models"} <= made and "extractions" not in made
    command.run("run", path, "-o", tmp_path / "again")
    assert digests(tmp_path / "again") == digests(tmp_path / "out")
