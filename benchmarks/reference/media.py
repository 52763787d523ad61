"""FF++'s way to pass frames between stages: every stage writes numbered PNG files, and the next one reads them.

FF++'s scripts call ffmpeg; this module uses ffmpeg's library libav, and OpenCV.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.frame import PictureType
from av.video.stream import VideoStream
from numpy.typing import NDArray

__all__ = ["GREY", "LEVELS", "encode_pictures", "pictures_of", "read_pictures", "write_pictures"]

LEVELS = {
    "c0": ("libx264rgb", 0, "bgr24"),
    "c23": ("libx264", 23, "yuv444p"),
    "c40": ("libx264", 40, "yuv444p"),
}
"""Codec, constant rate factor and pixel format of each level, as ffmpeg chooses them for PNG files."""

GREY = ("libx264", 0, "gray")
"""Codec, constant rate factor and pixel format for masks without colour; FF++ stores masks with colour."""

_NAME = "%06d.png"


def pictures_of(clip: Path, folder: Path) -> list[Path]:
    """Decode a clip to PNG files, as `ffmpeg -i CLIP FOLDER/%06d.png` does, and return the files in order."""
    with av.open(str(clip)) as source, av.open(str(folder / _NAME), "w", format="image2") as sink:
        stream = source.streams.video[0]
        pictures = sink.add_stream("png", rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = stream.width, stream.height, "rgb24"
        for frame in source.decode(stream):
            sink.mux(pictures.encode(frame.reformat(format="rgb24", interpolation="BICUBIC")))
        sink.mux(pictures.encode())
    return sorted(folder.glob("*.png"))


def write_pictures(frames: Iterable[NDArray[np.uint8]], folder: Path) -> list[Path]:
    """Write frames or grey masks as PNG files with OpenCV, as FF++'s converter does, and return the files in order."""
    for number, frame in enumerate(frames):
        cv2.imwrite(str(folder / (_NAME % number)), frame)
    return sorted(folder.glob("*.png"))


def read_pictures(paths: Iterable[Path]) -> list[NDArray[np.uint8]]:
    """Read pictures with OpenCV, as FF++'s stages do."""
    return [np.asarray(cv2.imread(str(path)), np.uint8) for path in paths]


def encode_pictures(
    folder: Path, path: Path, level: tuple[str, int, str], preset: str = "medium", **options: str
) -> Path:
    """Encode PNG files as a video, as `ffmpeg -i FOLDER/%06d.png -c:v CODEC -crf CRF PATH` does.

    Args:
        folder: Folder of the PNG files.
        path: File of the video.
        level: Codec, constant rate factor and pixel format.
        preset: Preset of x264; FF++'s is medium.
        options: Further options of x264; FF++ has none.
    """
    codec, crf, pixel_format = level
    with (
        av.open(str(folder / _NAME), format="image2", options={"framerate": "25"}) as source,
        av.open(str(path), "w", format="mp4") as sink,
    ):
        pictures = source.streams.video[0]
        stream = sink.add_stream(codec, rate=25, options={"crf": str(crf), "preset": preset, **options})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = pictures.width, pictures.height, pixel_format
        stream.codec_context.thread_count = 4
        for number, frame in enumerate(source.decode(pictures)):
            picture = frame.reformat(format=pixel_format, interpolation="BICUBIC")
            picture.pts, picture.time_base = number, Fraction(1, 25)
            # A PNG file decodes to a key frame; ffmpeg leaves what becomes one to the encoder.
            picture.pict_type = PictureType.NONE
            sink.mux(stream.encode(picture))
        sink.mux(stream.encode())
    return path
