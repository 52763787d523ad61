"""SelfBlendedImages: its dataset of real frames, which it blends with themselves."""

import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

clone, out = Path(sys.argv[1]), Path(sys.argv[2])
sys.path.insert(0, str(clone / "src"))
np.int, np.float = int, float  # it was written for a NumPy that had these names

import torch  # noqa: E402

work = tempfile.mkdtemp()
os.chdir(work)
Path("data").symlink_to(out / "data")
from utils.sbi import SBI_Dataset  # noqa: E402

dataset = SBI_Dataset(phase="train", image_size=224, n_frames=8)
loader = torch.utils.data.DataLoader(dataset, batch_size=8, shuffle=True, collate_fn=dataset.collate_fn)
batch = next(iter(loader))
changed = [float((fake - real).max()) for fake, real in (dataset[i] for i in range(min(8, len(dataset))))]
assert max(changed) > 0, "blended pictures differ from the real ones"
shapes = {name: list(value.shape) for name, value in batch.items()}
print(json.dumps({"samples": len(dataset), "labels": {"0": len(dataset)}, "shapes": shapes}))
