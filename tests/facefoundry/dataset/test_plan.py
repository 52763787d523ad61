"""Which sequences there are and how they are paired."""

import json
import os

import pytest

from facefoundry.dataset import plan
from facefoundry.errors import InvalidInput


def _touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def test_videos_and_frame_folders_are_found_and_other_files_are_not(tmp_path):
    _touch(tmp_path, "033.mp4", "README.md", ".hidden.mp4", "097/0000.png", "notes/readme.txt")
    assert {name: clip.path.name for name, clip in plan.find_clips(tmp_path).items()} == {
        "033": "033.mp4",
        "097": "097",
    }


def test_what_is_named_like_a_video_is_a_clip_whatever_it_is_so_that_its_pair_fails_and_no_other_changes(tmp_path):
    (tmp_path / "link.mp4").symlink_to(tmp_path / "gone.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    _touch(tmp_path, "033.mp4", "._033.mp4", "hidden/._0001.png")
    assert sorted(plan.find_clips(tmp_path)) == ["033", "link", "pipe"]


def test_an_empty_folder_is_refused_with_what_was_expected(tmp_path):
    with pytest.raises(InvalidInput, match="holds no clips: expected video files"):
        plan.find_clips(tmp_path)


def test_a_missing_folder_is_refused_by_name(tmp_path):
    with pytest.raises(InvalidInput, match="nowhere"):
        plan.find_clips(tmp_path / "nowhere")


def test_two_files_of_one_name_are_refused(tmp_path):
    _touch(tmp_path, "033.mp4", "033.avi")
    with pytest.raises(InvalidInput, match="would both have the sequence id '033'"):
        plan.find_clips(tmp_path)


def test_pairing_is_the_same_for_the_same_seed_whatever_the_order():
    ids = [f"{number:03d}" for number in range(10)]
    pairs, left_over = plan.pair_up(ids, seed=7)
    assert left_over is None
    assert plan.pair_up(ids[::-1], seed=7) == (pairs, None)
    assert plan.pair_up(ids, seed=8)[0] != pairs
    assert sorted(name for pair in pairs for name in pair) == ids


def test_an_odd_one_is_left_over_and_named():
    pairs, left_over = plan.pair_up(["a", "b", "c"], seed=0)
    assert len(pairs) == 1
    assert left_over in {"a", "b", "c"} - set(pairs[0])


def test_a_filelist_is_read_in_its_order(tmp_path):
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps([["071", "054"], ["033", "097"]]))
    assert [pair.id for pair in plan.read_filelist(path)] == ["071_054", "033_097"]
    assert plan.read_filelist(path)[0].mirrored == "054_071"


@pytest.mark.parametrize(
    ("record", "complaint"),
    [
        ([["a", "a"]], "with itself"),
        ([["a", "b"], ["b", "a"]], "repeats the pair"),
        ([["a_1", "b"]], "split file names on '_'"),
        ([["../x", "b"]], "letters, digits and '-'"),
        ([["a"]], "list of pairs"),
        ({"a": "b"}, "list of pairs"),
        ([], "list of pairs"),
    ],
)
def test_a_wrong_filelist_is_refused_with_its_row(tmp_path, record, complaint):
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps(record))
    with pytest.raises(InvalidInput, match=complaint):
        plan.read_filelist(path)


def test_a_filelist_that_is_not_json_is_refused(tmp_path):
    path = tmp_path / "pairs.json"
    path.write_text("[[")
    with pytest.raises(InvalidInput, match="is not JSON"):
        plan.read_filelist(path)


def test_ids_that_are_not_there_are_all_named(tmp_path):
    clips = plan.find_clips(_touch(tmp_path, "a.mp4"))
    with pytest.raises(InvalidInput, match="b, c") as caught:
        plan.require_clips(plan.check_pairs([("a", "b"), ("a", "c")], "here"), clips, tmp_path)
    assert len(caught.value.violations) == 2
