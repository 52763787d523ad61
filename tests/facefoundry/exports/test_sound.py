"""The sound of a clip beside the pictures of its videos: in step to the frame, and as it is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from facefoundry.dataset.layout import Layout
from facefoundry.dataset.record import SequenceRecord
from facefoundry.exports.dataset import Sound
from facefoundry.exports.dfdc import DfdcExport, DfdcOptions
from facefoundry.exports.makers.sound import take
from facefoundry.exports.place import FolderPlace
from facefoundry.exports.run import export_dataset
from facefoundry.planning.sounds import fetch_sounds
from facefoundry.storage.store import Store
from tests.facefoundry.exports.made import FRAMES, load, write_labels
from tests.sources import put_source

RATE, SAMPLES = 25, 48000
KNOCK = 4
"""The frame at which a sound begins in every clip."""


def write_clip(
    path: Path, *, times: list[Fraction] | None = None, late: Fraction = Fraction(0), codec: str = "aac"
) -> Path:
    """Write a clip with silence, and a loud tone from the moment at which frame `KNOCK` is shown.

    Args:
        path: The file.
        times: When each frame is shown, seconds; by default evenly spaced.
        late: How much later than the first sample the first frame is shown.
        codec: The codec of the sound; empty for none.
    """
    shown = times or [Fraction(number, RATE) for number in range(FRAMES)]
    is_mpeg = path.suffix == ".mpg"
    unit = Fraction(1, RATE if is_mpeg else 1000)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg1video" if is_mpeg else "libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = unit
        heard = out.add_stream(codec, rate=SAMPLES, layout="mono") if codec else None
        assert isinstance(stream, VideoStream) and (heard is None or isinstance(heard, AudioStream))
        for number, time in enumerate(shown):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * number, np.uint8))
            frame.pts, frame.time_base = round((late + time) / unit), unit
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
        if heard:
            tone = np.sin(np.arange(3 * SAMPLES) * 0.2) * 0.8
            tone[: round((late + shown[KNOCK]) * SAMPLES)] = 0
            for start in range(0, len(tone), 1024):
                block = av.AudioFrame.from_ndarray(tone[None, start : start + 1024].astype(np.float32), "fltp", "mono")
                block.sample_rate, block.pts, block.time_base = SAMPLES, start, Fraction(1, SAMPLES)
                out.mux(heard.encode(block))
            out.mux(heard.encode())
    return path


def loud_from(path: Path) -> float:
    """Return when the sound of a file is loud for the first time, seconds."""
    with av.open(str(path)) as opened:
        for block in opened.decode(audio=0):
            loud = np.flatnonzero(np.abs(block.to_ndarray()[0]) > 0.4)
            if loud.size:
                return float(block.time + loud[0] / block.sample_rate)
    raise AssertionError("it is silent")


def pictures(path: Path) -> list[NDArray[np.uint8]]:
    """Return the frames of a video."""
    with av.open(str(path)) as opened:
        return [np.asarray(frame.to_ndarray(), np.uint8) for frame in opened.decode(video=0)]


@pytest.mark.parametrize("late", [Fraction(0), Fraction(1, 5)])
@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "aac"), ("mpg", "mp2"), ("mkv", "libopus")])
def test_a_sound_begins_with_the_frame_with_which_it_began(
    tmp_path: Path, suffix: str, codec: str, late: Fraction
) -> None:
    clip = write_clip(tmp_path / f"clip.{suffix}", late=late, codec=codec)
    assert list(take(str(tmp_path), str(clip), "sound.mp4", FRAMES, f"{RATE}/1")) == [""]
    assert loud_from(tmp_path / "sound.mp4") == pytest.approx(KNOCK / RATE, abs=0.5 / RATE)


def test_why_a_clip_gives_no_sound_is_said(tmp_path: Path) -> None:
    uneven = [Fraction(number, RATE) + (Fraction(1, 4) if number > 5 else 0) for number in range(FRAMES)]
    for name, clip, frames, reason in (
        ("none", {"codec": ""}, FRAMES, "its clip has none"),
        ("short", {}, FRAMES + 1, f"its clip has time stamps for {FRAMES} frames, and its videos have {FRAMES + 1}"),
        ("uneven", {"times": uneven}, FRAMES, "up to 0.25 s apart"),
    ):
        path = write_clip(tmp_path / f"{name}.mp4", **clip)
        (given,) = take(str(tmp_path), str(path), "sound.mp4", frames, f"{RATE}/1")
        assert reason in given and not (tmp_path / "sound.mp4").exists()


def test_real_videos_and_fakes_of_the_dfdc_have_the_sound_of_the_target(
    real_dataset: Layout, tmp_path: Path, store: Store
) -> None:
    root = tmp_path / "dataset"
    shutil.copytree(real_dataset.root, root)
    layout = type(real_dataset)(root)
    kept = [frame for frame in range(FRAMES) if frame != 1]
    write_labels(layout, "raw_mask-7", kept, kept)  # with conversion.discard
    uris = {
        "crawford": put_source(store, write_clip(tmp_path / "a.mp4")),
        "frames-1": put_source(store, write_clip(tmp_path / "b.mp4", codec="")),
    }

    def sounds(records: Mapping[str, SequenceRecord]) -> dict[str, Sound]:
        assert "raw" not in records
        found = {id_: replace(record, source_uri=uris[id_]) for id_, record in records.items() if id_ in uris}
        none = dict.fromkeys(set(records) - set(found), Sound(None, "nobody asks"))
        return fetch_sounds(store, found, tmp_path / "sounds") | none

    dataset = replace(load(layout, tmp_path / "alignments"), fetch_sounds=sounds)
    options = DfdcOptions(sound=True, partial=True)
    done = export_dataset(DfdcExport(), dataset, FolderPlace(tmp_path / "out"), options=options, processes=2)
    assert not done.failed
    remarks = "\n".join(done.record.remarks)
    assert "frames-1: its videos have no sound, as its clip has none." in remarks
    assert "raw: its videos have no sound, as its videos leave out frames." in remarks and "crawford" not in remarks
    videos = {path.stem: path for path in (tmp_path / "out").glob("dfdc_train_part_*/*.mp4")}
    listed = {name for path in (tmp_path / "out").glob("*/metadata.json") for name in json.loads(path.read_bytes())}
    assert {f"{name}.mp4" for name in videos} == listed
    for name, id_ in (("002", "crawford"), ("002_003", "crawford_frames-1")):
        assert loud_from(videos[name]) == pytest.approx(KNOCK / RATE, abs=0.5 / RATE)
        of_dataset = pictures(layout.real_video("c23", id_) if "_" not in id_ else layout.fake_video("c23", id_))
        assert np.array_equal(pictures(videos[name]), of_dataset)
        with av.open(str(videos[name])) as opened:
            stamps = [frame.time for frame in opened.decode(video=0)]
        assert stamps == pytest.approx([number / RATE for number in range(FRAMES)])
    with av.open(str(videos["003_002"])) as opened:
        assert not opened.streams.audio
    again = export_dataset(DfdcExport(), dataset, FolderPlace(tmp_path / "out"), options=options, processes=2)
    assert again.found == again.items, "the same sound gives the same bytes"
