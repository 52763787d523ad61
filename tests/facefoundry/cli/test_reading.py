"""Options of how clips are read, and what the command says of doubtful clips."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from facefoundry.cli.options import OutputOptions
from facefoundry.cli.view import View
from facefoundry.dataset.progress import Event
from facefoundry.dataset.reading import Reading
from facefoundry.errors import InvalidInput


def reading(*fps, tolerate_damage=False):
    return OutputOptions(Path("out"), False, fps, tolerate_damage).reading


def test_a_rate_is_of_folders_or_of_one_clip(tmp_path):
    found = reading("24", "033=30000/1001", tolerate_damage=True)
    assert found == Reading(Fraction(24), {"033": Fraction(30_000, 1001)}, True)
    video = tmp_path / "033.mp4"
    assert found.rate_of("033", video) == found.rate_of("033", tmp_path) == Fraction(30_000, 1001)
    assert (found.rate_of("097", video), found.rate_of("097", tmp_path)) == (None, 24)
    assert reading().rate_of("097", tmp_path / "097.tar") == 25


@pytest.mark.parametrize("fps", ["fast", "033=fast", "0", "033=1001", "033=", "=", "1/0"])
def test_a_wrong_rate_is_refused(fps):
    with pytest.raises(InvalidInput) as caught:
        assert reading(fps)
    assert caught.value.reason == "FPS" and "--fps must be" in caught.value.message


def test_a_rate_of_a_clip_that_is_not_there_is_refused():
    reading("033=30").check(["033", "097"])
    with pytest.raises(InvalidInput, match="names 044") as caught:
        reading("033=30", "044=30").check(["033", "097"])
    assert caught.value.reason == "FPS"


def test_what_is_doubtful_about_a_clip_is_printed(capsys):
    with View() as view:
        view.event(Event("033", "upload", "doubt", message="It states 1000 frames per second."))
    assert "! 033: It states 1000 frames per second." in capsys.readouterr().err
