"""The leak test accuses no dataset without a leak, and names each leak."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
from click.testing import CliRunner

from facefoundry import codec
from facefoundry.checks import leaks
from facefoundry.checks.checking import check_leaks
from facefoundry.cli.check_leaks import check_leaks as check_leaks_command
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.errors import InvalidInput
from tests.facefoundry.checks.made import LEVELS, encode, pictures_of, rate_of, tag, write_dataset


def assert_clean(report):
    assert [(row.level, row.family, row.sentence) for row in report.rows if row.state != "ok"] == []
    aucs = [auc for row in report.rows for auc in (row.alone, row.beside) if auc]
    features = [auc for row in report.rows for entry in row.features for auc in (entry.alone, entry.beside) if auc]
    assert len(features) > 100
    assert all(auc.is_chance for auc in features)
    assert all(auc.low <= 0.5 for auc in aucs)


def plant(layout, fakes):
    """Change some fakes in three ways: another preset at c23, a pixel at raw, and in one of them a tag at raw."""
    c23 = next(level for level in LEVELS if level.name == "c23")
    for path in sorted(layout.fake_video("c23", "any").parent.glob("*.mp4"))[:fakes]:
        encode(path, pictures_of(path), replace(c23, preset="ultrafast"), rate_of(path))
    raw = sorted(layout.fake_video("raw", "any").parent.glob("*.mp4"))[:fakes]
    for path in raw:
        pictures = pictures_of(path)
        pictures[3][5, 7] ^= 1
        encode(path, pictures, LEVELS[0], rate_of(path))
    tag(raw[0], comment="made by a fake")


def assert_planted_leaks_are_named(report, fakes):
    found = {(row.level, row.family): row for row in report.leaks}
    encoder, outside, container = found["c23", "encoder"], found["raw", "outside"], found["raw", "container"]
    assert encoder.differing == fakes
    assert {"subme", "me"} <= {entry.name for entry in encoder.differences}
    assert "one set of options" in encoder.sentence
    assert outside.differing == fakes
    assert outside.differences[0].name == "changed pixels that no label counts"
    assert outside.differences[0].fake == "1"
    assert container.differing == 1
    assert (container.differences[0].name, container.differences[0].fake) == ("tag comment", "made by a fake")
    assert ("raw", "encoder") not in found
    assert ("raw", "timing") not in found


def test_a_dataset_without_a_leak_is_not_accused(clean_report):
    assert clean_report.fakes == 20
    assert clean_report.groups == 10
    assert clean_report.by_pair
    assert_clean(clean_report)


@pytest.fixture
def few(clean, clean_report, tmp_path):
    """A copy of the first two pairs, with what was measured of them."""
    layout = FfppLayout(tmp_path / "copy")
    shutil.copytree(clean.root, layout.root)
    for level in LEVELS:
        for path in sorted(layout.fake_video(level.name, "any").parent.glob("*.mp4"))[4:]:
            path.unlink()
    return layout


def _run(root, *options):
    return CliRunner().invoke(check_leaks_command, [str(root), "--frames=8", "--processes=1", *options])


def test_each_planted_leak_is_found_by_its_name_and_only_what_has_changed_is_measured_again(few):
    plant(few, 3)
    done = _run(few.root, "--json")
    assert done.exit_code == 4, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    changed = {path.stem for path in sorted(few.fake_video("raw", "any").parent.glob("*.mp4"))[:3]}
    again = [event["message"] for event in events if event["event"] == "progress"]
    assert sorted(again) == sorted([*changed, *changed])
    report = codec.from_values(leaks.LeakReport, events[-1])
    assert leaks.read(few).rows == report.rows
    assert_planted_leaks_are_named(report, 3)


def test_fakes_that_cannot_be_measured_are_named_and_the_exit_code_is_3(few):
    few.fake_video("raw", "002_003").write_bytes(b"no video")
    few.real_video("raw", "003").unlink()
    done = _run(few.root, "--levels=raw")
    assert done.exit_code == 3, done.stderr
    assert "raw 002_003: " in done.stderr
    assert "003.mp4 is missing, so its fakes were not measured." in done.stderr
    assert "0 leaks, 6 rows untested; 2 fakes; groups of pairs: 1. 1,000 pairs like these" in done.stdout


def test_a_folder_without_fakes_is_named(tmp_path):
    with pytest.raises(InvalidInput, match="facefoundry fetch") as caught:
        check_leaks(FfppLayout(tmp_path))
    assert caught.value.reason == "NO_FAKES"


@pytest.mark.full
def test_24_pairs_without_a_leak_are_not_accused_and_planted_leaks_are_named(tmp_path):
    layout = write_dataset(tmp_path / "clean", 24, seed=3)
    assert_clean(check_leaks(layout, head=8))
    plant(layout, 48)
    assert_planted_leaks_are_named(check_leaks(layout, head=8), 48)
