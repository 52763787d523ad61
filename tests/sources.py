"""Stores clips as sources without a service, for tests of what reads them."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path

from facefoundry import codec
from facefoundry.media.frames import in_order
from facefoundry.storage import keys, manifest
from facefoundry.storage.frames import FramePacker, TarLimits
from facefoundry.storage.info import SourceInfo
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.store import Store


def put_source(store: Store, path: Path, frame_rate: Fraction | int = 25, tar_limits: TarLimits | None = None) -> str:
    """Store a video or a folder of frames below the prefix that ImportSource gives it, unchecked; return its URI."""
    if not path.is_dir():
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        prefix = keys.source(keys.digest_of({"video": digest}))
        parts = [manifest.put_part(store, prefix, "source" + path.suffix.lower(), path)]
        return _commit(store, prefix, parts, SourceInfo(kind="video", file_name=path.name), digest)
    frames = [path / name for name in in_order(frame.name for frame in path.iterdir())]
    packer, rate = FramePacker(tar_limits), Fraction(frame_rate)
    tars = dict(packer.pack(frames))
    written = f"{rate.numerator}/{rate.denominator}"
    prefix = keys.source(keys.digest_of({"frames": packer.content_digest, "frame_rate": written}))
    parts = [manifest.put_part(store, prefix, name, tar) for name, tar in tars.items()]
    info = SourceInfo(kind="frames", file_name=path.name, frame_rate=written, frame_count=len(frames))
    return _commit(store, prefix, parts, info, packer.content_digest)


def _commit(store: Store, prefix: str, parts: list[manifest.Part], info: SourceInfo, digest: str) -> str:
    manifest.commit(store, prefix, Manifest("source", {}, {}, tuple(parts), codec.to_values(info), digest))
    return store.uri(prefix)
