"""Makes random weights for the engine face_alignment: `python -m benchmarks.random_weights FOLDER`.

The weights have the names and shapes of the published ones, so the speed of the real networks can be measured without
the published weights. The networks do not find faces with them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from services.extractor.engines.face_alignment import DETECTOR_FILE, LANDMARK_FILE

__all__ = ["write"]


def write(folder: Path) -> Path:
    """Write the weights of detector and landmark network; they are the same every time.

    With these weights the detector returns a box of 512 pixels for every 128th row and column of pixels.

    Args:
        folder: Folder for both files; created if it does not exist.

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
