"""What two videos differ in, but for their pictures: `python -m tests.facefoundry.media.comparison FILE OTHER`.

Boxes, parameter sets, x264's message and times are compared. Left out is what follows from the pictures: their bytes
and types, and the tables of sizes, places, key frames and reordering.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av

from tests.facefoundry.media import h264, mp4

_SLICES = (1, 5)

Facts = dict[str, Any]


def facts(path: Path) -> Facts:
    """Return all of a file but what follows from its pictures, by name."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        pictures = [bytes(packet) for packet in packets]
    sets = h264.parameter_sets(path)
    build, options = h264.x264_message(pictures[0])
    units = [[unit[0] & 31 for unit in h264.units(picture)] for picture in pictures]
    found = mp4.boxes(path)
    return {
        "boxes": [box.path for box in found],
        **{box.path: box.content for box in found if box.kind not in mp4.OF_PICTURES},
        **{f"SPS {name}": value for name, value in h264.sps(sets.sps).items()},
        **{f"PPS {name}": value for name, value in h264.pps(sets.pps).items()},
        "x264": build,
        **{f"x264 {name}": value for name, value in options.items()},
        "NAL units": [["slice" if kind in _SLICES else kind for kind in kinds] for kinds in units],
        "times shown": sorted((packet.pts, packet.duration) for packet in packets),
        "times decoded": [(packet.dts, packet.time_base) for packet in packets],
    }


def differences(facts_of: Facts, others: Facts) -> Iterator[str]:
    """Yield the names of the facts that differ, with short values."""
    for name in [*facts_of, *(name for name in others if name not in facts_of)]:
        values = facts_of.get(name), others.get(name)
        if values[0] != values[1]:
            yield f"{name}: " + ", ".join(str(value)[:100] for value in values)


def main(path: str, other: str) -> None:
    """Print a line for each difference."""
    found = list(differences(facts(Path(path)), facts(Path(other))))
    print("\n".join(found) or "no difference but pictures")


if __name__ == "__main__":
    main(*sys.argv[1:])
