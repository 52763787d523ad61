"""THIRD_PARTY.md: what it claims about images and wheels."""

from __future__ import annotations

import ctypes
import re
from importlib import metadata
from pathlib import Path

import av  # noqa: F401  # loads the libraries that PyAV's FFmpeg is linked with
import cv2  # noqa: F401  # the same for OpenCV's
import pytest

from docs.third_party import IMAGES, PAGE, bundled, page, spdx

ROOT = Path(__file__).parents[2]


def test_the_page_is_current():
    text = PAGE.read_text()
    assert page(text) == text, "run `make generate`"


def test_every_image_of_the_dockerfile_and_every_lock_of_an_image_is_listed():
    dockerfile = (ROOT / "Dockerfile").read_text()
    copied = set(re.findall(r"^COPY .*$", dockerfile, re.MULTILINE))
    copied = set(re.findall(r"locks/([\w-]+)\.txt", "\n".join(copied))) - {"dev"}
    assert {lock for locks in IMAGES.values() for lock in locks} == copied
    (images,) = re.findall(r"^IMAGES \?= (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {image.partition(" ")[0] for image in IMAGES} == set(images.split())


@pytest.mark.parametrize(
    ("texts", "expression"),
    [
        (["MIT AND Zlib", "BSD"], "MIT AND Zlib"),
        (["Apache 2.0"], "Apache-2.0"),
        (["A whole text", "License :: OSI Approved :: MIT License"], "MIT"),
        (["BSD", "License :: OSI Approved :: BSD License"], None),
        ([], None),
    ],
)
def test_a_vague_licence_is_not_guessed(texts, expression):
    assert spdx(texts) == expression


def test_pyav_carries_x264_and_x265_and_opencv_does_not():
    assert {"x264", "x265"} <= set(bundled("av"))
    assert not {"x264", "x265"} & set(bundled("opencv-python-headless"))


@pytest.mark.parametrize("package", ["av", "opencv-python-headless"])
def test_ffmpeg_reports_the_licence_that_the_page_lists(package):
    (library,) = (file for file in metadata.files(package) or [] if file.name.startswith("libavcodec"))
    report = ctypes.CDLL(str(library.locate())).avcodec_license
    report.restype = ctypes.c_char_p
    version = {"LGPL version 3 or later": "LGPL-3.0-or-later", "LGPL version 2.1 or later": "LGPL-2.1-or-later"}
    assert bundled(package)["FFmpeg"] == version[report().decode()]
