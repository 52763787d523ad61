"""Fetches results to the folders of a dataset."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from facefoundry import archive, codec
from facefoundry.dataset import files
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.results import StoredResult
from facefoundry.faces.alignments import Alignments
from facefoundry.formats import refuse_newer_json
from facefoundry.storage.parts import ALIGNMENTS, FACES, LABELS, LABELS_FORMAT, MASKS, SAMPLES

__all__ = ["fetch_faces", "fetch_fake", "fetch_real", "fetch_samples", "read_alignments"]

_JPEG = re.compile(r"(?P<frame>\d{6})(/(?P<view>[a-z_]+))?\.jpg")
_FACE = re.compile(r"\d{6}\.png")


@dataclass
class _Label:
    """The fields of a frame's label that are read."""

    swapped: bool


@dataclass
class _Labels:
    """The fields of `labels.json` that are read."""

    frames: list[_Label]


def read_alignments(extraction: StoredResult) -> Alignments:
    """Read the alignments of an extraction."""
    return Alignments.from_bytes(extraction.read(ALIGNMENTS))


def fetch_real(transcoding: StoredResult, layout: Layout, sequence: str) -> None:
    """Fetch the videos of a transcoding, one for each compression level, unless the files exist.

    Args:
        transcoding: The transcoding.
        layout: Names the paths of the files.
        sequence: Id of the sequence.
    """
    for name in transcoding.names:
        if name.endswith(".mp4"):
            transcoding.fetch(name, layout.real_video(name.removesuffix(".mp4"), sequence))


def fetch_fake(conversion: StoredResult, layout: Layout, fake: str) -> list[int]:
    """Fetch a fake, unless the files exist: its videos at every compression level, its masks and its labels.

    Args:
        conversion: The conversion.
        layout: Names the paths of the files.
        fake: Id of the fake, `<target>_<source>`.

    Returns:
        The labels in the order of the frames: 1 if the frame is swapped, 0 if not.

    Raises:
        Unusable: a newer version of FaceFoundry wrote the labels (NEWER_FORMAT).
    """
    for name in conversion.names:
        stem, _, suffix = name.partition(".")
        if suffix == "mp4":
            conversion.fetch(name, layout.mask_video(stem, fake) if stem in MASKS else layout.fake_video(stem, fake))
    path = layout.labels(fake)
    conversion.fetch(LABELS, path)
    data = path.read_bytes()
    refuse_newer_json(data, LABELS_FORMAT, str(path))
    return [int(label.swapped) for label in codec.from_json(_Labels, data).frames]


def fetch_faces(extraction: StoredResult, layout: Layout, sequence: str) -> None:
    """Fetch the face crops of a sequence as `<frame>.png`, and its alignments in faceswap's format of 2018."""
    for part in filter(FACES.matches, extraction.names):
        for name, data in archive.unpack(extraction.read(part)).items():
            if _FACE.fullmatch(name):
                files.write(layout.faces(sequence) / name, data)
    alignments = read_alignments(extraction)
    names = [f"{frame:06d}.png" for frame in range(len(alignments))]
    files.write(layout.alignments(sequence), json.dumps(alignments.to_faceswap(names), indent=2).encode())


def fetch_samples(result: StoredResult, layout: Layout, name: str) -> dict[int, dict[str, str]]:
    """Fetch the sample pictures of an extraction or a conversion to the run's folder.

    Args:
        result: The extraction or conversion.
        layout: Names the path of the run's folder.
        name: Id of the sequence or fake, the folder of its pictures.

    Returns:
        The paths of the pictures by frame number and then by view, relative to the run's folder. A view is what a
        picture shows, such as `swap` or `masks`. An extraction has one picture for each frame, with the empty string as
        its view.
    """
    pictures: dict[int, dict[str, str]] = {}
    for member, data in archive.unpack(result.read(SAMPLES)).items():
        match = _JPEG.fullmatch(member)
        if match is None:
            continue
        frame, view = match["frame"], match["view"] or ""
        relative = f"{name}/{frame}-{view}.jpg" if view else f"{name}/{frame}.jpg"
        files.write(layout.run_folder() / relative, data)
        pictures.setdefault(int(frame), {})[view] = relative
    return dict(sorted(pictures.items()))
