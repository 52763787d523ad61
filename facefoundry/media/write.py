"""Writers of videos: every compression level from one decoding, and lossless masks.

What is written depends on the pixels, the frame rate and the level alone: bit-exact container flags, no dates, no
audio, a fixed number of encoder threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream
from numpy.typing import NDArray

from facefoundry.errors import Internal, InvalidInput
from facefoundry.media.level import Level
from facefoundry.media.read import open_source
from facefoundry.process.scratch import disk_full

__all__ = ["MASK_LEVEL", "LevelsWriter", "MaskWriter", "VideoWriter"]

# Part of what decides the bytes: x264 cuts its work differently for every number of threads. Sequences are encoded side
# by side, and every further thread keeps frames: four need half as much memory again.
_ENCODING_THREADS = 1

# OpenCV's number of this CPU feature, which its Python module does not name.
_AVX_512F = 13

# In its AVX-512 code for macroblock trees x264 165 reads memory that nobody wrote; equal frames then give other bytes
# from run to run. Its AVX2 code gives the same bytes always, on every machine, at the same speed.
_DETERMINISTIC_X264 = {"x264-params": "asm=avx2"} if cv2.checkHardwareSupport(_AVX_512F) else {}

# Frames of more pixels go to one lossy level after the other: x264 looks 40 frames ahead, 0.6 GB a level at 1920x1080.
_TOGETHER_PIXELS = 1280 * 720

# Exact pixels are very many bits. CAVLC, the simpler of x264's two codes, is quicker to write than CABAC and takes less
# than half the time to read, whenever somebody does, for a tenth more bytes (benchmarks/raw_presets.py).
_LOSSLESS_OPTIONS = {"coder": "cavlc"}

# What the encoder is fed for the format the stream has: x264 takes packed BGR and stores its planes.
_ENCODER_INPUT = {"gbrp": "bgr24"}


MASK_LEVEL = Level("masks", "libx264", 0, "gray", "superfast")
"""Decodes to exactly the 0 and 255 that went in; the search for smaller files gains nothing on masks."""

# What x264 would keep more planes of each picture for, and masks have none of: texture that moves by parts of a pixel,
# light that fades, shots whose first picture is better stored whole.
_MASK_OPTIONS = {"subq": "0", "weightp": "0", "sc_threshold": "0"}


class VideoWriter:
    """One .mp4 with one video stream; use it as a context manager, or call `close` or `abandon`.

    Attributes:
        input_format: Pixel format of the pictures that the encoder takes.
    """

    def __init__(
        self,
        path: Path,
        level: Level,
        frame_rate: tuple[int, int],
        width: int,
        height: int,
        search: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Open the file.

        Args:
            path: File to write.
            level: Codec and quality.
            frame_rate: Frames per second as (numerator, denominator), kept exactly.
            width: Pixels.
            height: Pixels.
            search: Encoder options in place of the preset's.

        Raises:
            InvalidInput: the codec cannot write this size or format (COMPRESSION_LEVEL).
        """
        if level.pixel_format == "yuv420p" and (width % 2 or height % 2):
            message = f"Level {level.name} stores colour at half size and needs even sides; received {width}x{height}"
            raise InvalidInput(message, reason="COMPRESSION_LEVEL")
        rate = Fraction(*frame_rate)
        self._path = path
        self._level = level
        self._shape = (height, width, 3)
        self._time_base = 1 / rate
        self._frames = 0
        self.input_format = _ENCODER_INPUT.get(level.pixel_format, level.pixel_format)
        self._open = True
        self._container = av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact"})
        code = _LOSSLESS_OPTIONS if level.exact else {}
        options = {"crf": str(level.crf), "preset": level.preset, **code, **search, **_DETERMINISTIC_X264}
        try:
            stream = self._container.add_stream(level.codec, rate=rate, options=options)
        except (av.FFmpegError, ValueError) as error:
            self._container.close()
            raise InvalidInput(
                f"Level {level.name} names no encoder: {level.codec}", reason="COMPRESSION_LEVEL"
            ) from error
        if not isinstance(stream, VideoStream):
            self._container.close()
            raise InvalidInput(f"Level {level.name} names no video encoder: {level.codec}", reason="COMPRESSION_LEVEL")
        self._stream = stream
        self._stream.width = width
        self._stream.height = height
        self._stream.pix_fmt = self.input_format
        if self.input_format == "gray":
            self._stream.codec_context.color_range = ColorRange.JPEG
        self._stream.codec_context.time_base = self._time_base
        self._stream.codec_context.thread_count = _ENCODING_THREADS
        self._stream.codec_context.thread_type = "FRAME"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abandon()

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Append a frame, uint8 [h, w, 3] BGR, that is not changed afterwards."""
        self.encode(_converted(_picture(frame, self._shape), self.input_format))

    def encode(self, picture: av.VideoFrame) -> None:
        """Append a picture of the format `input_format`; several writers of one frame rate may share it."""
        picture.pts = self._frames
        picture.time_base = self._time_base
        self._frames += 1
        try:
            self._container.mux(self._stream.encode(picture))
        except av.FFmpegError as error:
            message = f"Level {self._level.name} cannot be encoded: {error.strerror}"
            raise disk_full(error) or InvalidInput(message, reason="COMPRESSION_LEVEL") from error

    def close(self) -> Path:
        """Finish the file and return its path."""
        if self._frames:
            self._container.mux(self._stream.encode())
        self._container.close()
        self._free()
        return self._path

    def abandon(self) -> None:
        """Let go of a file that will not be finished; one that is, stays."""
        if self._open:
            with suppress(av.FFmpegError):
                self._container.close()
            self._free()

    def _free(self) -> None:
        """An encoder's memory, hundreds of MB of large frames, is free once nothing refers to it."""
        self._open = False
        del self._stream


