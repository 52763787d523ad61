"""Quality figures of a fake, computed while its frames are written."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from services.converter.appearance import Appearance
from services.converter.composite import Patch
from services.converter.warp import Region

__all__ = ["Quality"]


class Quality:
    """Computes quality figures frame by frame. Frames are uint8 [h, w, 3] BGR, differences grey levels of 0 to 255."""

    def __init__(self) -> None:
        self._frames = 0
        self._outside = 0
        self._change: list[float] = []
        self._changed_share: list[float] = []
        self._box_share: list[float] = []
        self._flicker: list[float] = []
        self._appearance = Appearance()
        self._before: tuple[NDArray[np.uint8], NDArray[np.uint8], Patch] | None = None

    def add(
        self, target: NDArray[np.uint8], output: NDArray[np.uint8], changed: NDArray[np.uint8], patch: Patch | None
    ) -> int:
        """Add a frame.

        Args:
            target: The target's decoded frame.
            output: The frame that is written.
            changed: uint8 [h, w], not 0 where `target` and `output` differ.
            patch: The pixels that replace the target's; None if the frame is not swapped.

        Returns:
            Number of changed pixels that do not lie strictly inside the box.
        """
        self._frames += 1
        changed_pixels = cv2.countNonZero(changed)
        if patch is None:
            self._outside += changed_pixels
            self._before = None
            return changed_pixels
        area = changed.shape[0] * changed.shape[1]
        inside = np.ascontiguousarray(changed[patch.box.region.expanded(-1).slices])
        outside = changed_pixels - (cv2.countNonZero(inside) if inside.size else 0)
        self._outside += outside
        self._changed_share.append(changed_pixels / area)
        self._box_share.append(patch.box.width * patch.box.height / area)
        difference = cv2.absdiff(output[patch.region.slices], target[patch.region.slices])
        self._change.append(_mean(difference, patch.blend))
        self._appearance.add(target, output, patch)
        if self._before is not None:
            self._flicker.append(_flicker(self._before, target, output, patch))
        self._before = (target, output, patch)
        return outside

    def cut(self) -> None:
        """Record that frames are left out before the next one, so that no flicker is measured across the gap."""
        self._before = None

    def figures(self) -> dict[str, float]:
        """Return the figures so far.

        Returns:
            swapped_share: Share of the frames that are swapped, 0 to 1.
            mean_change: Mean absolute difference from the target inside the blend mask.
            mean_flicker: Mean absolute change, from one swapped frame to the next, of the difference from the target.
            changed_share: Mean share of a swapped frame's pixels that differ from the target.
            box_share: Mean share of a swapped frame that the box covers.
            changed_outside: Number of pixels, over all frames, that differ from the target and do not lie strictly
                inside the box. It is 0 if every frame was cloned as `opencv-3.4.1`.
            sharpness, seam, colour_step: As `Appearance.figures` returns them.
        """
        return {
            "swapped_share": len(self._change) / max(self._frames, 1),
            "mean_change": _average(self._change),
            "mean_flicker": _average(self._flicker),
            "changed_share": _average(self._changed_share),
            "box_share": _average(self._box_share),
            "changed_outside": float(self._outside),
            **self._appearance.figures(),
        }


def _average(values: list[float]) -> float:
    return round(float(np.mean(values)), 6) if values else 0.0


def _mean(difference: NDArray[np.uint8], mask: NDArray[np.uint8]) -> float:
    return float(np.mean(cv2.mean(np.ascontiguousarray(difference), mask=mask)[:3]))


def _flicker(
    before: tuple[NDArray[np.uint8], NDArray[np.uint8], Patch],
    target: NDArray[np.uint8],
    output: NDArray[np.uint8],
    patch: Patch,
) -> float:
    target_before, output_before, patch_before = before
    region: Region = patch.region.union(patch_before.region)
    mask = np.zeros((region.height, region.width), np.uint8)
    for covered in (patch, patch_before):
        mask[covered.region.relative_to(region)] |= covered.blend
    put_now = output[region.slices].astype(np.int16) - target[region.slices]
    put_before = output_before[region.slices].astype(np.int16) - target_before[region.slices]
    return float(np.abs(put_now - put_before)[mask > 0].mean())
