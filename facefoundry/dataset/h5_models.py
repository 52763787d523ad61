"""Models as FaceForensics++ published them, on disk: `encoder.h5`, `decoder_A.h5`, `decoder_B.h5` in one folder.

The files come from strangers and h5py is no part of the light installation, so a child process with limits reads and
writes them (`facefoundry.model.keras_h5`); only safetensors and JSON come back.
"""

from __future__ import annotations

import hashlib
import importlib.util
import threading
from collections.abc import Mapping
from pathlib import Path

from facefoundry.errors import InvalidInput, Unusable
from facefoundry.process.sandbox import Limits, Sandbox

__all__ = ["FILES", "digests", "is_published", "read", "require_reader", "write"]

FILES = {"encoder": "encoder.h5", "decoder_a": "decoder_A.h5", "decoder_b": "decoder_B.h5"}
"""File of each network."""

# The original's three files have 313 MiB in all.
_MOST_BYTES = 1 << 30
_LIMITS = Limits(seconds=600, memory_bytes=3 << 30)
_one_at_a_time = threading.Lock()  # a child holds a whole model, and runs ask for many at once


def is_published(folder: Path) -> bool:
    """Say whether a folder holds at least one of the three files."""
    return any((folder / name).is_file() for name in FILES.values())


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of the three files by name.

    Raises:
        InvalidInput: one is missing or cannot be read, or they are far larger than any model.
    """
    found, size = {}, 0
    for name in FILES.values():
        try:
            size += (folder / name).stat().st_size
            if size > _MOST_BYTES:
                what = f"The three .h5 files in {folder} have more than {_MOST_BYTES >> 20} MiB; no such model has."
                raise InvalidInput(what, reason="BAD_MODEL")
            with (folder / name).open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            what = (
                f"{folder / name} cannot be read ({error.strerror}); a published model has {', '.join(FILES.values())}."
            )
            raise InvalidInput(what, reason="BAD_MODEL") from error
    return found


def require_reader() -> None:
    """Check that .h5 files can be read and written here.

    Raises:
        InvalidInput: h5py is not installed.
    """
    if importlib.util.find_spec("h5py") is None:
        raise InvalidInput(
            "Models in .h5 files need h5py, which is not installed here: pip install 'facefoundry[h5]', "
            "or pip install h5py.",
            reason="H5PY_MISSING",
        )


def read(folder: Path, weights: Path) -> None:
    """Write the three files' weights as one safetensors file.

    Raises:
        InvalidInput: h5py is not installed.
        Unusable: a file is damaged or holds another network; the message names file and dataset.
    """
    _run("import_model", _paths(folder), weights)


def write(weights: Path, folder: Path) -> None:
    """Write a safetensors file's weights as the three files into a folder that exists.

    Raises:
        InvalidInput: h5py is not installed, or the folder cannot be written to.
        Unusable: the safetensors file holds no model.
    """
    _run("export_model", _paths(folder), weights)


def _paths(folder: Path) -> dict[str, str]:
    return {network: str(folder.absolute() / name) for network, name in FILES.items()}


def _run(function: str, files: Mapping[str, str], weights: Path) -> None:
    require_reader()
    try:
        with _one_at_a_time, Sandbox(_LIMITS, allow=["facefoundry.model."]) as sandbox:
            target = f"facefoundry.model.keras_h5:{function}"
            for _ in sandbox.run(target, files={**files}, weights=str(weights.absolute())):
                pass
    except Unusable as error:
        if not error.reason.startswith("MEDIA_"):  # the child's end, not its answer
            raise
        what = f"Working on the model files {', '.join(files.values())} was stopped: {error.message}"
        raise Unusable(what, reason=error.reason) from error
