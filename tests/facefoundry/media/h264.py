"""A reader of H.264 parameter sets and of x264's SEI message (ITU-T H.264, 7.3 and annex E), for tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.facefoundry.media import mp4

SPS, PPS, SEI = 7, 8, 6
_USER_DATA = 5
_HIGH_PROFILES = (100, 110, 122, 244)
_EXTENDED_SAR = 255

Fields = dict[str, int]


class ParameterSets(NamedTuple):
    """What an avcC box holds (ISO/IEC 14496-15).

    Attributes:
        sps: Bytes of the only sequence parameter set.
        pps: Bytes of the only picture parameter set.
        rest: Bytes after them: chroma format and bit depths, where the writer knows that High profiles have them.
    """

    sps: bytes
    pps: bytes
    rest: bytes


def parameter_sets(path: Path) -> ParameterSets:
    """Return the parameter sets of an mp4."""
    record = mp4.find(path, "avcC")
    assert record[5] & 31 == 1, "one SPS"
    end = 8 + int.from_bytes(record[6:8], "big")
    assert record[end] == 1, "one PPS"
    last = end + 3 + int.from_bytes(record[end + 1 : end + 3], "big")
    return ParameterSets(record[8:end], record[end + 3 : last], record[last:])


def units(picture: bytes) -> Iterator[bytes]:
    """Yield the NAL units of a sample of an mp4, whose lengths have four bytes."""
    start = 0
    while start < len(picture):
        end = start + 4 + int.from_bytes(picture[start : start + 4], "big")
        yield picture[start + 4 : end]
        start = end


def x264_message(picture: bytes) -> tuple[str, dict[str, str]]:
    """Return the build and the options that x264 wrote into the only SEI message of the first picture."""
    (unit,) = (unit for unit in units(picture) if unit[0] & 31 == SEI)
    assert unit[1] == _USER_DATA
    text = unit[unit.index(b"x264 - core") : unit.rindex(b"\0")].decode("latin-1")
    head, _, options = text.partition(" - options: ")
    return head.split(" - ")[1], dict(word.split("=", 1) for word in options.split() if "=" in word)


class _Bits:
    """The bits of a NAL unit after its first byte."""

    def __init__(self, unit: bytes) -> None:
        payload = unit[1:].replace(b"\0\0\3", b"\0\0")
        self._bits = "".join(f"{byte:08b}" for byte in payload)
        self._at = 0
        self._end = self._bits.rindex("1")

    def u(self, count: int = 1) -> int:
        self._at += count
        return int(self._bits[self._at - count : self._at], 2)

    def ue(self) -> int:
        zeros = self._bits.index("1", self._at) - self._at
        self._at += zeros
        return self.u(zeros + 1) - 1

    def se(self) -> int:
        value = self.ue()
        return (value + 1) // 2 if value % 2 else -(value // 2)

    def more(self) -> bool:
        return self._at < self._end


def sps(unit: bytes) -> Fields:
    """Return the fields of a sequence parameter set, those of its VUI among them where it has one."""
    bits = _Bits(unit)
    found = {"profile_idc": bits.u(8), "constraint_flags": bits.u(8), "level_idc": bits.u(8), "id": bits.ue()}
    if found["profile_idc"] in _HIGH_PROFILES:
        found["chroma_format_idc"] = bits.ue()
        if found["chroma_format_idc"] == 3:
            found["separate_colour_plane"] = bits.u()
        found |= {"bit_depth_luma": 8 + bits.ue(), "bit_depth_chroma": 8 + bits.ue()}
        found["qpprime_y_zero_transform_bypass"] = bits.u()
        assert not bits.u(), "no scaling lists"
    found |= {"log2_max_frame_num": 4 + bits.ue(), "pic_order_cnt_type": bits.ue()}
    if found["pic_order_cnt_type"] == 0:
        found["log2_max_pic_order_cnt_lsb"] = 4 + bits.ue()
    found |= {"max_num_ref_frames": bits.ue(), "gaps_in_frame_num_allowed": bits.u()}
    found |= {"width_in_mbs": 1 + bits.ue(), "height_in_map_units": 1 + bits.ue(), "frame_mbs_only": bits.u()}
    if not found["frame_mbs_only"]:
        found["mb_adaptive_frame_field"] = bits.u()
    found |= {"direct_8x8_inference": bits.u(), "frame_cropping": bits.u()}
    if found["frame_cropping"]:
        found |= {f"crop_{side}": bits.ue() for side in ("left", "right", "top", "bottom")}
    found["vui_parameters_present"] = bits.u()
    return found | (_vui(bits) if found["vui_parameters_present"] else {})


def _vui(bits: _Bits) -> Fields:
    found = {"aspect_ratio_info_present": bits.u()}
    if found["aspect_ratio_info_present"]:
        found["aspect_ratio_idc"] = bits.u(8)
        if found["aspect_ratio_idc"] == _EXTENDED_SAR:
            found |= {"sar_width": bits.u(16), "sar_height": bits.u(16)}
    found["overscan_info_present"] = bits.u()
    if found["overscan_info_present"]:
        found["overscan_appropriate"] = bits.u()
    found["video_signal_type_present"] = bits.u()
    if found["video_signal_type_present"]:
        found |= {"video_format": bits.u(3), "video_full_range": bits.u(), "colour_description_present": bits.u()}
        if found["colour_description_present"]:
            found |= {"colour_primaries": bits.u(8), "transfer": bits.u(8), "matrix": bits.u(8)}
    found["chroma_loc_info_present"] = bits.u()
    if found["chroma_loc_info_present"]:
        found |= {"chroma_loc_top": bits.ue(), "chroma_loc_bottom": bits.ue()}
    found["timing_info_present"] = bits.u()
    if found["timing_info_present"]:
        found |= {"num_units_in_tick": bits.u(32), "time_scale": bits.u(32), "fixed_frame_rate": bits.u()}
    found |= {"nal_hrd_present": bits.u(), "vcl_hrd_present": bits.u()}
    assert not found["nal_hrd_present"] and not found["vcl_hrd_present"], "no decoder buffer model"
    found |= {"pic_struct_present": bits.u(), "bitstream_restriction": bits.u()}
    if found["bitstream_restriction"]:
        found["motion_vectors_over_pic_boundaries"] = bits.u()
        names = "max_bytes_per_pic max_bits_per_mb log2_max_mv_length_horizontal log2_max_mv_length_vertical"
        found |= {name: bits.ue() for name in f"{names} max_num_reorder_frames max_dec_frame_buffering".split()}
    assert not bits.more()
    return found


def pps(unit: bytes) -> Fields:
    """Return the fields of a picture parameter set."""
    bits = _Bits(unit)
    found = {"id": bits.ue(), "sps_id": bits.ue(), "cabac": bits.u(), "pic_order_present": bits.u()}
    found["slice_groups"] = 1 + bits.ue()
    assert found["slice_groups"] == 1
    found |= {"num_ref_idx_l0": 1 + bits.ue(), "num_ref_idx_l1": 1 + bits.ue()}
    found |= {"weighted_pred": bits.u(), "weighted_bipred_idc": bits.u(2)}
    found |= {"pic_init_qp": 26 + bits.se(), "pic_init_qs": 26 + bits.se(), "chroma_qp_index_offset": bits.se()}
    found |= {"deblocking_filter_control_present": bits.u(), "constrained_intra_pred": bits.u()}
    found["redundant_pic_cnt_present"] = bits.u()
    if bits.more():
        found |= {"transform_8x8_mode": bits.u(), "pic_scaling_matrix_present": bits.u()}
        assert not found["pic_scaling_matrix_present"], "no scaling lists"
        found["second_chroma_qp_index_offset"] = bits.se()
    assert not bits.more()
    return found
