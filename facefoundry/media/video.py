"""Reads a video file as a sequence of frames.

Frames are converted to BGR by FFmpeg's swscale: bicubic, with the colour matrix and range that the stream declares. The
pixels are those that `cv2.VideoCapture` and `ffmpeg` give by default. `DECODER` names the versions of the libraries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Final, TypeAlias, cast

import av
import cv2
import numpy as np
from av.buffer import Buffer
from av.container import InputContainer
from av.sidedata.sidedata import Type
from av.stream import Disposition
from av.video.stream import VideoStream
from numpy.typing import NDArray

from facefoundry.errors import Unusable
from facefoundry.media.damage import Fault, Spans, Spread, reason_of, steps
from facefoundry.media.extent import broken_at, missing_bytes
from facefoundry.media.orientation import AS_STORED, Orientation
from facefoundry.media.packets import WITHOUT_TIMES, read_times
from facefoundry.media.rate import Rate, rate_of
from facefoundry.media.source import FRAME_RATES, MediaInfo, ReadLimits, Source, black, unwanted

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
# A decoder that finds damage returns an error instead of a picture. Decoders of these codecs mark damaged pictures, and
# would also refuse remarks in the stream that do not concern pictures.
_STRICTLY = {"err_detect": "crccheck+explode"}
_MARKING = frozenset({"h264", "hevc"})


_ADVICE = {
    "DAMAGED": "Repair or replace the clip, or tolerate damage: its frames are labelled then.",
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


_Shown: TypeAlias = tuple[av.VideoFrame, Orientation]


class Video(Source):
    """The first video stream of a file, as a source of frames. Each iteration but the first opens the file again.

    Args:
        path: The file.
        limits: Largest media that is accepted.
        frame_rate: Frames per second as (numerator, denominator); None for the rate that the file shows.
        tolerate_damage: Whether damaged frames are read as the decoder makes them, and listed in `damaged`. One
            without a picture repeats the frame before it.

    Raises:
        Unusable: the file cannot be decoded as a video (NOT_A_VIDEO, CODEC, TRUNCATED, DAMAGED, FRAME_RATE, NO_FRAMES,
            TOO_LARGE, SIZE_CHANGES, PIXEL_FORMAT).
    """

    def __init__(
        self,
        path: Path,
        limits: ReadLimits,
        frame_rate: tuple[int, int] | None = None,
        *,
        tolerate_damage: bool = False,
    ) -> None:
        self._path = path
        self._limits = limits
        self._tolerant = tolerate_damage
        self._size: tuple[int, int] | None = None
        self._spans = Spans()
        self.damaged = set()
        lacking = missing_bytes(path)
        if lacking and not tolerate_damage:
            raise self._unusable("TRUNCATED", f"is cut off: at least {lacking} bytes are missing at its end")
        broken = None if tolerate_damage else broken_at(path)
        if broken is not None:
            raise self._unusable("DAMAGED", f"is damaged at byte {broken}: its blocks cannot be followed from there")
        with self._open() as container:
            stream, *others = self._streams(container)
            self._check_pixels(stream.codec_context.width, stream.codec_context.height)
            declared = _declared(container, stream)
            self._times = read_times(container, stream)
            codec, pixel_format = stream.codec_context.name, stream.codec_context.pix_fmt
            other_streams = tuple(map(_described, others))
        if tolerate_damage:
            self._spans = Spans.of(self._steps(strictly=True))
        shown = self._decoded()
        first = next(shown, None)
        if first is None:
            raise self._unusable("NO_FRAMES", "holds no frame that can be decoded")
        frame, orientation = first
        self._size = orientation.size(frame.width, frame.height)
        self._begun: Iterator[_Shown] | None = chain([first], shown)
        missing = tuple(self._times.missing(frame.pts))
        rate = self._rate(declared, frame_rate)
        self.info = MediaInfo(
            frame_count=None,
            frame_rate=(rate.value.numerator, rate.value.denominator),
            width=self._size[0],
            height=self._size[1],
            codec=codec,
            pixel_format=pixel_format or "",
            orientation=orientation,
            rate_basis=rate.basis,
            stated_rate=(rate.stated.numerator, rate.stated.denominator) if rate.stated else None,
            other_streams=other_streams,
            missing=missing,
        )

    def _open(self) -> InputContainer:
        try:
            container: InputContainer = av.open(
                f"file:{self._path.resolve()}",
                options={"protocol_whitelist": "file", "format_whitelist": _CONTAINERS},
                metadata_errors="replace",
            )
        except (av.FFmpegError, ValueError) as error:
            message = f"{self._path.name} is not a readable video file: {reason_of(error)}."
            raise Unusable(message, reason="NOT_A_VIDEO", resource=self._path.name) from error
        return container

    def _streams(self, container: InputContainer) -> list[VideoStream]:
        """Return the video streams that are not cover pictures. The first can be decoded."""
        streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        if not streams:
            raise self._unusable("NOT_A_VIDEO", "holds no video stream")
        stream = streams[0]
        if stream.codec_context is None:
            raise self._unusable("CODEC", "holds video of a codec that cannot be decoded here")
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = _DECODING_THREADS
        return streams

    def _rate(self, declared: list[Fraction], given: tuple[int, int] | None) -> Rate:
        """Return the frame rate: the given one, or that of the time stamps of packets or, in doubt, of frames."""
        stated = declared[0] if declared else None
        if given:
            return Rate(Fraction(*given), "given", stated)
        rate = rate_of(self._times.stamps, self._times.base, declared)
        if rate.basis in ("measured", "variable"):
            # A packet may hold a field, or a picture that is not shown.
            self._times.stamps = [frame.pts for frame, _ in self._decoded() if frame.pts is not None]
            rate = rate_of(self._times.stamps, self._times.base, declared)
        low, high = FRAME_RATES
        if not low <= rate.value <= high:
            what = f"has {float(rate.value):g} frames per second; {low} to {high} are accepted"
            raise self._unusable("FRAME_RATE", what)
        return rate

    def _steps(self, *, strictly: bool) -> Iterator[av.VideoFrame | Fault]:
        with self._open() as container:
            stream = self._streams(container)[0]
            if strictly and stream.codec_context.name not in _MARKING:
                stream.codec_context.options = _STRICTLY
            yield from steps(container, stream)

    def _decoded(self) -> Iterator[_Shown]:
        """Yield the decoded frames, and list damaged ones. Damage that is not tolerated raises an error."""
        number, spread, orientation, before = 0, Spread(), AS_STORED, None
        for item in self._steps(strictly=not self._tolerant):
            if isinstance(item, Fault):
                if not self._tolerant:
                    raise self._fault(item, number)
                spread.fault(item)
                if item.is_lost and before is not None:
                    self._check_length(number, before)
                    self.damaged.add(number)
                    number += 1
                    yield before, orientation
                continue
            self._check_pixels(item.width, item.height)
            matrix = _display_matrix(item)
            if matrix:  # H.264 states an orientation once, and it holds until there is another
                orientation = Orientation.of(matrix)
            width, height = orientation.size(item.width, item.height)
            if self._size not in (None, (width, height)):
                raise self._unusable("SIZE_CHANGES", f"changes its size to {width}x{height} at frame {number}")
            self._check_length(number, item)
            if spread.spoils(item) or item.pts in self._spans:
                self.damaged.add(number)
            number, before = number + 1, item
            yield item, orientation

    def _iterate(self) -> Iterator[_Shown]:
        """Return the decoded frames; the first time, go on after the first frame, which the constructor decoded."""
        begun, self._begun = self._begun, None
        return begun or self._decoded()

    def _fault(self, fault: Fault, read: int) -> Unusable:
        place, is_last = self._times.place(fault.stamp, read), self._times.ends_at(fault.stamp)
        if is_last:
            return self._unusable("TRUNCATED", f"is damaged at its end, in {place}: {fault.what}")
        return self._unusable("DAMAGED", f"is damaged in {place}: {fault.what}")

    def _unusable(self, reason: str, what: str) -> Unusable:
        return Unusable(f"{self._path.name} {what}. {_ADVICE[reason]}", reason=reason, resource=self._path.name)

    def _check_pixels(self, width: int, height: int) -> None:
        if width * height > self._limits.max_pixels:
            what = f"is {width}x{height}; at most {self._limits.max_pixels} pixels are accepted"
            raise self._unusable("TOO_LARGE", what)

    def _check_length(self, number: int, frame: av.VideoFrame) -> None:
        """Refuse a frame after others if there are too many, or if they have too many pixels together."""
        if number >= self._limits.max_frames:
            raise self._unusable("TOO_LARGE", f"has more than {number} frames")
        if (number + 1) * frame.width * frame.height > self._limits.max_total:
            what = f"has more than {self._limits.max_total} pixels in all its frames, the most that are accepted"
            raise self._unusable("TOO_LARGE", what)

    def frames(self, start: int = 0, wanted: NDArray[np.bool_] | None = None) -> Iterator[NDArray[np.uint8]]:
        """Decode and yield the frames; see `Source.frames`."""
        for number, (frame, orientation) in enumerate(self._iterate()):
            if number >= start:
                yield black(self.info) if unwanted(number, wanted) else orientation.upright(self.to_bgr(frame))

    def to_bgr(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """Convert a decoded frame to uint8 [h, w, 3] BGR, as it is stored: neither rotated nor mirrored."""
        try:
            return np.asarray(frame.reformat(format="bgr24", interpolation="BICUBIC").to_ndarray(), np.uint8)
        except (av.FFmpegError, ValueError) as error:
            what = f"has the pixel format {frame.format.name}, which cannot be converted: {reason_of(error)}"
            raise self._unusable("PIXEL_FORMAT", what) from error

    def counting(self) -> Iterator[int]:
        """Decode the frames and count them; see `Source.counting`."""
        for number, _ in enumerate(self._iterate(), 1):
            yield number

    def close(self) -> None:
        """Close the file, which is open while an iteration runs, and before the first one."""
        self._begun = None


def _display_matrix(frame: av.VideoFrame) -> bytes:
    kinds = cast(Mapping[Type, Buffer], frame.side_data)
    return bytes(kinds[Type.DISPLAYMATRIX]) if Type.DISPLAYMATRIX in kinds else b""


def _declared(container: InputContainer, stream: VideoStream) -> list[Fraction]:
    """Return the frame rates that container and codec state, the most trusted first."""
    rates: list[Fraction | None] = [stream.average_rate, stream.guessed_rate, stream.base_rate]
    if container.format.name in WITHOUT_TIMES:
        rates = [stream.codec_context.framerate]
    return [Fraction(rate) for rate in rates if rate]


def _described(stream: VideoStream) -> str:
    """Return number, codec and size of a video stream."""
    context = stream.codec_context
    what = f"{context.name}, {context.width}x{context.height}" if context else "a codec that cannot be decoded here"
    return f"{stream.index} ({what})"
