"""Makes a small finished dataset whose pixels say where they are: blue is x, green is y, red is who and which frame."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facefoundry import codec, recipes
from facefoundry.dataset import files
from facefoundry.dataset.about import About
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.record import PairRecord, RunRecord, SequenceRecord
from facefoundry.dataset.rights import RIGHTS_FILE, ClipRights, Rights
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.exports.dataset import Dataset, load_dataset
from facefoundry.faces.alignments import FOUND, NO_FACE, Alignments
from facefoundry.faces.crop import face_matrix
from facefoundry.faces.mean_face import FIRST_LANDMARK, MEAN_FACE
from facefoundry.media.level import Level
from facefoundry.media.write import MaskWriter, VideoWriter

WIDTH, HEIGHT, FRAMES = 160, 120, 9
BOX = (50, 36, 60, 60)
UNSWAPPED = 3
"""A frame without a face in every clip, so unswapped in every fake."""
LEVELS = (
    Level("raw", "libx264rgb", 0, "gbrp", "ultrafast"),
    Level("c23", "libx264", 23, "yuv444p", "ultrafast"),
)
PAIRS = (("crawford", "frames-1"), ("1000", "1001"), ("raw", "mask-7"))
SPLITS = {"train": PAIRS[:1], "val": PAIRS[1:2], "test": PAIRS[2:]}
ABOUT = About(motivation="To test exports.", maintenance="Kept for a year.", contact="data@example.org")
RIGHTS = Rights(basis="licence", licence="CC-BY-4.0")
"""The rights to the first clip of each pair; those to the others are unstated."""
REAL, FAKE = 20, 120
"""Red of the first frame of real videos and of fakes; each frame has one more."""


def landmarks(frame: int) -> NDArray[np.float32]:
    """Return the landmarks of a frame, float32 [68, 2]: an upright mean face with 50 pixels that moves to the right."""
    along = np.linspace(0, np.pi, FIRST_LANDMARK)
    jaw = np.stack([0.5 - 0.65 * np.cos(along), 0.2 + np.sin(along)], axis=1)
    points = np.concatenate([jaw, MEAN_FACE]) * 50 + (54 + frame, 40)
    return points.astype(np.float32)


def picture(red: int) -> NDArray[np.uint8]:
    """Return a frame, uint8 [h, w, 3] BGR, whose pixels are (x, y, red)."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([x, y, np.full_like(x, red)], axis=2).astype(np.uint8)


def alignments() -> Alignments:
    """Return the alignments of every clip."""
    points = np.stack([landmarks(frame) for frame in range(FRAMES)])
    reasons = np.full(FRAMES, FOUND, np.uint8)
    reasons[UNSWAPPED] = NO_FACE
    matrices = face_matrix(points)
    boxes = np.full((FRAMES, 4), BOX, np.int32)
    for array in (points, matrices, boxes):
        array[UNSWAPPED] = 0
    digests = np.arange(FRAMES, dtype=np.uint64)
    return Alignments(boxes, points, matrices, reasons, digests, digests, (25, 1), WIDTH, HEIGHT, "", "dlib")


def write_dataset(
    layout: Layout,
    pairs: Sequence[tuple[str, str]] = PAIRS,
    splits: Mapping[str, Sequence[tuple[str, str]]] | None = None,
    videos: bool = True,
) -> Layout:
    """Write a dataset; without `videos` the videos are a few bytes of text that names them."""
    run, sequences = RunFolder(layout.run_folder()), [id_ for pair in pairs for id_ in pair]
    for a, b in pairs:
        add_pair(layout, a, b, videos=videos)
    for name, listed in (SPLITS if splits is None else splits).items():
        files.write(layout.filelist().parent / "splits" / f"{name}.json", json.dumps(listed).encode())
    recipe = recipes.options(recipes.load("preview"))
    recipe["compression"] = {"levels": [{"name": level.name} for level in LEVELS]}
    record = RunRecord("made", "", recipe, layout=layout.name, pairs=[f"{a}_{b}" for a, b in pairs], about=ABOUT)
    rights = ClipRights.of({id_: record for a, b in pairs for id_, record in ((a, RIGHTS), (b, None))})
    files.write(layout.filelist().with_name(RIGHTS_FILE), codec.to_json(rights))
    for id_ in sequences:
        uri = f"s3://facefoundry/extractions/{sequences.index(id_):040x}"
        record.sequences[id_] = SequenceRecord(
            frames=FRAMES, fps="25/1", width=WIDTH, height=HEIGHT, faces=FRAMES - 1, extraction_uri=uri
        )
    run.save_run(record)
    return layout


