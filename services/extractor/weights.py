"""The weights of engines whose packages contain none: in a folder, or below a bucket prefix that is fetched once.

python -m services.extractor.weights FOLDER PREFIX    stores the weights of a folder below a prefix of the bucket
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

__all__ = ["Weights", "put"]

_LOOK_SECONDS = 0.5  # after which a call that waits for another one's fetch looks whether its caller is there


class Weights:
    """Finds the weights of engines.

    Args:
        folder: Folder with the weights; None if they are not on disk.
        prefix: Bucket prefix with the weights, used if `folder` is None; empty if there is none.
        cache: Folder into which the prefix's files are fetched.
    """

    def __init__(self, folder: Path | None, prefix: str, cache: Path) -> None:
        self._folder, self._prefix, self._cache = folder, prefix.strip("/"), cache
        self._fetching = threading.Lock()

    def folder(self, store: Store, engine: str) -> Path | None:
        """Return the folder with an engine's weights, fetched from the prefix if necessary; None if there is none.

        Args:
            store: The object store.
            engine: Name of the engine.

        Raises:
            InvalidInput: the engine is unknown, or the prefix lacks one of its files (ENGINE_NOT_INSTALLED).
            NotFound: the prefix is not committed.
            DataLoss: the stored weights are damaged.
        """
        declared = engines.find(engine)
        if not declared.operator_files or self._folder is not None or not self._prefix:
            return self._folder
        while not self._fetching.acquire(timeout=_LOOK_SECONDS):
            store.check_cancelled()
        try:
            record = manifest.load(store, self._prefix)
            stored = {part.name: part for part in record.parts}
            folder = self._cache / hashlib.sha256(record.content_digest.encode()).hexdigest()[:40]
            folder.mkdir(parents=True, exist_ok=True)
            for name in declared.operator_files:
                if name not in stored:
                    raise declared.not_installed(f"the prefix {self._prefix} has no {name}")
                if not (folder / name).is_file():
                    manifest.fetch_part(store, stored[name], folder / name)
        finally:
            self._fetching.release()
        return folder

    def engines(self) -> list[str]:
        """List the names of the engines that can be used here.

        If the operator's weights are below a bucket prefix, it is not checked that the prefix has every file.
        """
        return [
            engine.name
            for engine in engines.declarations()
            if not engine.missing(self._folder)
            or (self._prefix and engine.operator_files and not engine.missing_package())
        ]


def put(store: Store, folder: Path, prefix: str) -> None:
    """Store the weights of all engines that a folder has below a bucket prefix, and commit the prefix.

    Raises:
        InvalidInput: the folder has only some of an engine's files, or no file of any engine.
    """
    names: list[str] = []
    for engine in engines.declarations():
        present = [name for name in engine.operator_files if (folder / name).is_file()]
        absent = [name for name in engine.operator_files if name not in present]
        if present and absent:
            raise engine.not_installed(f"{folder} has no {' and no '.join(absent)}")
        names += [name for name in present if name not in names]
    if not names:
        expected = [name for engine in engines.declarations() for name in engine.operator_files]
        message = f"Expected weights in {folder}: {', '.join(expected)}. Found none of these files. Copy them there."
        raise InvalidInput(message, reason="ENGINE_NOT_INSTALLED")
    parts = tuple(manifest.put_part(store, prefix.strip("/"), name, folder / name) for name in names)
    content = " ".join(part.sha256 for part in parts)
    weights = manifest.Manifest("weights", {}, {}, parts, {}, content)
    manifest.commit(store, prefix.strip("/"), weights, replace=True)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("Usage: python -m services.extractor.weights FOLDER PREFIX")
    try:
        put(Store(read(StoreSettings)), Path(sys.argv[1]), sys.argv[2])
    except FaceFoundryError as error:
        print(error.message, file=sys.stderr)
        sys.exit(2 if isinstance(error, InvalidInput) else 1)
