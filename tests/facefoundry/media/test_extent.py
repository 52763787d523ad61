"""Files that were cut off are told from shorter clips by what their containers say."""

from __future__ import annotations

import pytest

from facefoundry.media.extent import missing_bytes
from tests.fuzz import clips

SAYS = [name for name in clips.VIDEOS if not name.endswith((".ts", ".mpg"))]


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return clips.videos(str(tmp_path_factory.mktemp("videos")))


@pytest.mark.parametrize("name", clips.VIDEOS)
def test_a_whole_file_lacks_nothing(videos, tmp_path, name):
    (tmp_path / name).write_bytes(videos[name])
    assert missing_bytes(tmp_path / name) == 0


@pytest.mark.parametrize("name", SAYS)
@pytest.mark.parametrize("lost", [1, 100, 1000])
def test_a_cut_file_lacks_something(videos, tmp_path, name, lost):
    data = videos[name][:-lost]
    (tmp_path / name).write_bytes(data)
    # Of a fragmented mp4 the last boxes are an index only, and of others a whole box may be gone unseen.
    at_least = 1 if lost > _index_bytes(videos[name]) else 0
    assert at_least <= missing_bytes(tmp_path / name) <= lost


def _index_bytes(data):
    return len(data) - data.index(b"mfra") + 4 if b"mfra" in data else 0


def test_what_is_appended_to_a_file_is_no_lack(videos, tmp_path):
    for tail in (b"\x00" * 64, b"\xff\xff\xff\xffjunk and more junk"):
        (tmp_path / "clip.mp4").write_bytes(videos["plain.mp4"] + tail)
        assert missing_bytes(tmp_path / "clip.mp4") == 0


@pytest.mark.parametrize("data", [b"", b"x", b"\x1a\x45\xdf\xa3", b"RIFF", b"\x00\x00\x00\x00ftyp", b"ftyp" * 9])
def test_fragments_say_nothing(tmp_path, data):
    (tmp_path / "clip").write_bytes(data)
    assert missing_bytes(tmp_path / "clip") == 0
