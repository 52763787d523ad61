"""A dataset of 12 pairs of six people, a clip each, and what must hold of it after a revocation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml

from facefoundry.dataset.statements import Statement
from facefoundry.dataset.stored_dataset import DatasetPlace
from facefoundry.storage.store import Store

PEOPLE = range(6)
PAIRS = [pair for pair in combinations(map(str, PEOPLE), 2) if pair not in {("0", "1"), ("2", "3"), ("4", "5")}]
GONE = "3"
"""The clip of the subject P-3, who is in 4 of the pairs."""


def write(folder: Path, pairs: Sequence[tuple[str, str]] = PAIRS, **recipe: Any) -> Path:
    """Write the dataset file, and return its path. Clip N, in `clips/`, shows the subject P-N."""
    (folder / "pairs.json").write_text(json.dumps(pairs))
    made = {
        "format": "facefoundry.dataset/1",
        "name": "six",
        "sources": [{"kind": "folder", "path": "clips"}],
        "rights": {
            "clips": {
                str(number): {"basis": "consent", "subject": f"P-{number}", "evidence": f"form {number}"}
                for number in sorted({clip for pair in pairs for clip in pair})
            }
        },
        "pairs": {"strategy": "filelist", "path": "pairs.json"},
        "splits": {"kind": "none"},
        "recipe": {"name": "preview", "set": recipe},
    }
    path = folder / "dataset.yaml"
    path.write_text(yaml.safe_dump(made))
    return path


def names_of(statement: Statement, store: Store, *folders: Path) -> list[str]:
    """Return the keys and paths that name a digest of a statement or have the content of one; tombstones apart."""
    wanted = [*statement.digests]

    def is_found(name: str, data: bytes) -> bool:
        return hashlib.sha256(data).hexdigest() in wanted or any(
            digest in name or digest.encode() in data for digest in wanted
        )

    keys = [key for key in store.list("") if not key.startswith("revoked/") and is_found(key, store.get_bytes(key))]
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return keys + [str(path) for path in paths if is_found(str(path), path.read_bytes())]


def expect_whole(store: Store, *, lists: bool = True) -> int:
    """Check that the manifest of the dataset names only what is there, as it was written; return how many pairs.

    Lists and records are replaced just before the manifest, so they can be newer while a command works.
    """
    place = DatasetPlace(store.bucket, "datasets/six")
    manifest = place.manifest(store)
    assert manifest is not None
    files = {file.path: file.sha256 for file in manifest.files if lists}
    for entry in manifest.pairs:
        found = place.index(store, entry.id)
        assert found is not None and found[1] == entry.index, entry.id
        files |= {file.path: file.sha256 for file in found[0].files}
    for path, sha256 in files.items():
        assert hashlib.sha256(store.get_bytes(place.key(path))).hexdigest() == sha256, path
    return len(manifest.pairs)
