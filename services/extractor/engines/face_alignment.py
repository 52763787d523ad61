"""Engine `face_alignment`: S3FD and the 2D face alignment network, the landmarks of the original FaceForensics++ fakes.

The networks are those of the package `face_alignment`, the weights come from a folder and never from the internet.
"""

from __future__ import annotations

import hashlib
from importlib import metadata, util
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from facefoundry.errors import DataLoss
from services.extractor.engines.base import Engine, Tracker, not_installed
from services.extractor.engines.correlation import CorrelationTracker

__all__ = ["DETECTOR_FILE", "LANDMARK_FILE", "FaceAlignmentEngine", "load", "missing", "missing_package"]

DETECTOR_FILE: Final = "s3fd-619a316812.pth"
"""Weights of S3FD, under the name they are published by."""
LANDMARK_FILE: Final = "2DFAN4-11f355bf06.pth.tar"
"""Weights of the four-stack 2D network, under the name they are published by."""

_REMEDY: Final = (
    "Install it with pip install --no-deps -r locks/face-alignment.txt, and put "
    f"{DETECTOR_FILE} and {LANDMARK_FILE} (from adrianbulat.com/downloads/python-fan) into the folder "
    "FACEFOUNDRY_EXTRACTOR_WEIGHTS_DIR or the bucket prefix FACEFOUNDRY_EXTRACTOR_WEIGHTS_PREFIX."
)
# S3FD finds faces from about 16 pixels on; its time grows with the area.
_DETECTION_SIDE: Final = 360


def missing_package() -> str:
    """Which package this engine lacks here, or an empty string."""
    lacking = [package for package in ("face_alignment", "torch", "dlib") if util.find_spec(package) is None]
    return f"the package {lacking[0]} is not installed" if lacking else ""


def missing(weights_dir: Path | None = None) -> str:
    """What this engine lacks here, or an empty string."""
    if lacks := missing_package():
        return lacks
    if weights_dir is None:
        return "no folder of weights is set"
    lacking = [name for name in (DETECTOR_FILE, LANDMARK_FILE) if not (weights_dir / name).is_file()]
    return f"the folder of weights has no {' and no '.join(lacking)}" if lacking else ""


def load(weights_dir: Path | None = None) -> Engine:
    """Load the engine, on the GPU where torch finds one.

    Raises:
        InvalidInput: torch, the package or the weights are not here.
        DataLoss: the weights are damaged or of other networks.
    """
    lacks = missing(weights_dir)
    if lacks or weights_dir is None:
        raise not_installed("face_alignment", lacks, _REMEDY)
    return FaceAlignmentEngine(weights_dir / DETECTOR_FILE, weights_dir / LANDMARK_FILE)


class FaceAlignmentEngine(Engine):
    """S3FD at about 360 lines; landmarks with the network's quarter-pixel refinement and their fractions kept."""

    name = "face_alignment"

    def __init__(self, detector_weights: Path, landmark_weights: Path) -> None:
        import pickle

        import torch
        from face_alignment import utils
        from face_alignment.detection.sfd import sfd_detector
        from face_alignment.models import FAN

        self._torch, self._utils = torch, utils
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self._detector = sfd_detector.SFDDetector(self._device, path_to_detector=str(detector_weights))
            network = FAN(4)
            network.load_state_dict(torch.load(landmark_weights, map_location=self._device, weights_only=True))
        except (RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
            message = f"{detector_weights.parent} has weights that are damaged or of other networks: {error}"
            raise DataLoss(message, reason="BAD_WEIGHTS", resource=str(detector_weights.parent)) from error
        self._network = network.to(self._device, memory_format=torch.channels_last).eval()
        self.build = (
            f"face_alignment {metadata.version('face_alignment')}, torch {torch.__version__}, "
            f"s3fd {_digest(detector_weights)}, 2dfan4 {_digest(landmark_weights)}"
        )

    def detect(self, frame: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Find faces; see `Engine.detect`."""
        scale = min(1.0, _DETECTION_SIDE / min(frame.shape[:2]))
        size = (max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale)))
        rgb = cv2.cvtColor(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
        found = np.array(self._detector.detect_from_image(rgb), dtype=np.float64).reshape(-1, 5) / scale
        boxes = np.concatenate([found[:, :2], found[:, 2:4] - found[:, :2]], axis=1)
        return boxes[(boxes[:, 2:] >= 1).all(axis=1)]

    def tracker(self, frame: NDArray[np.uint8], box: NDArray[np.float64]) -> Tracker:
        """Follow a face by a correlation filter, a hundred times faster than S3FD on a CPU; see `Engine.tracker`."""
        return CorrelationTracker(frame, box)

    def landmarks(self, frame: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.float32]:
        """Find the 68 landmarks; see `Engine.landmarks`."""
        torch, utils = self._torch, self._utils
        x, y, width, height = (float(value) for value in box)
        center = np.array([x + width / 2, y + height / 2 - height * utils.CENTER_Y_OFFSET])
        scale = (width + height) / self._detector.reference_scale
        crop = utils.crop(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), center, scale)
        planes = torch.from_numpy(crop).permute(2, 0, 1)[None].to(self._device, torch.float32) / 255
        with torch.inference_mode():
            output = self._network(planes.contiguous(memory_format=torch.channels_last))
        heatmaps = (output[-1] if isinstance(output, list) else output).float().cpu().numpy()
        points, _, _ = utils.get_preds_fromhm(np.ascontiguousarray(heatmaps))
        side = utils.SCALE_FACTOR * scale
        return np.asarray((points[0] / heatmaps.shape[-1] - 0.5) * side + center, dtype=np.float32)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
