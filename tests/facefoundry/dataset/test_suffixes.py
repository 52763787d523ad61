"""Suffixes of clips: each is taken in a folder and alone, and what has another one is named."""

from __future__ import annotations

import av
import pytest

from facefoundry.dataset.plan import CLIP_SUFFIXES, find_clips, left_out
from facefoundry.media.read import open_source
from tests.media_clips import moving, write_video

# Encoder and pixel format by suffix, where H.264 is not what such files hold; and the format where none follows.
ENCODERS = {
    ".webm": ("libvpx", "yuv420p"), ".ivf": ("libvpx", "yuv420p"), ".wmv": ("wmv2", "yuv420p"),
    ".asf": ("wmv2", "yuv420p"), ".mpg": ("mpeg2video", "yuv420p"), ".mpeg": ("mpeg2video", "yuv420p"),
    ".vob": ("mpeg2video", "yuv420p"), ".m1v": ("mpeg1video", "yuv420p"), ".m2v": ("mpeg2video", "yuv420p"),
    ".ogv": ("libvpx", "yuv420p"), ".ogg": ("libvpx", "yuv420p"), ".hevc": ("libx265", "yuv420p"),
    ".265": ("libx265", "yuv420p"), ".gif": ("gif", "rgb8"), ".apng": ("apng", "rgb24"),
}  # fmt: skip


@pytest.mark.parametrize("suffix", sorted(CLIP_SUFFIXES - {".tar"}))
def test_a_clip_of_every_suffix_is_found_and_read(tmp_path, suffix):
    codec, pixels = ENCODERS.get(suffix, ("libx264", "yuv420p"))
    for name in (f"clip{suffix}", f"OTHER{suffix.upper()}"):
        write_video(tmp_path / name.lower(), moving(6), codec, pixels)
        (tmp_path / name.lower()).rename(tmp_path / name)
        with open_source(tmp_path / name) as source:
            assert source.count() == 6, av.library_versions
    assert set(find_clips(tmp_path)) == {"clip", "OTHER"}


def test_what_is_no_clip_is_named(tmp_path):
    for name in ("a.mp4", "b.MTS", "c.tar", "notes.txt", "d.doc", ".hidden"):
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    clips = find_clips(tmp_path)
    assert set(clips) == {"a", "b", "c"}
    (message,) = left_out(tmp_path, clips)
    assert "d.doc, empty, notes.txt" in message and ".hidden" not in message
    for name in ("notes.txt", "d.doc"):
        (tmp_path / name).unlink()
    (tmp_path / "empty").rmdir()
    assert left_out(tmp_path, clips) == []
