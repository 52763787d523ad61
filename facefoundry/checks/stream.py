"""What a video says without its pictures being decoded: its encoder, its length, and times and sizes of its packets."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from facefoundry.checks.boxes import container_facts
from facefoundry.errors import Unusable

__all__ = ["Facts", "Numbers", "Stream", "read_stream"]

Facts = dict[str, dict[str, str]]
"""What must be equal in a fake and the real video of its target, by family and name."""
Numbers = dict[str, dict[str, float]]
"""Figures that must not tell fakes from real videos, by family and name."""

_X264 = re.compile(rb"x264 - core (\d+)[^\x00]*?options: ([ -~]+)")


@dataclass
class Stream:
    """The only video stream of a file.

    Attributes:
        facts: Facts of the families `container`, `encoder`, `length` and `timing`.
        numbers: Numbers of the families `length`, `rate`, `packets` and `key frames`.
        key_times: Time stamps of the key frames, in order.
        times: Time stamps of all frames, in the order in which they are shown.
        is_exact: Whether the encoder was lossless.
    """

    facts: Facts = field(default_factory=dict)
    numbers: Numbers = field(default_factory=dict)
    key_times: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    is_exact: bool = False


def read_stream(path: Path) -> Stream:
    """Read container and packets of a video.

    Raises:
        Unusable: it cannot be read (NOT_A_VIDEO).
    """
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            packets = [packet for packet in container.demux(stream) if packet.size and packet.pts is not None]
            if not packets:
                raise Unusable(f"{path} has no frames.", reason="NOT_A_VIDEO", resource=str(path))
            tags = {f"tag {name}": value for name, value in container.metadata.items()}
            tags |= {f"stream tag {name}": value for name, value in stream.metadata.items()}
            rate = Fraction(stream.average_rate or 25)
            base = Fraction(stream.time_base or 1)
            first = bytes(packets[0])
            encoder = _encoder_facts(stream, first)
            size = stream.width, stream.height
            kinds = [other.type for other in container.streams]
    except (av.FFmpegError, IndexError) as error:
        message = f"{path} cannot be read as a video: {error}."
        raise Unusable(message, reason="NOT_A_VIDEO", resource=str(path)) from error
    times = np.array([packet.pts or 0 for packet in packets], np.int64)
    sizes = np.array([packet.size for packet in packets], np.float64)
    keys = np.array([packet.is_keyframe for packet in packets], np.bool_)
    decode = np.array([packet.dts or 0 for packet in packets], np.int64)
    shown = np.sort(times)
    seconds = float(len(times) / rate)
    file_bytes = path.stat().st_size
    return Stream(
        facts={
            "container": {**container_facts(path), **tags, "streams": " ".join(kinds)},
            "encoder": encoder,
            "length": {
                "frames": str(len(times)),
                "width": str(size[0]),
                "height": str(size[1]),
                "frame rate": str(rate),
            },
            "timing": {
                "time base": str(base),
                "first time stamp": str(shown[0]),
                "times at which frames are shown": _digest(shown - shown[0]),
                "times at which frames are decoded": _digest(decode - decode[0]),
            },
        },
        numbers={
            "length": {
                "frames": math.log(len(times)),
                "area": math.log(size[0] * size[1]),
                "aspect": math.log(size[0] / size[1]),
                "frame rate": float(rate),
            },
            "rate": {
                "file size": math.log(file_bytes),
                "bit rate": math.log(8 * sizes.sum() / seconds),
                "bits for each pixel": math.log(8 * sizes.sum() / (len(times) * size[0] * size[1])),
            },
            "packets": _packet_numbers(sizes, keys, times),
            "key frames": _key_frame_numbers(keys, times),
        },
        key_times=[int(time) for time in times[keys]],
        times=shown.tolist(),
        is_exact=encoder.get("qp") == "0",
    )


def _encoder_facts(stream: VideoStream, first: bytes) -> dict[str, str]:
    context = stream.codec_context
    facts = {
        "codec": context.name,
        "profile": str(context.profile),
        "pixel format": str(context.pix_fmt),
        "pixel aspect": str(context.sample_aspect_ratio),
        "colour": f"{context.colorspace} {context.color_range} {context.color_primaries} {context.color_trc}",
        "parameter sets": hashlib.sha256(context.extradata or b"").hexdigest()[:12],
    }
    written = _X264.search(first)
    if written:
        facts["x264 core"] = written[1].decode()
        for word in written[2].decode().split():
            name, _, value = word.partition("=")
            facts[name] = value
    return facts


def _packet_numbers(sizes: NDArray[np.float64], keys: NDArray[np.bool_], times: NDArray[np.int64]) -> dict[str, float]:
    logs = np.log(sizes)
    others = logs[~keys] if (~keys).any() else logs
    middle = float(np.median(others))
    later = _shown_later(times)
    return {
        "spread of sizes": float(others.std()),
        "small packets": float(np.quantile(others, 0.1)) - middle,
        "large packets": float(np.quantile(others, 0.9)) - middle,
        "first packet": float(logs[0]) - middle,
        "second packet": float(logs[min(1, len(logs) - 1)]) - middle,
        "last packet": float(logs[-1]) - middle,
        "packets of B-frames": float(np.median(logs[later])) - middle if later.any() else 0.0,
        "neighbouring sizes": _correlation(others),
    }


def _key_frame_numbers(keys: NDArray[np.bool_], times: NDArray[np.int64]) -> dict[str, float]:
    later = _shown_later(times)
    places = np.flatnonzero(keys)
    runs = np.diff(np.flatnonzero(np.concatenate([[True], ~later, [True]]))) - 1
    return {
        "key frames": float(len(places)),
        "distance of key frames": float(np.diff(np.append(places, len(keys))).mean()),
        "share of B-frames": float(later.mean()),
        "B-frames in a row": float(runs[runs > 0].mean()) if (runs > 0).any() else 0.0,
        "longest row of B-frames": float(runs.max(initial=0)),
    }


def _shown_later(times: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark the packets that are shown before one that was decoded earlier: B-frames, in the order of the file."""
    latest = np.maximum.accumulate(times)
    return times < latest


def _correlation(values: NDArray[np.float64]) -> float:
    if len(values) < 4 or values[1:].std() == 0 or values[:-1].std() == 0:
        return 0.0
    return float(np.corrcoef(values[1:], values[:-1])[0, 1])


def _digest(values: NDArray[np.int64]) -> str:
    return hashlib.sha256(values.astype("<i8").tobytes()).hexdigest()[:12]
