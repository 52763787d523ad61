"""Reads a video file as a sequence of frames.

Frames are converted to BGR by FFmpeg's swscale: bicubic, with the colour matrix and range that the stream declares. The
pixels are those that `cv2.VideoCapture` and `ffmpeg` give by default. `DECODER` names the versions of the libraries.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream
from numpy.typing import NDArray

from facefoundry.errors import Unusable
from facefoundry.media.extent import missing_bytes
from facefoundry.media.source import DEFAULT_FRAME_RATE, FRAME_RATES, MediaInfo, ReadLimits, Source

__all__ = ["DECODER", "Video"]


def _version(name: str) -> str:
    return ".".join(str(number) for number in av.library_versions[name])


DECODER: Final = (
    f"av {av.__version__}, libavcodec {_version('libavcodec')}, libswscale {_version('libswscale')}, "
    f"opencv {cv2.__version__}"
)
"""Names and versions of the libraries that decode; stored with every digest of decoded frames."""

# Formats that contain all their media and refer to no other file: no playlists, no concat scripts, no devices.
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,ogg,asf,h264,hevc,ivf,nut,gif,apng"
# With several threads, the pixels of a damaged picture differ between runs. One thread also takes a tenth less CPU
# time, and several sequences are decoded at the same time.
_DECODING_THREADS = 1

_ADVICE = {
    "NOT_A_VIDEO": "Use a file with a video stream.",
    "CODEC": "Convert the clip, for example to H.264.",
    "PIXEL_FORMAT": "Convert the clip, for example to yuv420p.",
    "TRUNCATED": "Copy the whole file again.",
    "FRAME_RATE": "Encode the clip with another frame rate.",
    "NO_FRAMES": "Use another clip.",
    "TOO_LARGE": "Scale or shorten the clip.",
    "SIZE_CHANGES": "Cut the clip where the size changes.",
}
"""What to do about an error, by its reason."""


class Video(Source):
    """The first video stream of a file, as a source of frames. Each iteration opens the file again.

    Args:
        path: The file.
        limits: Largest media that is accepted.

    Raises:
        Unusable: the file cannot be decoded as a video (NOT_A_VIDEO, CODEC, TRUNCATED, FRAME_RATE, NO_FRAMES,
            TOO_LARGE, SIZE_CHANGES, PIXEL_FORMAT).
    """

    def __init__(self, path: Path, limits: ReadLimits) -> None:
        self._path = path
        self._limits = limits
        self._size: tuple[int, int] | None = None
        lacking = missing_bytes(path)
        if lacking:
            raise self._unusable("TRUNCATED", f"is cut off: at least {lacking} bytes are missing at its end")
        with self._open() as container:
            stream = self._stream(container)
            self._check_pixels(stream.codec_context.width, stream.codec_context.height)
            first = next(self._decoded(container, stream), None)
            if first is None:
                raise self._unusable("NO_FRAMES", "holds no frame that can be decoded")
            self._turns = round(first.rotation / 90) % 4
            self._size = (first.width, first.height)
            rate = self._frame_rate(stream)
            width, height = (first.width, first.height) if self._turns % 2 == 0 else (first.height, first.width)
            self.info = MediaInfo(
                frame_count=None,
                frame_rate=(rate.numerator, rate.denominator),
                width=width,
                height=height,
                rotation=-self._turns * 90 % 360,
                codec=stream.codec_context.name,
                pixel_format=stream.codec_context.pix_fmt or "",
            )

    def _open(self) -> InputContainer:
        try:
            container: InputContainer = av.open(
                f"file:{self._path.resolve()}",
                options={"protocol_whitelist": "file", "format_whitelist": _CONTAINERS},
                metadata_errors="replace",
            )
        except (av.FFmpegError, ValueError) as error:
            message = f"{self._path.name} is not a readable video file: {_reason(error)}"
            raise Unusable(message, reason="NOT_A_VIDEO", resource=self._path.name) from error
        return container

    def _stream(self, container: InputContainer) -> VideoStream:
        """Return the first video stream that is not a cover picture."""
        streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        if not streams:
            raise self._unusable("NOT_A_VIDEO", "holds no video stream")
        stream = streams[0]
        if stream.codec_context is None:
            raise self._unusable("CODEC", "holds video of a codec that cannot be decoded here")
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = _DECODING_THREADS
        return stream

    def _frame_rate(self, stream: VideoStream) -> Fraction:
        """Return the first frame rate within `FRAME_RATES` that the stream declares."""
        declared = [Fraction(rate) for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate) if rate]
        if not declared:
            return Fraction(*DEFAULT_FRAME_RATE)
        low, high = FRAME_RATES
        rate = next((rate for rate in declared if low <= rate <= high), None)
        if rate is None:
            what = f"declares {float(declared[0]):g} frames per second; {low} to {high} are accepted"
            raise self._unusable("FRAME_RATE", what)
        return rate

    def _decoded(self, container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
        """Yield the decoded frames. A file that is cut off raises an error instead of ending early."""
        frames = 0
        try:
            for packet in container.demux(stream):
                if packet.is_corrupt:
                    raise self._unusable("TRUNCATED", f"ends within frame {frames}")
                for frame in packet.decode():
                    self._check_pixels(frame.width, frame.height)
                    if self._size not in (None, (frame.width, frame.height)):
                        what = f"changes its size to {frame.width}x{frame.height} at frame {frames}"
                        raise self._unusable("SIZE_CHANGES", what)
                    if frames == self._limits.max_frames:
                        raise self._unusable("TOO_LARGE", f"has more than {frames} frames")
                    frames += 1
                    yield frame
        except av.FFmpegError as error:
            raise self._unusable("TRUNCATED", f"cannot be decoded after frame {frames}: {_reason(error)}") from error

    def _unusable(self, reason: str, what: str) -> Unusable:
        return Unusable(f"{self._path.name} {what}. {_ADVICE[reason]}", reason=reason, resource=self._path.name)

    def _check_pixels(self, width: int, height: int) -> None:
        if width * height > self._limits.max_pixels:
            what = f"is {width}x{height}; at most {self._limits.max_pixels} pixels are accepted"
            raise self._unusable("TOO_LARGE", what)

    def frames(self, start: int = 0) -> Iterator[NDArray[np.uint8]]:
        """Decode and yield the frames; see `Source.frames`."""
        with self._open() as container:
            for number, frame in enumerate(self._decoded(container, self._stream(container))):
                if number >= start:
                    yield np.ascontiguousarray(np.rot90(self.to_bgr(frame), self._turns), np.uint8)

    def to_bgr(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """Convert a decoded frame to uint8 [h, w, 3] BGR, without applying the rotation."""
        try:
            return np.asarray(frame.reformat(format="bgr24", interpolation="BICUBIC").to_ndarray(), np.uint8)
        except (av.FFmpegError, ValueError) as error:
            what = f"has the pixel format {frame.format.name}, which cannot be converted: {_reason(error)}"
            raise self._unusable("PIXEL_FORMAT", what) from error

    def counting(self) -> Iterator[int]:
        """Decode the frames and count them; see `Source.counting`."""
        with self._open() as container:
            for number, _ in enumerate(self._decoded(container, self._stream(container)), 1):
                yield number

    def close(self) -> None:
        """Do nothing, because a video is open only while it is decoded."""


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
