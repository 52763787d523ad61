from pathlib import Path

import pytest

from facefoundry.dataset.plan import Clip
from facefoundry.dataset.subjects import with_subjects
from facefoundry.errors import InvalidInput

CLIPS = {name: Clip(name, Path(f"{name}.mp4")) for name in ("033", "097")}


@pytest.mark.parametrize("rule", ["largest", "moving", "centre"])
def test_a_rule_is_for_the_clip_that_is_named_alone(rule):
    clips = with_subjects(CLIPS, [f"033={rule}"])
    assert clips["033"].subject is not None and clips["033"].subject.rule == rule
    assert clips["097"] == CLIPS["097"] and clips["097"].subject is None


@pytest.mark.parametrize(("who", "point"), [("12,34.5", (0, 12, 34.5)), ("1280,0@250", (250, 1280, 0))])
def test_a_point_may_name_its_frame(who, point):
    subject = with_subjects(CLIPS, [f"097={who}"])["097"].subject
    assert subject is not None and (subject.point.frame, subject.point.x, subject.point.y) == point


def test_a_picture_is_sent_as_it_is(tmp_path):
    (tmp_path / "who=.jpg").write_bytes(b"picture")
    subject = with_subjects(CLIPS, [f"033={tmp_path / 'who=.jpg'}"])["033"].subject
    assert subject is not None and subject.picture == b"picture"


@pytest.mark.parametrize(
    ("assignment", "why"),
    [("033", "no ID=WHO"), ("033=", "no ID=WHO"), ("034=moving", "no clip '034'"), ("033=smallest", "No such file")],
)
def test_what_is_no_subject_is_told(assignment, why):
    with pytest.raises(InvalidInput, match=why) as caught:
        with_subjects(CLIPS, [assignment])
    assert caught.value.reason == "SUBJECT"


@pytest.mark.parametrize("size", [0, (768 << 10) + 1])
def test_a_picture_of_another_size_is_told_with_its_size(tmp_path, size):
    (tmp_path / "who.jpg").write_bytes(bytes(size))
    with pytest.raises(InvalidInput, match=f"has {size} bytes"):
        with_subjects(CLIPS, [f"033={tmp_path / 'who.jpg'}"])