def _picture(frame: NDArray[np.uint8], shape: tuple[int, ...]) -> av.VideoFrame:
    """A picture on the frame's own memory.

    Raises:
        Internal: the frame has another shape (FRAME_SHAPE).
    """
    if frame.shape != shape or frame.dtype != np.uint8:
        raise Internal(f"Frames here are uint8 {shape}; received {frame.dtype} {frame.shape}", reason="FRAME_SHAPE")
    return av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(frame), format="bgr24" if frame.ndim == 3 else "gray")


def _converted(picture: av.VideoFrame, pixel_format: str) -> av.VideoFrame:
    return picture.reformat(format=pixel_format, interpolation="BICUBIC")


class LevelsWriter:
    """All levels of a sequence: one `<level>.mp4` each. A context manager that leaves nothing open.

    Levels are written side by side, frame by frame; large frames go to the lossless level alone, and `rest` makes the
    others of what it decodes to, which are the same pixels, one after the other.

    Attributes:
        passes: How many times over the frames go: 1, or one for each level of large frames.
    """

    def __init__(
        self, folder: Path, levels: Sequence[Level], frame_rate: tuple[int, int], width: int, height: int
    ) -> None:
        """Open one writer a level; arguments as in `VideoWriter`."""
        self._shape = (height, width, 3)
        self._frames = 0
        self._files: dict[str, Path] = {}
        self._writers: dict[str, VideoWriter] = {}
        try:
            for level in levels:
                path = folder / f"{level.name}.mp4"
                self._writers[level.name] = VideoWriter(path, level, frame_rate, width, height)
        except InvalidInput:
            self.abandon()
            raise
        exact = [level.name for level in levels if level.exact]
        together = width * height <= _TOGETHER_PIXELS or not exact
        self._now = list(self._writers) if together else exact[:1]
        self.passes = 1 + len(self._writers) - len(self._now)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.abandon()

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Append a frame, uint8 [h, w, 3] BGR, that is not changed afterwards."""
        picture = _picture(frame, self._shape)
        writers = [self._writers[name] for name in self._now]
        converted = {name: _converted(picture, name) for name in {writer.input_format for writer in writers}}
        for writer in writers:
            writer.encode(converted[writer.input_format])
        self._frames += 1

    def rest(self) -> Iterator[tuple[int, int]]:
        """After the last frame, write what large frames left to do.

        Yields:
            Frames written, and to write in all passes.
        """
        self._finish(self._now)
        later = [name for name in self._writers if name not in self._files]
        if not later or not self._frames:
            return
        done, total = self._frames, self._frames * self.passes
        with open_source(self._files[self._now[0]]) as exact:
            for name in later:
                for frame in exact:
                    self._writers[name].write(frame)
                    done += 1
                    yield done, total
                self._finish([name])
        if done != total:
            raise Internal(f"Of {self._frames} frames {total - done} were not read back", reason="FRAMES_LOST")

    def close(self) -> dict[str, Path]:
        """Finish the files and return their paths by level."""
        for _ in self.rest():
            pass
        self._finish(self._writers)
        return {name: self._files[name] for name in self._writers}

    def abandon(self) -> None:
        """Let go of files that will not be finished; those that are, stay."""
        for writer in self._writers.values():
            writer.abandon()

    def _finish(self, names: Iterable[str]) -> None:
        self._files |= {name: self._writers[name].close() for name in names if name not in self._files}


class MaskWriter:
    """A lossless video of masks: what is decoded is exactly 0 and 255."""

    def __init__(self, path: Path, frame_rate: tuple[int, int], width: int, height: int) -> None:
        """Open the file; arguments as in `VideoWriter`."""
        self._shape = (height, width)
        self._writer = VideoWriter(path, MASK_LEVEL, frame_rate, width, height, _MASK_OPTIONS)

    def write(self, mask: NDArray[np.uint8]) -> None:
        """Append a mask, uint8 [h, w] of 0 and 255, that is not changed afterwards."""
        if cv2.countNonZero(mask) != cv2.countNonZero(cv2.compare(mask, 255, cv2.CMP_EQ)):
            raise Internal("Masks hold 0 and 255 only", reason="MASK_VALUES")
        self._writer.encode(_picture(mask, self._shape))

    def close(self) -> Path:
        """Finish the file and return its path."""
        return self._writer.close()

    def abandon(self) -> None:
        """Let go of a file that will not be finished; one that is, stays."""
        self._writer.abandon()
