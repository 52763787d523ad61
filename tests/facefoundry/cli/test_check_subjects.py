"""Who is shown in the sequences of a dataset, by a list of clips."""

from __future__ import annotations

from pathlib import Path

import pytest

from facefoundry.cli.check_subjects import match_subjects, read_subjects
from facefoundry.errors import InvalidInput


@pytest.fixture
def write(tmp_path):
    path = tmp_path / "clips.csv"

    def write(text: str) -> Path:
        path.write_text(text)
        return path

    return write


def test_subjects_come_from_a_list_of_clips(write):
    assert read_subjects(write("clip,subject\nfolder/033.mp4,ada\n097.mp4,\n")) == {"033": "ada"}
    with pytest.raises(InvalidInput, match="`subject`"):
        read_subjects(write("clip\n033.mp4\n"))


def test_names_of_clips_become_the_ids_that_plan_gives_them(write):
    listed = "clip,subject,id\nCeleb-real/id0_0000.mp4,id0,\ns3://b/id1_0003.mp4, id1 ,\nx.mp4,id2,own-id\n"
    assert read_subjects(write(listed)) == {"id0-0000": "id0", "id1-0003": "id1", "own-id": "id2"}
    alike = read_subjects(write("clip,subject\na_b.mp4,ada\na.b.mp4,eve\na_b.mp4,ada\n"))
    assert sorted(alike.values()) == ["ada", "eve"]
    assert all(name.startswith("a-b-") for name in alike)


def test_a_clip_with_two_subjects_is_refused(write):
    with pytest.raises(InvalidInput, match="033 two subjects, ada and eve"):
        read_subjects(write("id,subject\n033,ada\n033,eve\n"))


def test_clips_that_are_not_in_the_dataset_are_told():
    listed = {"000": "ada", "001": "eve", "777": "bob"}
    found, sentence = match_subjects(listed, {"000", "001", "002"}, Path("clips.csv"))
    assert found == {"000": "ada", "001": "eve"}
    assert sentence.startswith("1 of 3 clips in clips.csv are not in the dataset: 777.")
    assert match_subjects(found, {"000", "001"}, Path("clips.csv")) == (found, "")
    with pytest.raises(InvalidInput, match=r"such as 000\. Received others, such as 777"):
        match_subjects({"777": "bob"}, {"000"}, Path("clips.csv"))
