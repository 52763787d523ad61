"""Near-identical clips, and what is unequal between splits."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from skimage import data

from facefoundry import codec
from facefoundry.checks import faces
from facefoundry.checks.balance import BalanceReport, Look, balance, parse, tone_of
from facefoundry.checks.duplicates import near_identical
from facefoundry.cli.check_balance import check_balance
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.report.balance import write_balance
from tests.clips import drifting_face


@pytest.fixture(scope="module")
def portrait():
    return np.ascontiguousarray(data.astronaut()[:, :, ::-1])


def _hashes(pictures):
    return [faces.face_hash(picture) for picture in pictures]


def test_a_clip_is_found_again_if_it_was_scaled_darkened_or_mirrored():
    rng = np.random.default_rng(4)
    clip = [picture[20:170, 30:170] for picture in drifting_face(6)]
    smaller = [cv2.convertScaleAbs(cv2.resize(picture, (90, 95)), alpha=0.8, beta=5) for picture in clip]
    turned = [picture[:, ::-1] for picture in clip]
    others = [[rng.integers(0, 255, (100, 90, 3), dtype=np.uint8) for _ in range(6)] for _ in range(2)]
    clips = {"a": clip, "b": smaller, "c": turned, "d": others[0], "e": others[1]}
    hashes = {name: _hashes(pictures) for name, pictures in clips.items()}
    mirrored = {name: _hashes([picture[:, ::-1] for picture in pictures]) for name, pictures in clips.items()}
    assert {(a, b) for a, b, _ in near_identical(hashes, mirrored)} == {("a", "b"), ("a", "c"), ("b", "c")}


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_a_part_of_a_clip_is_found_whatever_its_name_is(names):
    hashes = [f"{number:02x}" * 32 for number in (0x00, 0xFF, 0x0F, 0xF0, 0x33, 0xCC, 0x55, 0xAA)]
    clips = dict(zip(names, (hashes, hashes[:2]), strict=True))
    mirrored = {name: ["69" * 32] for name in names}
    assert near_identical(clips, {name: mirrored[name] * len(clips[name]) for name in clips}) == [("a", "b", 1.0)]


def test_skin_tone_falls_with_the_light(portrait):
    face = portrait[40:220, 150:290]
    bright, dim = (faces.skin_tone(cv2.convertScaleAbs(face, alpha=gain)) for gain in (1.0, 0.45))
    assert bright > dim
    assert [tone_of(angle) for angle in (80, 45, 30, 20, 0, -60)] == [
        "very light",
        "light",
        "intermediate",
        "tan",
        "brown",
        "dark",
    ]


def _look(seconds=10.0, tone=20.0, code="00"):
    return Look(250, seconds, 640, 480, 0.4, tone, [code * 32] * 2, ["0f" * 32] * 2)


def test_what_is_unequal_between_splits_is_said_with_what_to_do():
    looks = {
        "a": _look(code="00"),
        "b": _look(code="33"),
        "c": _look(seconds=30.0, code="00"),
        "d": _look(seconds=30.0, code="55"),
    }
    splits = {"a": "train", "b": "train", "c": "test", "d": "test"}
    fakes, quality = ["a_b", "b_a", "c_d", "d_c"], {"a_b": {"sharpness": 0.9}, "c_d": {"sharpness": 0.4}}
    report = balance(looks, fakes, splits, {"b": "ada", "d": "ada"}, quality)
    assert [(row.name, row.videos, row.subjects) for row in report.rows] == [
        ("train real", 2, 2),
        ("train fake", 2, 2),
        ("test real", 2, 2),
        ("test fake", 2, 2),
    ]
    assert [(entry.a, entry.b, entry.splits) for entry in report.duplicates] == [("a", "c", ("train", "test"))]
    text = "\n".join(report.warnings)
    assert "1 near-identical clips are in two splits: a (train) and c (test)" in text
    assert "1 subjects are in two splits: ada" in text
    assert "The median length is 10 in train and 30 in test" in text
    assert "The median sharpness is 0.9 in train and 0.4 in test" in text


def test_every_two_splits_are_compared():
    lengths = {"train": 10.0, "val": 14.0, "test": 20.0}
    looks = {split: _look(seconds=seconds) for split, seconds in lengths.items()}
    report = balance(looks, [], {split: split for split in lengths}, {}, {})
    unequal = [sentence for sentence in report.warnings if "median length" in sentence]
    assert unequal == [
        "The median length is 10 in train and 20 in test. Choose another seed of the splits. If they are given, report "
        "a detector's results by length."
    ]


def test_poses_are_counted_for_real_videos_and_fakes_and_uneven_ones_are_said(tmp_path):
    looks = {f"{number:02d}": _look(code=f"{number:02x}") for number in range(12)}
    turned = [f"00_{number:02d}" for number in range(1, 12)]
    fakes = [*turned, *(f"{number:02d}_00" for number in range(1, 12))]
    quality = {fake: {"head_turn": 0.3 if fake in turned else 0.1, "sharpness": 0.7} for fake in fakes}
    report = balance(looks, fakes, {}, {}, quality)
    assert [(row.name, row.poses) for row in report.rows] == [
        ("all real", {"turned": 1, "frontal": 11}),
        ("all fake", {"turned": 11, "frontal": 11}),
    ]
    assert report.rows[1].quality == {"sharpness": 0.7}
    text = "\n".join(report.warnings)
    assert "In all, 92% of the real videos and 50% of the fakes are frontal." in text
    assert "Of 12 clips, fewer than 5% each show a head that is turned far." in text
    page = write_balance(FfppLayout(tmp_path), report).read_text()
    assert page.count("<h3>") == 6 + 3 + 4  # tones, poses, and medians
    shares = page.partition("<h3>frontal</h3>")[2]
    assert shares.index("width:91.67%") < shares.index("width:50.0%") < shares.index("<h3>turned</h3>")


def test_classes_that_real_videos_and_fakes_have_as_often_are_not_said():
    looks = {f"{number:02d}": _look(tone=20.0 if number % 2 else 45.0, code=f"{number:02x}") for number in range(12)}
    fakes = [f"{number:02d}_{number ^ 1:02d}" for number in range(12)]
    assert not [sentence for sentence in balance(looks, fakes, {}, {}, {}).warnings if sentence.startswith("In ")]


def test_the_command_finds_a_clip_that_is_in_two_splits_and_says_which_one_is_missing(clean, tmp_path):
    layout = FfppLayout(tmp_path / "copied")
    of_few = shutil.ignore_patterns("01?*")  # half of the clips are enough
    for folder in ("manipulated_sequences", "original_sequences"):
        shutil.copytree(clean.root / folder, layout.root / folder, ignore=of_few)
    for level in ("raw", "c23"):
        shutil.copy(layout.real_video(level, "000"), layout.real_video(level, "004"))
        layout.real_video(level, "009").unlink()
    splits = layout.filelist().parent / "splits"
    splits.mkdir(parents=True)
    (splits / "train.json").write_text(json.dumps([["000", "001"], ["002", "003"]]))
    (splits / "test.json").write_text(json.dumps([["004", "005"], ["003", "006"]]))
    done = CliRunner().invoke(check_balance, [str(layout.root), "--json", "--processes=1"])
    assert done.exit_code == 3, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert [(entry["a"], entry["b"], entry["splits"]) for entry in found["duplicates"]] == [
        ("000", "004", ["train", "test"])
    ]
    assert found["warnings"][0] == "Clips in two splits: 1, such as 003 (train, test). A test on them measures nothing."
    assert [sentence.partition("/videos/")[2] for sentence in found["failed"]] == [
        "009.mp4 is missing, so it was not looked at."
    ]
    assert "009.mp4 is missing" in (layout.run_folder() / "balance.html").read_text()
    assert found == {"event": "balance", **json.loads((layout.run_folder() / "balance.json").read_bytes())}


def test_a_result_of_another_format_is_not_read():
    report = BalanceReport([], [], ["Median length differs."])
    data = codec.to_standard_json(report)
    assert parse(data) == report
    assert parse(data.replace(b"facefoundry.balance/2", b"facefoundry.balance/3")) is None
    assert parse(data[:-2]) is None
