"""Stores face crops as extractions without a service, for tests of what reads them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from facefoundry.faces import face_tar
from facefoundry.faces.alignments import Alignments
from facefoundry.media.source import frame_digest
from facefoundry.storage import manifest
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.store import Store

Crops = NDArray[np.uint8]


def alignments_of(crops: Crops) -> Alignments:
    """Alignments of as many frames, each with a face; all but the digests of the crops is made up."""
    count = len(crops)
    return Alignments(
        boxes=np.zeros((count, 4), np.int32),
        landmarks=np.zeros((count, 68, 2), np.float32),
        matrices=np.zeros((count, 2, 3), np.float64),
        reasons=np.zeros(count, np.uint8),
        frame_digests=np.arange(count, dtype=np.uint64),
        crop_digests=np.array([frame_digest(crop) for crop in crops], np.uint64),
        frame_rate=(25, 1),
        width=640,
        height=360,
        decoder="test",
        engine="test",
    )


def put_extraction(store: Store, prefix: str, crops: Crops | Mapping[str, Crops], **options: int) -> Manifest:
    """Commit an extraction, and return its manifest.

    Args:
        store: The object store.
        prefix: Prefix of the extraction.
        crops: uint8 [n, s, s, 3]; or of each tar of faces, by its name, in order.
        options: Fields of the recipe.
    """
    tars = crops if isinstance(crops, Mapping) else {"faces-00000.tar": crops}
    alignments, parts, first = alignments_of(np.concatenate([*tars.values()])), [], 0
    for name, stack in tars.items():
        data = face_tar.pack(dict(enumerate(stack, first)))
        parts.append(manifest.put_part(store, prefix, name, data))
        first += len(stack)
    parts.append(manifest.put_part(store, prefix, "alignments.safetensors", alignments.to_bytes()))
    made = Manifest("extraction", {}, options, tuple(parts), {}, alignments.content_digest())
    return manifest.commit(store, prefix, made)
