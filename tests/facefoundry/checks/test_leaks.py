"""The leak test accuses no dataset without a leak, and names each leak."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from facefoundry import codec
from facefoundry.checks import leaks
from facefoundry.checks.checking import check_leaks
from facefoundry.dataset.ffpp_layout import FfppLayout
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


def test_each_planted_leak_is_found_by_its_name(clean, clean_report, tmp_path):
    layout = FfppLayout(tmp_path / "planted")
    shutil.copytree(clean.root, layout.root)
    plant(layout, 5)
    assert_planted_leaks_are_named(check_leaks(layout, head=8), 5)


@pytest.fixture(scope="module")
def tagged(clean, clean_report, tmp_path_factory):
    """A copy of the dataset, with what was measured, in which one fake has a tag."""
    layout = FfppLayout(tmp_path_factory.mktemp("tagged") / "copy")
    shutil.copytree(clean.root, layout.root)
    tag(layout.fake_video("raw", "000_001"), title="a fake")
    return layout


def _run(*arguments):
    command = [sys.executable, "-m", "facefoundry", "check-leaks", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


def test_only_what_has_changed_is_measured_again_and_the_exit_code_is_4(tagged):
    done = _run(tagged.root, "--frames=8", "--levels=raw", "--json")
    assert done.returncode == 4, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["message"] for event in events if event["event"] == "progress"] == ["000_001"]
    assert [row["family"] for row in events[-1]["rows"] if row["state"] == "leak"] == ["container"]
    assert leaks.read(tagged).rows == codec.from_values(leaks.LeakReport, events[-1]).rows


def test_the_command_says_what_gives_fakes_away_and_how_long_more_pairs_take(tagged):
    done = _run(tagged.root, "--frames=8", "--levels=raw")
    assert "tag title (a fake, not missing)" in done.stdout
    assert "1,000 pairs like these would take about" in done.stdout


def test_a_folder_without_fakes_is_named(tmp_path):
    done = _run(tmp_path)
    assert done.returncode == 2
    assert "[NO_FAKES]" in done.stderr


@pytest.mark.full
def test_24_pairs_without_a_leak_are_not_accused_and_planted_leaks_are_named(tmp_path):
    layout = write_dataset(tmp_path / "clean", 24, seed=3)
    assert_clean(check_leaks(layout, head=8))
    plant(layout, 48)
    assert_planted_leaks_are_named(check_leaks(layout, head=8), 48)
