"""Files are those of FF++: boxes, parameter sets, x264's options, time base; and colour tags where a level asks."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc

from facefoundry import codec, recipes
from facefoundry.media.level import Level
from facefoundry.media.read import open_source
from facefoundry.media.write import MaskWriter, VideoWriter
from tests.facefoundry.media import h264, mp4

LEVELS = {
    level.name: codec.from_values(Level, recipes.options(level)) for level in recipes.load("ffpp").compression.levels
}

# What every published c23 and c40 of the usual build has (docs/files.md).
BOXES = """
ftyp free mdat moov moov/mvhd moov/trak moov/trak/tkhd moov/trak/edts moov/trak/edts/elst moov/trak/mdia
moov/trak/mdia/mdhd moov/trak/mdia/hdlr moov/trak/mdia/minf moov/trak/mdia/minf/vmhd moov/trak/mdia/minf/dinf
moov/trak/mdia/minf/dinf/dref moov/trak/mdia/minf/dinf/dref/url moov/trak/mdia/minf/stbl
moov/trak/mdia/minf/stbl/stsd moov/trak/mdia/minf/stbl/stsd/avc1 moov/trak/mdia/minf/stbl/stsd/avc1/avcC
moov/trak/mdia/minf/stbl/stts moov/trak/mdia/minf/stbl/stss moov/trak/mdia/minf/stbl/ctts
moov/trak/mdia/minf/stbl/stsc moov/trak/mdia/minf/stbl/stsz moov/trak/mdia/minf/stbl/stco moov/udta moov/udta/meta
moov/udta/meta/hdlr moov/udta/meta/ilst moov/udta/meta/ilst/©too moov/udta/meta/ilst/©too/data
"""
SPS = {
    "profile_idc": 244,
    "constraint_flags": 0,
    "chroma_format_idc": 3,
    "separate_colour_plane": 0,
    "bit_depth_luma": 8,
    "bit_depth_chroma": 8,
    "qpprime_y_zero_transform_bypass": 0,
    "log2_max_frame_num": 4,
    "pic_order_cnt_type": 0,
    "log2_max_pic_order_cnt_lsb": 6,
    "max_num_ref_frames": 4,
    "frame_mbs_only": 1,
    "aspect_ratio_info_present": 0,
    "overscan_info_present": 0,
    "video_signal_type_present": 0,
    "chroma_loc_info_present": 0,
    "timing_info_present": 1,
    "num_units_in_tick": 1,
    "fixed_frame_rate": 0,
    "max_num_reorder_frames": 2,
    "max_dec_frame_buffering": 4,
}
PPS = {
    "cabac": 1,
    "num_ref_idx_l0": 3,
    "num_ref_idx_l1": 1,
    "weighted_pred": 1,
    "weighted_bipred_idc": 2,
    "chroma_qp_index_offset": 4,
    "deblocking_filter_control_present": 1,
    "transform_8x8_mode": 1,
}
# All options of x264's message but `crf`, and but the numbers of threads, which are others here.
OPTIONS = (
    "cabac=1 ref=3 deblock=1:0:0 analyse=0x3:0x113 me=hex subme=7 psy=1 psy_rd=1.00:0.00 mixed_ref=1 me_range=16 "
    "chroma_me=1 trellis=1 8x8dct=1 cqm=0 deadzone=21,11 fast_pskip=1 chroma_qp_offset=4 sliced_threads=0 nr=0 "
    "decimate=1 interlaced=0 bluray_compat=0 constrained_intra=0 bframes=3 b_pyramid=2 b_adapt=1 b_bias=0 direct=1 "
    "weightb=1 open_gop=0 weightp=2 keyint=250 keyint_min=25 scenecut=40 intra_refresh=0 rc_lookahead=40 rc=crf "
    "mbtree=1 qcomp=0.60 qpmin=0 qpmax=69 qpstep=4 ip_ratio=1.40 aq=1:1.00"
)
SIZES = {(640, 480): 30, (1280, 720): 31, (1920, 1080): 40}


def drifting(count: int, width: int, height: int) -> list[np.ndarray]:
    texture = np.random.default_rng(2).integers(0, 256, (height // 40 + 1, width // 40 + 1, 3), np.uint8)
    picture = cv2.resize(texture, (width, height), interpolation=cv2.INTER_CUBIC)
    return [np.roll(picture, 3 * number, axis=1) for number in range(count)]


def write(path: Path, level: Level, frames: list[np.ndarray], rate: int = 25) -> Path:
    height, width = frames[0].shape[:2]
    with VideoWriter(path, level, (rate, 1), width, height) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def first_picture(path: Path) -> bytes:
    with av.open(str(path)) as container:
        return bytes(next(container.demux(video=0)))


@pytest.mark.parametrize("rate", [25, 30])
@pytest.mark.parametrize("name", ["c23", "c40"])
def test_a_file_of_ffpp_has_the_boxes_and_times_of_a_published_one(tmp_path: Path, name: str, rate: int) -> None:
    path = write(tmp_path / "made.mp4", LEVELS[name], drifting(12, 64, 48), rate)
    found = mp4.boxes(path)
    assert [box.path.strip() for box in found] == BOXES.split()
    assert mp4.find(path, "ftyp") == b"isom\0\0\2\0isomiso2avc1mp41"
    assert mp4.find(path, "free") == b""
    handlers = [box.content for box in found if box.kind == "hdlr"]
    assert [handler[8:12] for handler in handlers] == [b"vide", b"mdir"]
    assert handlers[0].endswith(b"VideoHandler\0")
    assert mp4.numbers(mp4.find(path, "mdhd")) == [0, 0, 0, 512 * rate, 512 * 12, 0x55C40000]  # no dates, und
    assert mp4.numbers(mp4.find(path, "mvhd"))[:4] == [0, 0, 0, 1000]
    assert mp4.numbers(mp4.find(path, "elst"))[3] == 1024
    assert mp4.numbers(mp4.find(path, "stts")) == [0, 1, 12, 512]
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        assert packets[0].time_base == Fraction(1, 512 * rate)
    assert sorted(int(packet.pts or 0) for packet in packets) == list(range(0, 12 * 512, 512))
    assert [packet.dts for packet in packets] == list(range(-1024, 10 * 512, 512))


@pytest.mark.parametrize("turned", [False, True])
def test_the_stated_length_does_not_depend_on_where_x264_puts_its_first_b_frames(tmp_path: Path, turned: bool) -> None:
    texture = cv2.resize(np.random.default_rng(0).integers(0, 256, (16, 22, 3), np.uint8), (161, 121))
    path = tmp_path / "made.mp4"
    with VideoWriter(path, LEVELS["c23"], (30000, 1001), 161, 121) as writer:
        for number in range(20):
            frame = np.roll(texture, 2 * number, axis=1)
            writer.write(np.flip(frame, 0) if turned and number > 2 else frame)
    with av.open(str(path)) as container:
        second = [packet.pts for packet in container.demux(video=0)][1]
    assert (second == 4 * 1001) != turned, "three B-frames before the second picture in decoding order, or fewer"
    assert mp4.numbers(mp4.find(path, "mdhd"))[3:5] == [30000, 20 * 1001]
    assert mp4.numbers(mp4.find(path, "tkhd"))[5] == mp4.numbers(mp4.find(path, "elst"))[2] == 668


@pytest.mark.parametrize(("size", "level_idc"), SIZES.items(), ids=[f"{width}x{height}" for width, height in SIZES])
def test_parameter_sets_of_ffpp_are_those_of_a_published_file(
    tmp_path: Path, size: tuple[int, int], level_idc: int
) -> None:
    path = write(tmp_path / "made.mp4", LEVELS["c23"], [np.full((*size[::-1], 3), 90, np.uint8)] * 2, 30)
    sets = h264.parameter_sets(path)
    sps, pps = h264.sps(sets.sps), h264.pps(sets.pps)
    assert sps == {**sps, **SPS, "level_idc": level_idc, "time_scale": 60, "width_in_mbs": size[0] // 16}
    assert pps == {**pps, **PPS, "pic_init_qp": 23}
    assert len(sets.rest) == 4, "chroma format and bit depths, which FF++'s libavformat did not write"


@pytest.mark.parametrize("name", ["c23", "c40"])
def test_x264_states_the_options_of_a_published_file(tmp_path: Path, name: str) -> None:
    _, options = h264.x264_message(first_picture(write(tmp_path / "made.mp4", LEVELS[name], drifting(3, 64, 48))))
    expected = dict(word.split("=") for word in f"{OPTIONS} crf={LEVELS[name].crf}.0 threads=1".split())
    assert options == {**expected, "lookahead_threads": "1"}


def test_masks_have_the_boxes_of_the_levels(tmp_path: Path) -> None:
    writer = MaskWriter(tmp_path / "masks.mp4", (25, 1), 64, 48)
    for number in range(4):
        writer.write(np.where(np.arange(48 * 64).reshape(48, 64) % 9 < number, 255, 0).astype(np.uint8))
    found = [box.path.strip() for box in mp4.boxes(writer.close())]
    assert found == [box for box in BOXES.split() if not box.endswith("ctts")], "lossless video has no B-frames"


def test_raw_states_that_its_planes_are_green_blue_and_red(tmp_path: Path) -> None:
    path = write(tmp_path / "raw.mp4", LEVELS["raw"], drifting(2, 64, 48))
    sps = h264.sps(h264.parameter_sets(path).sps)
    assert (sps["matrix"], sps["video_full_range"], sps["colour_primaries"], sps["transfer"]) == (0, 1, 2, 2)
    assert sps["qpprime_y_zero_transform_bypass"] == 1


@pytest.mark.parametrize(("name", "matrix", "full"), [("raw", 0, 1), ("c23", 6, 0), ("c40", 6, 0)])
def test_a_tagged_level_states_its_colours_twice_and_keeps_its_pixels(
    tmp_path: Path, name: str, matrix: int, full: int
) -> None:
    frames = drifting(4, 64, 48)
    plain = write(tmp_path / "plain.mp4", LEVELS[name], frames)
    tagged = write(tmp_path / "tagged.mp4", replace(LEVELS[name], tagged=True), frames)
    assert mp4.find(tagged, "colr") == b"nclx" + bytes((0, 1, 0, 1, 0, matrix, full << 7))
    sps = h264.sps(h264.parameter_sets(tagged).sps)
    assert (sps["colour_primaries"], sps["transfer"], sps["matrix"], sps["video_full_range"]) == (1, 1, matrix, full)
    with av.open(str(tagged)) as container:
        frame = next(container.decode(video=0))
    assert (frame.color_primaries, frame.color_trc) == (ColorPrimaries.BT709, ColorTrc.BT709)
    assert (frame.colorspace, frame.color_range) == (matrix, ColorRange.JPEG if full else ColorRange.MPEG)
    with open_source(plain) as without, open_source(tagged) as source:
        np.testing.assert_array_equal(list(source), list(without))
    capture = cv2.VideoCapture(str(tagged))
    with open_source(tagged) as source:
        for ours in source:
            np.testing.assert_array_equal(capture.read()[1], ours)


@pytest.mark.parametrize("tagged", [False, True])
def test_colours_that_are_decoded_as_they_are_tagged_are_those_that_went_in(tmp_path: Path, tagged: bool) -> None:
    colours = np.array([[0, 0, 255], [0, 255, 0], [255, 0, 0], [40, 120, 200], [200, 130, 60]], np.uint8)
    frame = np.repeat(np.repeat(colours[None], 64, axis=0), 32, axis=1)
    level = replace(LEVELS["c23"], crf=0, tagged=tagged)
    with av.open(str(write(tmp_path / "made.mp4", level, [frame]))) as container:
        decoded = next(container.decode(video=0)).to_ndarray(format="yuv444p").astype(float)
    luma, blue, red = (decoded - np.array([16, 128, 128])[:, None, None]) / np.array([219, 224, 224])[:, None, None]
    r, b = luma + 1.402 * red, luma + 1.772 * blue  # BT.601, matrix 6
    g = (luma - 0.299 * r - 0.114 * b) / 0.587
    assert np.abs(255 * np.stack([b, g, r], axis=-1) - frame).max() <= 2.5
