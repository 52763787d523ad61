"""Writers of videos: all compression levels from one decoding, and lossless masks.

The bytes depend on the pixels, the frame rate, the level and the builds of x264 and libavformat alone: no dates, no
audio, a fixed number of encoder threads. Containers and streams are those of FF++'s files (docs/files.md).
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
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc
from av.video.stream import VideoStream
from numpy.typing import NDArray

from facefoundry.errors import Internal, InvalidInput
from facefoundry.media.length import state_length
from facefoundry.media.level import Level
from facefoundry.media.read import open_source
from facefoundry.process.scratch import disk_full

__all__ = ["MASK_LEVEL", "MAX_PARALLEL_PIXELS", "LevelsWriter", "MaskWriter", "VideoWriter"]

# x264 splits its work differently for every number of threads, which changes the bytes. Sequences are encoded side by
# side, and every further thread keeps frames: four threads need half as much memory again.
_ENCODING_THREADS = 1

# OpenCV's number of this CPU feature, which its Python module does not name.
_AVX_512F = 13

# The AVX-512 code for macroblock trees in x264 165 reads uninitialised memory, so the bytes differ from run to run. Its
# AVX2 code always gives the same bytes, on every machine, at the same speed.
_DETERMINISTIC_X264 = {"x264-params": "asm=avx2"} if cv2.checkHardwareSupport(_AVX_512F) else {}

# Matrices of ITU-T H.273: none for planes of G, B and R; BT.601's of 525 lines, which equals that of 625.
_MATRIX_GBR, _MATRIX_BT601 = 0, 6

MAX_PARALLEL_PIXELS = 1280 * 720
"""Levels of larger frames are encoded in turn: x264 looks 40 frames ahead, 0.6 GB per level at 1920x1080."""

# FF++'s libavformat wrote no box with bit rates.
_CONTAINER_OPTIONS = {"write_btrt": "0"}

# Pixel format of the encoder's input by that of the stream, where they differ: x264 takes packed BGR and stores planes.
_ENCODER_INPUT = {"gbrp": "bgr24"}


MASK_LEVEL = Level("masks", "libx264", 0, "gray", "superfast")
"""Decodes to exactly the 0 and 255 that were encoded; slower presets do not make masks smaller."""

# These searches need more memory per picture and find nothing in masks: motion by fractions of a pixel, fades, and
# shots whose first picture is better stored whole.
_MASK_OPTIONS = {"subq": "0", "weightp": "0", "sc_threshold": "0"}


class VideoWriter:
    """An .mp4 with one video stream; use it as a context manager, or call `close` or `abandon`.

    Attributes:
        input_format: Pixel format of the pictures that `encode` accepts.
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
            level: Compression level.
            frame_rate: Frames per second as (numerator, denominator), kept exactly.
            width: Pixels.
            height: Pixels.
            search: Options of the encoder's searches that replace the preset's.

        Raises:
            InvalidInput: the codec cannot write this size or format (COMPRESSION_LEVEL).
        """
        if level.pixel_format == "yuv420p" and (width % 2 or height % 2):
            message = (
                f"Level {level.name} stores colour at half size. Expected even width and height. "
                f"Received {width}x{height}"
            )
            raise InvalidInput(message, reason="COMPRESSION_LEVEL")
        rate = Fraction(*frame_rate)
        self._path = path
        self._level = level
        self._shape = (height, width, 3)
        self._time_base = 1 / rate
        self._frames = 0
        self.input_format = _ENCODER_INPUT.get(level.pixel_format, level.pixel_format)
        self._open = True
        self._container = av.open(str(path), "w", format="mp4", options=_CONTAINER_OPTIONS)
        options = {"crf": str(level.crf), "preset": level.preset, "coder": level.coder}
        options |= {"g": str(level.keyframe_interval), **search, **_DETERMINISTIC_X264}
        try:
            stream = self._container.add_stream(level.codec, rate=rate, options=options)
        except (av.FFmpegError, ValueError) as error:
            self._container.close()
            raise InvalidInput(
                f"Expected a codec that libav has for the level {level.name}. Received codec={level.codec!r}.",
                reason="COMPRESSION_LEVEL",
            ) from error
        if not isinstance(stream, VideoStream):
            self._container.close()
            raise InvalidInput(
                f"Expected a video codec for the level {level.name}. Received codec={level.codec!r}.",
                reason="COMPRESSION_LEVEL",
            )
        self._stream = stream
        self._stream.width = width
        self._stream.height = height
        self._stream.pix_fmt = self.input_format
        if self.input_format == "gray":
            self._stream.codec_context.color_range = ColorRange.JPEG
        if level.tagged:
            self._tag()
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
        """Append a frame, uint8 [h, w, 3] BGR; the caller must not change it afterwards."""
        self.encode(_converted(_picture(frame, self._shape), self.input_format))

    def encode(self, picture: av.VideoFrame) -> None:
        """Append a picture of the pixel format `input_format`; writers with equal frame rates may share it."""
        picture.pts = self._frames
        picture.time_base = self._time_base
        self._frames += 1
        try:
            self._container.mux(self._stream.encode(picture))
        except av.FFmpegError as error:
            message = (
                f"Level {self._level.name} cannot be encoded: {error.strerror}. "
                "Choose another codec, preset or pixel format for it."
            )
            raise disk_full(error) or InvalidInput(message, reason="COMPRESSION_LEVEL") from error

    def close(self) -> Path:
        """Finish the file and return its path."""
        if self._frames:
            self._container.mux(self._stream.encode())
        self._container.close()
        self._free()
        if self._frames:
            state_length(self._path)
        return self._path

    def abandon(self) -> None:
        """Close the file without finishing it. After `close` this does nothing."""
        if self._open:
            with suppress(av.FFmpegError):
                self._container.close()
            self._free()

    def _tag(self) -> None:
        """Write the colour description: luma and chroma as swscale computes them (BT.601, limited range), or plain BGR.

        Decoding keeps the primaries of a clip. Nearly all videos have those of BT.709, and pictures have those of sRGB,
        which are the same. The transfer function is that of BT.709, which players show like that of sRGB.
        """
        context = self._stream.codec_context
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        if self._level.pixel_format == "gbrp":
            context.colorspace, context.color_range = _MATRIX_GBR, ColorRange.JPEG
        else:
            context.colorspace, context.color_range = _MATRIX_BT601, ColorRange.MPEG

    def _free(self) -> None:
        """Drop all references to the encoder, so that its memory is freed: hundreds of MB for large frames."""
        self._open = False
        del self._stream


def _picture(frame: NDArray[np.uint8], shape: tuple[int, ...]) -> av.VideoFrame:
    """Return a picture for the encoder that shares the memory of a frame, uint8 [h, w, 3] BGR or [h, w] grey.

    Raises:
        Internal: the frame's shape is not `shape`, or it is not uint8 (FRAME_SHAPE).
    """
    if frame.shape != shape or frame.dtype != np.uint8:
        raise Internal(f"Expected frames uint8 {shape}. Received {frame.dtype} {frame.shape}", reason="FRAME_SHAPE")
    return av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(frame), format="bgr24" if frame.ndim == 3 else "gray")


def _converted(picture: av.VideoFrame, pixel_format: str) -> av.VideoFrame:
    return picture.reformat(format=pixel_format, interpolation="BICUBIC")


class LevelsWriter:
    """Encodes a sequence at all levels, each to a file `<level>.mp4`. A context manager that closes all files.

    Levels of small frames are encoded together, frame by frame. Large frames are encoded at the lossless level first;
    `rest` then decodes that file, which gives the same pixels, once for every other level.

    Attributes:
        passes: Number of passes over the frames: 1 for small frames, one per level for large frames.
    """

    def __init__(
        self, folder: Path, levels: Sequence[Level], frame_rate: tuple[int, int], width: int, height: int
    ) -> None:
        """Open a writer for every level; arguments as in `VideoWriter`."""
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
        together = width * height <= MAX_PARALLEL_PIXELS or not exact
        self._parallel = list(self._writers) if together else exact[:1]
        self.passes = 1 + len(self._writers) - len(self._parallel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.abandon()

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Append a frame, uint8 [h, w, 3] BGR; the caller must not change it afterwards."""
        picture = _picture(frame, self._shape)
        writers = [self._writers[name] for name in self._parallel]
        converted = {name: _converted(picture, name) for name in {writer.input_format for writer in writers}}
        for writer in writers:
            writer.encode(converted[writer.input_format])
        self._frames += 1

    def rest(self) -> Iterator[tuple[int, int]]:
        """Finish the levels written so far. Then encode the other levels of large frames, one after the other.

        Call this after the last frame.

        Yields:
            (frames encoded so far in all passes, frames of all passes).
        """
        self._finish(self._parallel)
        later = [name for name in self._writers if name not in self._files]
        if not later or not self._frames:
            return
        done, total = self._frames, self._frames * self.passes
        with open_source(self._files[self._parallel[0]]) as exact:
            for name in later:
                for frame in exact:
                    self._writers[name].write(frame)
                    done += 1
                    yield done, total
                self._finish([name])
        if done != total:
            raise Internal(f"Expected {total} frames in all passes. Received {done}", reason="FRAMES_LOST")

    def close(self) -> dict[str, Path]:
        """Finish the files and return the path of each, by the name of its level."""
        for _ in self.rest():
            pass
        self._finish(self._writers)
        return {name: self._files[name] for name in self._writers}

    def abandon(self) -> None:
        """Close all files without finishing them. After `close` this does nothing."""
        for writer in self._writers.values():
            writer.abandon()

    def _finish(self, names: Iterable[str]) -> None:
        self._files |= {name: self._writers[name].close() for name in names if name not in self._files}


class MaskWriter:
    """Writes a lossless video of masks; its frames decode to exactly 0 and 255."""

    def __init__(self, path: Path, frame_rate: tuple[int, int], width: int, height: int) -> None:
        """Open the file; arguments as in `VideoWriter`."""
        self._shape = (height, width)
        self._writer = VideoWriter(path, MASK_LEVEL, frame_rate, width, height, _MASK_OPTIONS)

    def write(self, mask: NDArray[np.uint8]) -> None:
        """Append a mask, uint8 [h, w] of 0 and 255; the caller must not change it afterwards."""
        if cv2.countNonZero(mask) != cv2.countNonZero(cv2.compare(mask, 255, cv2.CMP_EQ)):
            raise Internal("Expected masks of 0 and 255 alone. Received other values", reason="MASK_VALUES")
        self._writer.encode(_picture(mask, self._shape))

    def close(self) -> Path:
        """Finish the file and return its path."""
        return self._writer.close()

    def abandon(self) -> None:
        """Close the file without finishing it. After `close` this does nothing."""
        self._writer.abandon()
