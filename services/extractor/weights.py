"""Weights that an engine does not bring along: a folder, or a committed prefix of the bucket fetched once.

python -m services.extractor.weights FOLDER PREFIX    puts a folder's weights below a prefix of the bucket
"""

from __future__ import annotations

import hashlib
import sys
import threading
from pathlib import Path

from facefoundry.errors import FaceFoundryError, InvalidInput
from facefoundry.settings import StoreSettings, read
from facefoundry.storage import manifest
from facefoundry.storage.store import Store
from services.extractor import engines
from services.extractor.engines import face_alignment

__all__ = ["Weights", "put"]

_FILES = (face_alignment.DETECTOR_FILE, face_alignment.LANDMARK_FILE)


class Weights:
    """Where a service has its engines' weights.

    Args:
        store: Object store of the prefix.
        folder: Folder with the weights, if they are on disk.
        prefix: Committed prefix with the weights, if not.
        cache: Folder that a prefix is fetched to.
    """

    def __init__(self, store: Store, folder: Path | None, prefix: str, cache: Path) -> None:
        self._store, self._folder, self._prefix, self._cache = store, folder, prefix.strip("/"), cache
        self._fetching = threading.Lock()

    def folder(self, engine: str) -> Path | None:
        """The folder for an engine, fetched and verified if need be; None for one that brings its own.

        Raises:
            NotFound: the prefix is not committed.
            DataLoss: the weights are not what was put there.
        """
        if engine != "face_alignment" or self._folder is not None or not self._prefix:
            return self._folder
        with self._fetching:
            record = manifest.load(self._store, self._prefix)
            folder = self._cache / hashlib.sha256(record.content_digest.encode()).hexdigest()[:40]
            folder.mkdir(parents=True, exist_ok=True)
            for name in _FILES:
                if not (folder / name).is_file():
                    manifest.fetch_part(self._store, record.part(name), folder / name)
        return folder

    def engines(self) -> list[str]:
        """Names of the engines that can be chosen here; a prefix counts as weights without being asked."""
        here = engines.installed(self._folder)
        elsewhere = bool(self._prefix) and not face_alignment.missing_package()
        return [*here, "face_alignment"] if elsewhere and "face_alignment" not in here else here


def put(store: Store, folder: Path, prefix: str) -> None:
    """Put the weights of the engine face_alignment below a prefix and commit it.

    Raises:
        InvalidInput: a file is missing.
    """
    lacking = [name for name in _FILES if not (folder / name).is_file()]
    if lacking:
        raise InvalidInput(f"{folder} has no {' and no '.join(lacking)}.", reason="ENGINE_NOT_INSTALLED")
    parts = tuple(manifest.put_part(store, prefix.strip("/"), name, folder / name) for name in _FILES)
    content = " ".join(part.sha256 for part in parts)
    manifest.commit(store, prefix.strip("/"), manifest.Manifest("weights", {}, {}, parts, {}, content))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("Usage: python -m services.extractor.weights FOLDER PREFIX")
    try:
        put(Store(read(StoreSettings)), Path(sys.argv[1]), sys.argv[2])
    except FaceFoundryError as error:
        sys.exit(error.message)
