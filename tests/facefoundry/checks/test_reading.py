"""What is read of single videos."""

from __future__ import annotations

import numpy as np
import pytest

from facefoundry.checks.boxes import container_facts
from facefoundry.checks.frames import chosen_frames, decode
from facefoundry.checks.stream import read_stream
from facefoundry.checks.videos import Fake, find_fakes, groups_of, is_divided
from facefoundry.dataset import files
from facefoundry.dataset.dropped import DroppedFakes
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.record import FakeRecord
from facefoundry.errors import InvalidInput, Unusable
from facefoundry.media.level import Level
from tests.facefoundry.checks.made import encode, pictures_of, tag, texture


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "a.mp4"
    level = Level("c23", "libx264", 23, "yuv444p", "veryfast", keyframe_interval=10)
    encode(path, list(texture(np.random.default_rng(0), 128, 96, 47)), level, (25, 1))
    return path


def test_first_and_last_frames_are_those_of_the_whole_video(video):
    stream, whole = read_stream(video), pictures_of(video)
    wanted = chosen_frames(47, 12, 4)
    found = dict(decode(video, stream, wanted))
    assert list(found) == [*range(12), *range(43, 47)]
    assert all((found[number] == whole[number]).all() for number in wanted)


def test_the_options_of_the_encoder_are_facts(video):
    stream = read_stream(video)
    assert stream.facts["encoder"]["crf"] == "23.0"
    assert stream.facts["encoder"]["keyint"] == "10"
    assert stream.facts["length"] == {"frames": "47", "width": "128", "height": "96", "frame rate": "25"}
    assert len(stream.key_times) == 5
    assert not stream.is_exact


def test_a_tag_is_a_fact_and_changes_no_other_one_of_the_stream(video, tmp_path):
    copy = tmp_path / "a.mp4"
    copy.write_bytes(video.read_bytes())
    tag(copy, comment="hello")
    before, after = read_stream(video).facts, read_stream(copy).facts
    assert after["container"]["tag comment"] == "hello"
    assert after["encoder"] == before["encoder"]


def test_a_tag_of_the_stream_hides_none_of_the_container(video, tmp_path):
    copy = tmp_path / "a.mp4"
    copy.write_bytes(video.read_bytes())
    tag(copy, of_stream="a coder")
    facts = read_stream(copy).facts["container"]
    assert facts["stream tag encoder"] == "a coder" and facts["tag encoder"].startswith("Lavf")


def _box(kind, content):
    return (8 + len(content)).to_bytes(4, "big") + kind + content


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (b"a" * 121, b"a" * 120 + b"b"),
        (b"name\x00", b"name\x01"),
        (b"a" * (1 << 17), b"a" * (1 << 17) + b"b"),
        (bytes(40), bytes(39) + b"\x01"),
    ],
)
def test_boxes_of_other_bytes_are_not_equal(tmp_path, first, second):
    """The text that people see is cut, and shows no byte that cannot be printed."""
    facts = []
    for content in (first, second, first):
        path = tmp_path / "a.mp4"
        path.write_bytes(_box(b"ftyp", b"isom") + _box(b"uuid", content) + _box(b"free", content))
        facts.append(container_facts(path))
    assert facts[0] == facts[2]
    assert facts[0]["box uuid"] != facts[1]["box uuid"] and len(facts[0]["box uuid"]) <= 133
    assert facts[0].keys() == {"boxes", "box ftyp", "box uuid"}


def test_what_is_no_video_is_named(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"no video")
    with pytest.raises(Unusable, match="cannot be read as a video") as caught:
        read_stream(path)
    assert caught.value.reason == "NOT_A_VIDEO"


def _fakes(*ids):
    return [Fake(name, "c23", path, path, None) for name in ids for path in [__file__]]  # type: ignore[arg-type]  # no path is read


def test_both_directions_of_a_pair_and_all_clips_of_a_subject_are_one_group():
    fakes = _fakes("a_b", "b_a", "c_d", "d_c", "e_f", "f_e")
    assert groups_of(fakes, {}, 3) == {"a": 0, "b": 0, "c": 1, "d": 1, "e": 2, "f": 2}
    assert groups_of(fakes, {"b": "ada", "c": "ada"}, 2) == {"a": 0, "b": 0, "c": 0, "d": 0, "e": 1, "f": 1}


def test_the_directions_of_few_pairs_are_not_taken_for_independent():
    fakes = _fakes("a_b", "b_a", "c_d", "d_c", "e_f", "f_e")
    for subjects in ({}, {"b": "ada", "c": "ada"}):
        groups = groups_of(fakes, subjects, 10)
        assert not is_divided(fakes, groups)
        assert len(set(groups.values())) == 3 - len(subjects) // 2


def test_a_group_is_a_subject_where_pairs_connect_too_many():
    fakes = _fakes("a_b", "b_c", "c_d", "d_a")
    assert len(set(groups_of(fakes, {}, 3).values())) == 4
    assert len(set(groups_of(fakes, {"a": "ada", "c": "ada"}, 3).values())) == 3
    assert is_divided(fakes, groups_of(fakes, {}, 3))


def test_a_group_with_most_clips_is_divided_and_the_pairs_beside_it_are_not():
    ring = [f"r{place}_r{(place + 1) % 40}" for place in range(40)]
    pairs = [name for place in range(9) for name in (f"a{place}_b{place}", f"b{place}_a{place}")]
    groups = groups_of(_fakes(*ring, *pairs), {}, 10)
    assert len(set(groups.values())) == 40 + 9
    assert all(groups[f"a{place}"] == groups[f"b{place}"] for place in range(9))


def test_a_level_whose_name_leaves_the_dataset_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match=r"Received '\.\./c23'") as caught:
        find_fakes(FfppLayout(tmp_path), ["../c23"])
    assert caught.value.reason == "LEVEL"


def test_files_of_a_fake_that_a_gate_left_out_are_no_fake_of_the_dataset(tmp_path):
    layout = FfppLayout(tmp_path)
    real, fakes = layout.real_video("c23", "a"), [layout.fake_video("c23", name) for name in ("a_b", "a_c")]
    for path in (real, *fakes):
        files.write(path, b"")
    DroppedFakes(layout).add(FakeRecord("a_c", "a", "c"))
    assert [fake.id for fake in find_fakes(layout, ["c23"]).fakes] == ["a_b"]
