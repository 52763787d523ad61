"""Random weights for the engine face_alignment: `python -m benchmarks.random_weights FOLDER`.

They have the right shapes and names, so the real networks run at their real speed where the published weights are not
at hand. What they find is no face.
"""

from __future__ import annotations

import sys
from pathlib import Path

from services.extractor.engines.face_alignment import DETECTOR_FILE, LANDMARK_FILE

__all__ = ["write"]


def write(folder: Path) -> Path:
    """Write both files; the same numbers every time.

    The detector fires at the largest anchor of each of its coarsest cells, one every 128 pixels: boxes of 512 pixels.

    Args:
        folder: Where to; made if it is not there.

    Returns:
        The folder.
    """
    import torch
    from face_alignment.detection.sfd.net_s3fd import s3fd
    from face_alignment.models import FAN

    torch.manual_seed(0)
    detector = s3fd()
    with torch.no_grad():
        for name, layer in detector.named_modules():
            if name.endswith("_mbox_conf"):
                layer.weight.zero_()
                layer.bias.copy_(torch.tensor([9.0, 9.0, 9.0, 0.0] if layer.out_channels == 4 else [9.0, 0.0]))
            if name.endswith("_mbox_loc"):
                layer.weight.zero_()
                layer.bias.zero_()
        detector.conv7_2_mbox_conf.bias.copy_(torch.tensor([0.0, 4.0]))
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(detector.state_dict(), folder / DETECTOR_FILE)
    torch.save(FAN(4).state_dict(), folder / LANDMARK_FILE)
    return folder


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchmarks.random_weights FOLDER")
    write(Path(sys.argv[1]))
