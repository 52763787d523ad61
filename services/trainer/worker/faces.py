"""Loads the face crops of an extraction into memory for training.

The extractor cuts a crop with a margin around the square of the mean face, so that the augmentation has pixels to move.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from facefoundry import codec
from facefoundry.errors import DataLoss, Unusable
from facefoundry.faces import face_tar
from facefoundry.faces.alignments import Alignments
from facefoundry.faces.fixed_point import affine_points
from facefoundry.media.source import frame_digest
from facefoundry.storage import manifest
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.parts import ALIGNMENTS, FACES
from facefoundry.storage.store import Store
from services.trainer.worker.augmentation import MAX_FACES
from services.trainer.worker.warp_grid import CROP_SIZE, MARGIN

__all__ = ["Faces", "fetch", "unwarped"]


class Faces(NamedTuple):
    """The faces of one side.

    Attributes:
        crops: uint8 [n, 256, 256, 3], BGR, in the order of the frames, n >= 1.
        margin: Distance from the border of `crops` to the mean-face square, pixels.
        content_digest: Content digest of the extraction.
    """

    crops: NDArray[np.uint8]
    margin: float
    content_digest: str


@dataclass(frozen=True)
class _CropOptions:
    """The options of the extraction that this module reads; `padding` is the margin of the stored crops, pixels."""

    padding: float = MARGIN


def fetch(store: Store, prefix: str) -> Faces:
    """Load the crops of an extraction; if there are more than `MAX_FACES`, evenly spaced ones.

    The content digest is computed from the alignments, which have digests of the crops. Both are verified.

    Args:
        store: The object store.
        prefix: Bucket prefix of the extraction.

    Raises:
        NotFound: the extraction is not committed.
        DataLoss: a part is damaged, or the content is not that of the manifest (DIGEST_MISMATCH).
        Unusable: no frame has a face (NO_FACES).
    """
    extraction = manifest.load(store, prefix)
    parts = sorted((part for part in extraction.parts if FACES.matches(part.name)), key=lambda part: part.name)
    unpacked = [face_tar.unpack(manifest.read_part(store, part)) for part in parts]
    alignments = Alignments.from_bytes(manifest.read_part(store, extraction.part(ALIGNMENTS)))
    _require_own(alignments, unpacked, extraction, store.uri(prefix))
    found = [crops for _, crops in unpacked if len(crops)]
    if not found:
        raise Unusable(
            f"Expected faces to train on. The extraction {store.uri(prefix)} has no face in any frame. "
            "Use a clip that shows the face.",
            reason="NO_FACES",
        )
    size = found[0].shape[1]
    crops = np.concatenate(found) if size == CROP_SIZE else np.concatenate([_resized(crops) for crops in found])
    if len(crops) > MAX_FACES:
        crops = crops[np.linspace(0, len(crops) - 1, MAX_FACES).astype(np.int64)]
    margin = codec.from_values(_CropOptions, extraction.options).padding * CROP_SIZE / size
    return Faces(crops, margin, extraction.content_digest)


def _require_own(
    alignments: Alignments,
    unpacked: Sequence[tuple[NDArray[np.int64], NDArray[np.uint8]]],
    extraction: Manifest,
    uri: str,
) -> None:
    """Check that alignments have the content digest of a manifest, and that the crops are those of the alignments.

    Raises:
        DataLoss: they are not (DIGEST_MISMATCH).
    """
    digests = [frame_digest(crop) for _, crops in unpacked for crop in crops]
    frames = [int(number) for numbers, _ in unpacked for number in numbers]
    own = np.flatnonzero(alignments.found).tolist()
    if (
        alignments.content_digest() != extraction.content_digest
        or frames != own
        or digests != alignments.crop_digests[own].tolist()
    ):
        raise DataLoss(
            f"Expected faces and alignments in {uri} with the content digest {extraction.content_digest} of its "
            "manifest. Received others: another program wrote them. Delete the prefix and extract the clip again.",
            resource=uri,
        )


def _resized(crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Resize crops to 256x256 with cv2.resize, as FF++ does."""
    return np.stack([np.asarray(cv2.resize(crop, (CROP_SIZE, CROP_SIZE)), np.uint8) for crop in crops])


def unwarped(faces: Faces, count: int, face_size: int) -> NDArray[np.uint8]:
    """Select evenly spaced crops, and cut out their mean-face square as the converter does, without augmentation.

    Args:
        faces: The faces of a side.
        count: Largest number of crops to select.
        face_size: Width and height of the network's faces, pixels.

    Returns:
        uint8 [at most count, face_size, face_size, 3], BGR.
    """
    chosen = np.unique(np.linspace(0, len(faces.crops) - 1, count).astype(np.int64))
    step = (CROP_SIZE - 2 * faces.margin) / face_size
    matrix = np.array([[step, 0, faces.margin], [0, step, faces.margin]])
    points = affine_points(matrix, 0, 0, face_size, face_size)
    pictures = [cv2.remap(crop, *points, cv2.INTER_LINEAR) for crop in faces.crops[chosen]]
    return np.stack([np.asarray(picture, np.uint8) for picture in pictures])
