"""Stores clips as sources without a service, for tests of what reads them."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path

from facefoundry import codec
from facefoundry.media.frames import in_order
from facefoundry.storage import manifest
from facefoundry.storage.frames import FramePacker, TarLimits
from facefoundry.storage.info import SourceInfo
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.sources import prefix_of_source
from facefoundry.storage.store import Store


def put_source(
    store: Store,
    path: Path,
    frame_rate: Fraction | int = 25,
    tar_limits: TarLimits | None = None,
    *,
    tolerate_damage: bool = False,
    **facts: int,
) -> str:
    """Store a video or a folder of frames below the prefix that ImportSource gives it, unchecked; return its URI.

    `facts` are further fields of its `SourceInfo`.
    """
    if not path.is_dir():
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        prefix = prefix_of_source({"video": digest}, None, tolerate_damage=tolerate_damage)
        parts = [manifest.put_part(store, prefix, "source" + path.suffix.lower(), path)]
        info = SourceInfo(file_name=path.name, tolerate_damage=tolerate_damage, **facts)  # type: ignore[arg-type]  # numbers
        return _commit(store, prefix, parts, info, digest)
    frames = [path / name for name in in_order(frame.name for frame in path.iterdir())]
    packer, rate = FramePacker(tar_limits), Fraction(frame_rate)
    tars = dict(packer.pack(frames))
    written = f"{rate.numerator}/{rate.denominator}"
    prefix = prefix_of_source({"frames": packer.content_digest}, rate, tolerate_damage=tolerate_damage)
    parts = [manifest.put_part(store, prefix, name, tar) for name, tar in tars.items()]
    info = SourceInfo(
        kind="frames",
        file_name=path.name,
        frame_rate=written,
        frame_count=len(frames),
        tolerate_damage=tolerate_damage,
    )
    return _commit(store, prefix, parts, info, packer.content_digest)


def _commit(store: Store, prefix: str, parts: list[manifest.Part], info: SourceInfo, digest: str) -> str:
    manifest.commit(store, prefix, Manifest("source", {}, {}, tuple(parts), codec.to_values(info), digest))
    return store.uri(prefix)
