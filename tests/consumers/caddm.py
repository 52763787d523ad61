"""CADDM: its dataset, with the blending of fakes and targets."""

import json
import os
import sys
import tempfile
import types
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import scipy.ndimage

clone, out = Path(sys.argv[1]), Path(sys.argv[2])
sys.path.insert(0, str(clone))
np.int, np.float = int, float  # it was written for a NumPy that had these names
for name in ("filters", "interpolation"):  # SciPy had these modules too
    module = types.ModuleType(f"scipy.ndimage.{name}")
    module.__dict__.update(vars(scipy.ndimage))
    sys.modules[module.__name__] = module

jpeg = types.ModuleType("lib.data_preprocess.utils.jpegpy")  # a C library that is not in the clone
jpeg.jpeg_encode = lambda picture, quality=80: cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
jpeg.jpeg_decode = lambda data: cv2.imdecode(data, cv2.IMREAD_COLOR)
sys.modules[jpeg.__name__] = jpeg

import torch  # noqa: E402
import yaml  # noqa: E402
from dataset import DeepfakeDataset  # noqa: E402

work = tempfile.mkdtemp()
os.chdir(work)
Path("train_images").symlink_to(out / "train_images")
config = yaml.safe_load((clone / "configs" / "caddm_train.cfg").read_text())
dataset = DeepfakeDataset("train", config)


def collate(rows):
    kept = [row for row in rows if row[0] is not None]
    return torch.utils.data.default_collate(kept)


loader = torch.utils.data.DataLoader(dataset, batch_size=16, shuffle=True, collate_fn=collate)
pictures, (labels, places, confidences) = next(iter(loader))
counted = Counter(int(sample[1]["labels"]) for sample in dataset.samples)
shapes = {"image": list(pictures.shape), "location": list(places.shape), "confidence": list(confidences.shape)}
print(
    json.dumps({"samples": len(dataset), "labels": {str(k): n for k, n in sorted(counted.items())}, "shapes": shapes})
)