def add_pair(layout: Layout, a: str, b: str, *, videos: bool = True) -> None:
    """Write the files of a pair, and its record."""
    RunFolder(layout.run_folder()).save_pair(PairRecord(f"{a}_{b}", a, b, state="done"))
    for target, source in ((a, b), (b, a)):
        fake = f"{target}_{source}"
        for level in LEVELS:
            _video(layout.real_video(level.name, target), level, REAL, videos)
            _video(layout.fake_video(level.name, fake), level, FAKE, videos)
        for kind in ("masks", "masks_changed"):
            _mask(layout.mask_video(kind, fake), videos)
        write_labels(layout, fake, [frame for frame in range(FRAMES) if frame != UNSWAPPED])


def without_pair(layout: Layout, gone: tuple[str, str], *, new: tuple[str, str] | None = None) -> None:
    """Take a pair out of a dataset, and maybe add another one, whose videos are text, to its split."""
    run = RunFolder(layout.run_folder())
    record = run.load_run()
    pairs = ["_".join(new) if new and pair == "_".join(gone) else pair for pair in record.pairs]
    record.pairs = pairs if new else [pair for pair in pairs if pair != "_".join(gone)]
    run.save_run(record)
    for path in (layout.filelist().parent / "splits").iterdir():
        listed = [tuple(pair) for pair in json.loads(path.read_text())]
        kept = [new if pair == gone else pair for pair in listed]
        path.write_text(json.dumps([pair for pair in kept if pair]))
    if new:
        add_pair(layout, *new, videos=False)


def with_pair(layout: Layout, new: tuple[str, str], split: str) -> None:
    """Add a pair, whose videos are text, to a split of a dataset."""
    run = RunFolder(layout.run_folder())
    record = run.load_run()
    record.pairs = [*record.pairs, "_".join(new)]
    known = next(iter(record.sequences.values()))
    record.sequences |= dict.fromkeys(new, known)
    run.save_run(record)
    path = layout.filelist().parent / "splits" / f"{split}.json"
    path.write_text(json.dumps([*json.loads(path.read_text()), new]))
    add_pair(layout, *new, videos=False)


def write_labels(layout: Layout, fake: str, swapped: Sequence[int], frames: Sequence[int] = range(FRAMES)) -> None:
    """Write the labels of a fake that has some frames, of which some are swapped."""
    rows = [
        {"frame": frame, "swapped": True, "reason": None, "box": BOX}
        if frame in swapped
        else {"frame": frame, "swapped": False, "reason": "NO_FACE", "box": None}
        for frame in frames
    ]
    files.write(layout.labels(fake), json.dumps({"frames": rows}).encode())


def load(layout: Layout, folder: Path) -> Dataset:
    """Read a dataset, whose alignments are files in a folder."""

    def fetch(records: Mapping[str, SequenceRecord]) -> dict[str, Path]:
        paths = {id_: folder / f"{id_}.safetensors" for id_ in records}
        for path in paths.values():
            files.write(path, alignments().to_bytes())
        return paths

    return load_dataset(layout.root, fetch_alignments=fetch)


def _video(path: Path, level: Level, red: int, videos: bool) -> None:
    files.make_folder(path.parent)
    if not videos:
        path.write_text(f"{path.stem} {level.name}")
        return
    with VideoWriter(path, level, (25, 1), WIDTH, HEIGHT) as writer:
        for frame in range(FRAMES):
            writer.write(picture(red + frame))


def _mask(path: Path, videos: bool) -> None:
    files.make_folder(path.parent)
    if not videos:
        path.write_text(f"{path.stem} mask")
        return
    x, y, width, height = BOX
    shown = np.zeros((HEIGHT, WIDTH), np.uint8)
    shown[y : y + height, x : x + width] = 255
    writer = MaskWriter(path, (25, 1), WIDTH, HEIGHT)
    for frame in range(FRAMES):
        writer.write(shown if frame != UNSWAPPED else np.zeros_like(shown))
    writer.close()
