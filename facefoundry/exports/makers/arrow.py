"""Writes Parquet tables with pyarrow, which starts a thread when it is imported: so only inside a function of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from facefoundry import codec
from facefoundry.codec import JsonObject
from facefoundry.dataset.labels import FrameLabel, Labels
from facefoundry.faces.alignments import Alignments

__all__ = ["write_frames", "write_metadata"]

_VIDEOS = pa.schema(
    [
        ("file_name", pa.string()),
        ("video_id", pa.string()),
        ("label", pa.int64()),
        ("compression", pa.string()),
        ("method", pa.string()),
        ("target", pa.string()),
        ("source", pa.string()),
        ("split", pa.string()),
        ("mask_path", pa.string()),
        ("frames", pa.int64()),
        ("swapped_frames", pa.int64()),
        ("width", pa.int64()),
        ("height", pa.int64()),
        ("bytes", pa.int64()),
        ("fps", pa.float64()),
        ("sha256", pa.string()),
    ]
)
_POINTS = 68
_FRAMES = pa.schema(
    [
        ("video_id", pa.string()),
        ("frame", pa.int32()),
        ("swapped", pa.bool_()),
        ("reason", pa.string()),
        ("box", pa.list_(pa.float32(), 4)),
        ("landmarks", pa.list_(pa.list_(pa.float32(), 2), _POINTS)),
    ]
)


def write_metadata(path: Path, videos: Sequence[JsonObject]) -> None:
    """Write `metadata.parquet`: a row for each video, as `exports.parquet.Video` describes it."""
    pq.write_table(pa.Table.from_pylist(list(videos), schema=_VIDEOS), path)


def write_frames(path: Path, sequences: Sequence[JsonObject], sources: Mapping[str, str]) -> Iterator[None]:
    """Write `frames.parquet`: a row for each frame of each sequence, and a row group for each sequence.

    A frame has its number in the video, whether it shows the other face and why not, the box of the mask (x, y, width
    and height, pixels; null if it is not swapped), and the landmarks of the target's face (x and y, pixels; null
    without a face).

    Args:
        path: The file.
        sequences: As `exports.parquet.Table` describes them.
        sources: Paths of labels and alignments, by their names in `sequences`.

    Yields:
        After each sequence.
    """
    with pq.ParquetWriter(path, _FRAMES) as writer:
        for sequence in sequences:
            writer.write_table(_frames_of(sequence, sources))
            yield


def _frames_of(sequence: JsonObject, sources: Mapping[str, str]) -> pa.Table:
    """Return the rows of one sequence."""
    id_, labels = str(sequence["id"]), sequence["labels"]
    rows = [FrameLabel(frame, swapped=False) for frame in cast("list[int]", sequence["frames"])]
    if labels is not None:
        rows = codec.from_json(Labels, Path(sources[str(labels)]).read_bytes()).frames
    points = np.zeros((len(rows), _POINTS, 2), np.float32)
    found = np.zeros(len(rows), bool)
    if (name := sequence["alignments"]) is not None:
        alignments = Alignments.from_bytes(Path(sources[str(name)]).read_bytes())
        numbers = [row.frame for row in rows]
        points, found = alignments.landmarks[numbers], alignments.found[numbers]
    return pa.table(
        [
            pa.array([id_] * len(rows), pa.string()),
            pa.array(range(len(rows)), pa.int32()),
            pa.array([row.swapped for row in rows], pa.bool_()),
            pa.array([row.reason for row in rows], pa.string()),
            pa.array([row.box for row in rows], _FRAMES.field("box").type),
            _landmarks(points, found),
        ],
        schema=_FRAMES,
    )


def _landmarks(points: NDArray[np.float32], found: NDArray[np.bool_]) -> pa.Array:
    """Return points, float32 [n, 68, 2], as a column that is null where no face was found, bool [n]."""
    pairs = pa.FixedSizeListArray.from_arrays(pa.array(points.reshape(-1), pa.float32()), 2)
    return pa.FixedSizeListArray.from_arrays(pairs, _POINTS, mask=pa.array(~found))
