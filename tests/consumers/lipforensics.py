"""LipForensics: its crop of mouths, then its dataset of clips, of all splits."""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pandas as pd

clone, out = Path(sys.argv[1]), Path(sys.argv[2])
work = tempfile.mkdtemp()
os.chdir(work)
Path("data").symlink_to(out / "data")
root = out / "data" / "datasets"
for name in ("RealFF", "Deepfakes"):
    subprocess.run(
        [
            sys.executable, str(clone / "preprocessing" / "crop_mouths.py"), "--data-root", str(root), "--dataset",
            name, "--compression", "c23", "--mean-face", str(clone / "preprocessing" / "20words_mean_face.npy"),
        ],
        check=True,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
sys.path.insert(0, str(clone))
import torch  # noqa: E402
from data.dataset_clips import ForensicsClips  # noqa: E402
from utils import get_files_from_split  # noqa: E402

real, fake = [], []
for split in ("train", "val", "test"):
    listed = pd.read_json(root / "Forensics" / "splits" / f"{split}.json", dtype=False)
    if len(listed):
        real_names, fake_names = get_files_from_split(listed)
        real, fake = real + real_names, fake + fake_names
dataset = ForensicsClips(real, fake, 25, fakes=("Deepfakes",), compression="c23", grayscale=True)
pictures, labels, _ = next(iter(torch.utils.data.DataLoader(dataset, batch_size=4, shuffle=True)))
found = {int(video): int(label) for _, label, video in (dataset[i] for i in range(len(dataset)))}
counted = Counter(found.values())
print(
    json.dumps(
        {
            "samples": len(dataset),
            "labels": {str(label): count for label, count in sorted(counted.items())},
            "shapes": {"image": list(pictures.shape), "label": list(labels.shape)},
        }
    )
)
