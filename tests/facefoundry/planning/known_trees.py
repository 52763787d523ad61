"""The folders of known datasets as they are downloaded, with files that nobody looks into."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

# FF++'s clips of the YouTube videos that it has in two splits: source video, then clip and split of both.
FFPP_LEAKS = {
    "wERnQNuwQbM": (("838", "train"), ("837", "val")),
    "yvf0HOswcPk": (("954", "train"), ("955", "test")),
    "xG9J__APvnY": (("876", "train"), ("875", "val")),
    "zPdvu-SUnbg": (("983", "train"), ("982", "val")),
    "pGmDKODT6V4": (("639", "train"), ("640", "val")),
    "nUNnFudF2pA": (("605", "train"), ("606", "val")),
    "tR7z_H1qPMc": (("756", "train"), ("755", "test")),
}


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def write_ffpp(
    root: Path,
    splits: Mapping[str, Sequence[tuple[str, str]]],
    videos: Mapping[str, str],
    others: Iterable[str] = (),
    level: str = "c23",
) -> Path:
    """FF++ with its three splits, and the YouTube id of each clip."""
    clips = {clip for pairs in splits.values() for pair in pairs for clip in pair} | set(others)
    for clip in clips:
        touch(root / "original_sequences" / "youtube" / level / "videos" / f"{clip}.mp4")
    for name, pairs in splits.items():
        touch(root / "splits" / f"{name}.json").write_text(json.dumps([list(pair) for pair in pairs]))
    titles = {clip: f"{videos.get(clip, 'v' + clip)} 0" for clip in sorted(clips)}
    (root / "conversion_dict.json").write_text(json.dumps(titles))
    return root
