"""Downloads results from the object store to the folders of a dataset."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from facefoundry import archive, codec
from facefoundry.dataset import files
from facefoundry.dataset.layout import Layout
from facefoundry.faces.alignments import Alignments
from facefoundry.storage import manifest
from facefoundry.storage.manifest import Manifest, Part
from facefoundry.storage.parts import ALIGNMENTS, FACES, LABELS, MASKS, SAMPLES
from facefoundry.storage.store import Store

__all__ = ["fetch_faces", "fetch_fake", "fetch_file", "fetch_real", "fetch_samples", "matches_part", "read_alignments"]

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


def read_alignments(store: Store, extraction: Manifest) -> Alignments:
    """Read the alignments of an extraction from the store."""
    return Alignments.from_bytes(manifest.read_part(store, extraction.part(ALIGNMENTS)))


def fetch_real(store: Store, transcoding: Manifest, layout: Layout, sequence: str) -> None:
    """Download the videos of a transcoding, one for each compression level, unless the files exist.

    Args:
        store: The object store.
        transcoding: Manifest of the transcoding.
        layout: Names the paths of the files.
        sequence: Id of the sequence.
    """
    for part in transcoding.parts:
        if part.name.endswith(".mp4"):
            fetch_file(store, part, layout.real_video(part.name.removesuffix(".mp4"), sequence))


def fetch_fake(store: Store, conversion: Manifest, layout: Layout, fake: str) -> list[int]:
    """Download a fake, unless the files exist: its videos at every compression level, its masks and its labels.

    Args:
        store: The object store.
        conversion: Manifest of the conversion.
        layout: Names the paths of the files.
        fake: Id of the fake, `<target>_<source>`.

    Returns:
        The labels in the order of the frames: 1 if the frame is swapped, 0 if not.
    """
    for part in conversion.parts:
        stem, _, suffix = part.name.partition(".")
        if suffix == "mp4":
            fetch_file(store, part, layout.mask_video(stem, fake) if stem in MASKS else layout.fake_video(stem, fake))
    path = layout.labels(fake)
    fetch_file(store, conversion.part(LABELS), path)
    return [int(label.swapped) for label in codec.from_json(_Labels, path.read_bytes()).frames]


def fetch_faces(store: Store, extraction: Manifest, layout: Layout, sequence: str) -> None:
    """Download the face crops of a sequence as `<frame>.png`, and its alignments in faceswap's format of 2018."""
    for part in extraction.parts:
        if FACES.matches(part.name):
            for name, data in archive.unpack(manifest.read_part(store, part)).items():
                if _FACE.fullmatch(name):
                    files.write(layout.faces(sequence) / name, data)
    alignments = read_alignments(store, extraction)
    names = [f"{frame:06d}.png" for frame in range(len(alignments))]
    files.write(layout.alignments(sequence), json.dumps(alignments.to_faceswap(names), indent=2).encode())


def fetch_samples(store: Store, committed: Manifest, layout: Layout, name: str) -> dict[int, dict[str, str]]:
    """Download the sample pictures of an extraction or a conversion to the run's folder.

    Args:
        store: The object store.
        committed: Manifest of the extraction or conversion.
        layout: Names the path of the run's folder.
        name: Id of the sequence or fake, the folder of its pictures.

    Returns:
        The paths of the pictures by frame number and then by view, relative to the run's folder. A view is what a
        picture shows, such as `swap` or `masks`. An extraction has one picture for each frame, with the empty string as
        its view.
    """
    pictures: dict[int, dict[str, str]] = {}
    for member, data in archive.unpack(manifest.read_part(store, committed.part(SAMPLES))).items():
        match = _JPEG.fullmatch(member)
        if match is None:
            continue
        frame, view = match["frame"], match["view"] or ""
        relative = f"{name}/{frame}-{view}.jpg" if view else f"{name}/{frame}.jpg"
        files.write(layout.run_folder() / relative, data)
        pictures.setdefault(int(frame), {})[view] = relative
    return dict(sorted(pictures.items()))


def fetch_file(store: Store, part: Part, path: Path) -> None:
    """Download a part to a file, unless the file exists and has the digest of the part."""
    if not matches_part(path, part):
        manifest.fetch_part(store, part, files.in_new_folder(path))


def matches_part(path: Path, part: Part) -> bool:
    """Return whether a file has the size and the digest of a part."""
    if not path.is_file() or (part.has_size and path.stat().st_size != part.size):
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == part.sha256
