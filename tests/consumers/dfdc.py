"""selimsef/dfdc_deepfake_challenge: its folds, then its dataset of crops; counts are of videos."""

import json
import os
import sys
import tempfile
import types
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

clone, out = Path(sys.argv[1]), Path(sys.argv[2])
work = Path(tempfile.mkdtemp())
os.chdir(clone)
sys.path.insert(0, str(clone))
package = types.ModuleType("preprocessing")  # its own import needs a detector of faces
package.__path__ = [str(clone / "preprocessing")]
sys.modules["preprocessing"] = package
from preprocessing import generate_folds  # noqa: E402

sys.argv = ["generate_folds", "--root-dir", str(out), "--out", str(work / "folds.csv")]
generate_folds.main()
import dlib  # noqa: E402
import torch  # noqa: E402

dlib.shape_predictor = lambda path: None  # its weights are not in the clone, and this loader does not use them
try:
    import albumentations.pytorch.functional  # noqa: F401
except ImportError:

    def img_to_tensor(image, normalize=None):
        """Convert a picture as albumentations before 1.0 did."""
        tensor = torch.from_numpy(np.moveaxis(image / 255.0, -1, 0).astype(np.float32))
        return (tensor - torch.tensor(normalize["mean"])[:, None, None]) / torch.tensor(normalize["std"])[:, None, None]

    module = types.ModuleType("albumentations.pytorch.functional")
    module.img_to_tensor = img_to_tensor
    sys.modules[module.__name__] = module
from albumentations.augmentations import functional  # noqa: E402

for name in ("image_compression", "rot90"):
    if not hasattr(functional, name):
        setattr(functional, name, None)
from training.datasets.classifier_dataset import DeepFakeClassifierDataset  # noqa: E402


def resized(image, mask):
    """Give all crops one size, so that they make a batch."""
    return {"image": cv2.resize(image, (224, 224)), "mask": cv2.resize(mask, (224, 224))}


dataset = DeepFakeClassifierDataset(
    str(out), fold=99, folds_csv=str(work / "folds.csv"), mode="train", oversample_real=False, hardcore=False,
    transforms=resized,
)  # fmt: skip
dataset.reset(0, 7)
batch = next(iter(torch.utils.data.DataLoader(dataset, batch_size=8)))
rows = [dataset[i] for i in range(len(dataset))]
invalid = sum(row["valid"] == 0 for row in rows)
assert invalid == 0, f"{invalid} of {len(rows)} samples are not valid"
videos = pd.read_csv(work / "folds.csv", dtype={"video": str}).groupby("label")["video"].nunique()
print(
    json.dumps(
        {
            "samples": len(dataset),
            "labels": {str(int(label)): int(count) for label, count in videos.items()},
            "shapes": {name: list(batch[name].shape) for name in ("image", "labels")},
        }
    )
)
