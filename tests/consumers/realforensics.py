"""RealForensics: its crop of faces, then its dataset of clips, of all splits; counts are of videos."""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

clone, out = Path(sys.argv[1]), Path(sys.argv[2])
os.chdir(tempfile.mkdtemp())
root = out / "data" / "Forensics"
for name in ("Real", "Deepfakes"):
    program, mean_face = clone / "preprocessing" / "extract_faces.py", clone / "preprocessing" / "20words_mean_face.npy"
    folder = root / name / "c23"
    command = [sys.executable, str(program), "--root-dir", str(folder), "--mean-face", str(mean_face)]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    cropped = {path.stem for path in (folder / "cropped_faces").iterdir()}
    # What was cropped of a video that an update removed stays, and no list names it.
    assert cropped >= {path.stem for path in (folder / "videos").iterdir()}, f"every video of {name} was cropped"
sys.path.insert(0, str(clone))
import torch  # noqa: E402
from pytorchvideo.data import make_clip_sampler  # noqa: E402
from stage2.data.pytorchvideo_utils import labeled_video_dataset_types  # noqa: E402

found, shapes = Counter(), {}
for split in ("train", "val", "test"):
    lists = [str(root / "csv_files" / f"{split}_{kind}.csv") for kind in ("real", "fake", "dfo")]
    if not Path(lists[0]).read_text():
        continue  # its loader refuses a list without a line
    dataset = labeled_video_dataset_types(
        ["Real", "Deepfakes"], *lists, clip_sampler=make_clip_sampler("random", 25 / 25 - 0.04),
        video_path_prefix=str(root), video_sampler=torch.utils.data.SequentialSampler, crop_type="cropped_faces",
    )  # fmt: skip
    samples = list(dataset)
    assert len(samples) == dataset.num_videos, "every video gives a clip"
    found.update(sample["label"] for sample in samples)
    if not shapes:
        clips = torch.stack([sample["video"] for sample in samples[:4]])
        shapes = {"video": list(clips.shape), "label": [len(clips)]}
labels = {str(label): count for label, count in sorted(found.items())}
print(json.dumps({"samples": sum(found.values()), "labels": labels, "shapes": shapes}))
