"""Brings finished work from the object store into the dataset's folders; what is there already is not fetched again."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from facefoundry import archive
from facefoundry.dataset.ffpp_layout import Layout
from facefoundry.faces.alignments import Alignments
from facefoundry.storage import manifest
from facefoundry.storage.manifest import Manifest, Part
from facefoundry.storage.parts import ALIGNMENTS, FACES, LABELS, MASKS, SAMPLES
from facefoundry.storage.store import Store

__all__ = ["fetch_faces", "fetch_fake", "fetch_real", "fetch_samples", "read_alignments"]

_JPEG = re.compile(r"(?P<frame>\d{6})(/(?P<view>[a-z_]+))?\.jpg")
_FACE = re.compile(r"\d{6}\.png")


def read_alignments(store: Store, extraction: Manifest) -> Alignments:
    """Alignments of a committed extraction."""
    return Alignments.from_bytes(manifest.read_part(store, extraction.part(ALIGNMENTS)))


def fetch_real(store: Store, transcoding: Manifest, layout: Layout, sequence: str) -> None:
    """A real sequence at every level."""
    for part in transcoding.parts:
        if part.name.endswith(".mp4"):
            _file(store, part, layout.real_video(part.name.removesuffix(".mp4"), sequence))


def fetch_fake(store: Store, conversion: Manifest, layout: Layout, name: str) -> dict[str, Any]:
    """A manipulated sequence at every level, its masks and labels; returns the labels."""
    for part in conversion.parts:
        stem, _, suffix = part.name.partition(".")
        if suffix == "mp4":
            _file(store, part, layout.mask_video(stem, name) if stem in MASKS else layout.fake_video(stem, name))
    path = layout.labels(name)
    _file(store, conversion.part(LABELS), path)
    record: dict[str, Any] = json.loads(path.read_bytes())
    return record


def fetch_faces(store: Store, extraction: Manifest, layout: Layout, sequence: str) -> int:
    """A sequence's face crops as `<frame>.png` and its alignments in faceswap's form; returns the number of faces."""
    folder, count = layout.faces(sequence), 0
    for part in extraction.parts:
        if FACES.matches(part.name):
            for name, data in archive.unpack(manifest.read_part(store, part)).items():
                if _FACE.fullmatch(name):
                    (folder / name).write_bytes(data)
                    count += 1
    found = read_alignments(store, extraction)
    names = [f"{frame:06d}.png" for frame in range(len(found))]
    layout.alignments(sequence).write_text(json.dumps(found.to_faceswap(names), indent=2), encoding="utf-8")
    return count


def fetch_samples(store: Store, record: Manifest, layout: Layout, name: str) -> dict[int, dict[str, str]]:
    """Sample pictures of an extraction or conversion, below the report's folder.

    Returns:
        Frame number to view name (empty for an extraction) to path relative to the report's folder.
    """
    found: dict[int, dict[str, str]] = {}
    for member, data in archive.unpack(manifest.read_part(store, record.part(SAMPLES))).items():
        match = _JPEG.fullmatch(member)
        if match is None:
            continue
        frame, view = match["frame"], match["view"] or ""
        relative = f"{name}/{frame}-{view}.jpg" if view else f"{name}/{frame}.jpg"
        path = layout.report() / relative
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        found.setdefault(int(frame), {})[view] = relative
    return dict(sorted(found.items()))


def _file(store: Store, part: Part, path: Path) -> None:
    if path.is_file() and path.stat().st_size == part.size:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == part.sha256:
                return
    manifest.fetch_part(store, part, path)
