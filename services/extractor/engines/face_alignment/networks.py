"""The implementation of the engine `face_alignment`: the detector S3FD, a correlation tracker, and landmarks by FAN."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from facefoundry.errors import DataLoss
from services.extractor.engines.base import Engine, Tracker
from services.extractor.engines.correlation import CorrelationTracker

__all__ = ["FaceAlignmentEngine"]

# Height (or width, if smaller) that frames are reduced to for detection, pixels. S3FD finds faces of 16 pixels and
# more, and its time grows with the area.
_DETECTION_SIDE: Final = 360


class FaceAlignmentEngine(Engine):
    """The loaded engine `face_alignment`. It runs on a GPU if torch finds one.

    The landmark network returns a heatmap for each landmark. The landmark is the highest pixel of the heatmap, moved by
    a quarter of a heatmap pixel towards its higher neighbour, so landmarks have fractions.

    Args:
        detector_weights: Weights of S3FD.
        landmark_weights: Weights of the landmark network, FAN with four stacks.

    Raises:
        DataLoss: the weights are damaged or belong to other networks (BAD_WEIGHTS).
    """

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
            message = (
                f"Expected {detector_weights} and {landmark_weights} to contain the weights of S3FD and 2DFAN-4. "
                f"A file is damaged or belongs to another network: {error}. Copy the published files again."
            )
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
        """Make a correlation tracker, which is a hundred times faster than S3FD on a CPU; see `Engine.tracker`."""
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
