"""Reads and writes models in the format of FF++: `encoder.h5`, `decoder_A.h5` and `decoder_B.h5` in one folder.

The files may come from strangers, so a sandbox reads and writes them with `facefoundry.model.keras_h5`. This module can
be imported without h5py, which only the extra `h5` installs.
"""

from __future__ import annotations

import hashlib
import importlib.util
import threading
from collections.abc import Mapping
from pathlib import Path

from facefoundry.errors import InvalidInput, Unusable
from facefoundry.process.sandbox import Limits, Sandbox

__all__ = ["FILES", "LIMITS", "digests", "is_published", "read", "require_reader", "write"]

FILES = {"encoder": "encoder.h5", "decoder_a": "decoder_A.h5", "decoder_b": "decoder_B.h5"}
"""The file name of each network."""

# The three files of a model of FF++ have 313 MiB in total.
_MAX_BYTES = 1 << 30
LIMITS = Limits(seconds=600, memory_bytes=3 << 30)
_one_sandbox = threading.Lock()  # a sandbox needs memory for a whole model, and a run may import many at once


def is_published(folder: Path) -> bool:
    """Return whether a folder contains at least one of the three files."""
    return any((folder / name).is_file() for name in FILES.values())


def digests(folder: Path) -> dict[str, str]:
    """Compute the SHA-256, 64 hex digits, of each of the three files, by file name.

    Raises:
        InvalidInput: a file is missing or cannot be read, or the files are larger than any model of FF++.
    """
    found, size = {}, 0
    for name in FILES.values():
        try:
            size += (folder / name).stat().st_size
            if size > _MAX_BYTES:
                what = f"Expected .h5 files of at most {_MAX_BYTES >> 20} MiB in total in {folder}. They are larger."
                raise InvalidInput(what, reason="BAD_MODEL")
            with (folder / name).open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            what = (
                f"{folder / name} cannot be read ({error.strerror}). A model of FF++ has {', '.join(FILES.values())}."
            )
            raise InvalidInput(what, reason="BAD_MODEL") from error
    return found


def require_reader() -> None:
    """Check that h5py is installed.

    Raises:
        InvalidInput: h5py is not installed (H5PY_MISSING).
    """
    if importlib.util.find_spec("h5py") is None:
        raise InvalidInput(
            "Models in .h5 files need h5py, which is not installed: run pip install 'facefoundry[h5]', "
            "or pip install h5py.",
            reason="H5PY_MISSING",
        )


def read(folder: Path, weights: Path, limits: Limits = LIMITS) -> None:
    """Convert the three .h5 files of a model to one safetensors file.

    Args:
        folder: Folder of the three files.
        weights: The safetensors file to write.
        limits: Limits of the sandbox.

    Raises:
        InvalidInput: h5py is not installed.
        Unusable: a file is damaged or contains another network; the message names the file and the HDF5 dataset.
    """
    _run("import_model", _paths(folder), weights, limits)


def write(weights: Path, folder: Path) -> None:
    """Convert a safetensors file to three files in an existing folder.

    Args:
        weights: The safetensors file.
        folder: Folder for the three files.

    Raises:
        InvalidInput: h5py is not installed, or the folder cannot be written to.
        Unusable: the safetensors file is not a model.
    """
    _run("export_model", _paths(folder), weights, LIMITS)


def _paths(folder: Path) -> dict[str, str]:
    return {network: str(folder.absolute() / name) for network, name in FILES.items()}


def _run(function: str, files: Mapping[str, str], weights: Path, limits: Limits) -> None:
    require_reader()
    try:
        with _one_sandbox, Sandbox(limits, allow=["facefoundry.model."]) as sandbox:
            target = f"facefoundry.model.keras_h5:{function}"
            for _ in sandbox.run(target, files={**files}, weights=str(weights.absolute())):
                pass
    except Unusable as error:
        if not error.reason.startswith("MEDIA_"):  # an error of the files, not of the sandbox
            raise
        what = f"The model {', '.join(files.values())} cannot be converted: {error.message}"
        raise Unusable(what, reason=error.reason) from error
