"""DeepfakeBench: its base dataset, with masks and landmarks, from folders or from an LMDB if there is one."""

import json
import os
import sys
import tempfile
import types
from collections import Counter
from pathlib import Path

clone, out = Path(sys.argv[1]), Path(sys.argv[2])
package = types.ModuleType("dataset")  # its own imports every dataset, with libraries for CUDA
package.__path__ = [str(clone / "training" / "dataset")]
sys.modules["dataset"] = package

import torch  # noqa: E402
from dataset.abstract_dataset import DeepfakeAbstractBaseDataset  # noqa: E402

work = tempfile.mkdtemp()
os.chdir(work)
Path("datasets").symlink_to(out)
augmentation = {
    "flip_prob": 0.5, "rotate_prob": 0.5, "rotate_limit": [-10, 10], "blur_prob": 0.5, "blur_limit": [3, 7],
    "brightness_prob": 0.5, "brightness_limit": [-0.1, 0.1], "contrast_limit": [-0.1, 0.1], "quality_lower": 40,
    "quality_upper": 100,
}  # fmt: skip
config = {
    "compression": "c23", "frame_num": {"train": 8, "test": 8}, "train_dataset": ["FF-DF"],
    "lmdb": (out / "lmdb").is_dir(), "lmdb_dir": "./datasets/lmdb",
    "test_dataset": "FF-DF", "dataset_json_folder": "./datasets/dataset_json", "resolution": 256, "with_mask": True,
    "label_dict": {"FF-real": 0, "FF-DF": 1}, "with_landmark": True, "use_data_augmentation": False,
    "mean": [0.5] * 3, "std": [0.5] * 3, "data_aug": augmentation,
}  # fmt: skip
sets = json.loads((out / "dataset_json" / "FF-DF.json").read_bytes())["FF-DF"]["FF-DF"]["train"]
for level in sorted(sets):
    dataset = DeepfakeAbstractBaseDataset(config | {"compression": level}, "train")
    masks = [bool(dataset[i][3].max()) for i in range(len(dataset))]
    assert masks == [label == 1 for label in dataset.label_list], f"fakes of {level} have masks, real videos none"
    points = [dataset[i][2] for i in range(len(dataset))]
    assert all(found.abs().max() < 1000 for found in points), "landmarks are near the crop"


def listed(path):
    """Return all videos of lists with their pictures in order: its own lists have the order of the disk."""
    found = json.loads(Path(path).read_bytes())
    for video in (
        video for label in found["FF-DF"].values() for s in label.values() for c in s.values() for video in c.values()
    ):
        video["frames"].sort()
        video["masks"] = sorted(video.get("masks", []))
    return found


if not config["lmdb"]:
    sys.path.insert(0, str(clone / "preprocessing"))
    from rearrange import generate_dataset_file

    Path("rearranged").mkdir()
    generate_dataset_file("FaceForensics++", "./datasets", "rearranged")
    assert listed("rearranged/FF-DF.json") == listed("datasets/dataset_json/FF-DF.json"), "rearrange.py lists the same"
package = types.ModuleType("training.dataset")
package.__path__ = [str(clone / "training" / "dataset")]
sys.modules[package.__name__] = package
sys.path.insert(0, str(clone))
augmenters = types.SimpleNamespace(Sequential=lambda steps: None, PiecewiseAffine=lambda scale: None)
imgaug = types.ModuleType("imgaug")  # it runs with no NumPy of today, and this blending calls none of it
imgaug.augmenters = augmenters
sys.modules[imgaug.__name__] = imgaug
from training.dataset.sbi_dataset import SBIDataset  # noqa: E402

blending = SBIDataset(config, "train")
pairs = [blending[i] for i in range(8)]
assert all(pair["fake"][1] == 1 for pair in pairs), "its blending takes the 81 landmarks"
assert max(float((pair["fake"][0] - pair["real"][0]).abs().max()) for pair in pairs) > 0, "and changes the pictures"
dataset = DeepfakeAbstractBaseDataset(config, "train")
loader = torch.utils.data.DataLoader(dataset, batch_size=16, shuffle=True, collate_fn=dataset.collate_fn)
batch = next(iter(loader))
print(
    json.dumps(
        {
            "samples": len(dataset),
            "labels": {str(label): count for label, count in sorted(Counter(dataset.label_list).items())},
            "shapes": {name: list(value.shape) for name, value in batch.items()},
            "levels": sorted(sets),
        }
    )
)
