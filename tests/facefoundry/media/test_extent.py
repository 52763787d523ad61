"""Files that were cut off are told from shorter clips by what their containers say."""

from __future__ import annotations

import pytest

from facefoundry.errors import Unusable
from facefoundry.media.extent import broken_at, missing_bytes
from facefoundry.media.read import open_source
from tests.fuzz import clips
from tests.media_clips import moving, write_video

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


MARKED = [("clip.gif", "gif", "rgb8"), ("clip.apng", "apng", "rgb24"), ("clip.wmv", "wmv2", "yuv420p")]


@pytest.mark.parametrize(("name", "codec", "pixels"), MARKED)
def test_a_mark_or_a_size_says_where_a_file_ends(tmp_path, name, codec, pixels):
    path = write_video(tmp_path / name, moving(5), codec, pixels)
    data = path.read_bytes()
    assert (missing_bytes(path), broken_at(path)) == (0, None)
    for lost in (1, 100, len(data) // 2):
        path.write_bytes(data[:-lost])
        assert 1 <= missing_bytes(path) <= max(lost, 12)
        with pytest.raises(Unusable) as caught:
            open_source(path)
        assert caught.value.reason == "TRUNCATED"


def test_a_broadcast_states_no_size(tmp_path):
    path = write_video(tmp_path / "clip.wmv", moving(5), "wmv2", "yuv420p")
    data = bytearray(path.read_bytes())
    data[data.index(bytes.fromhex("a1dcab8c47a9cf11")) + 88] |= 1
    path.write_bytes(data[:-200])
    assert missing_bytes(path) == 0


def test_the_blocks_of_a_gif_are_followed_to_its_end(tmp_path):
    path = write_video(tmp_path / "clip.gif", moving(8), "gif", "rgb8")
    data = path.read_bytes()
    middle = data.index(b"!\xf9\4", len(data) // 2)  # the block before a frame
    path.write_bytes(data[:middle] + b"notes" + data[middle:])
    with pytest.raises(Unusable, match=rf"is damaged at byte {middle}: ") as caught:
        open_source(path)
    assert caught.value.reason == "DAMAGED"
    assert open_source(path, tolerate_damage=True).count() == 4
