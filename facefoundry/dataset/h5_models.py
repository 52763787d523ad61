"""Finds and writes models in the format of FF++: `encoder.h5`, `decoder_A.h5` and `decoder_B.h5` in one folder.

Only the trainer reads such files. The weights that are written may come from strangers, so a sandbox reads them, with
`facefoundry.model.keras_h5`. This module can be imported without h5py, which only the extra `h5` installs.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from facefoundry.errors import InvalidInput, Unusable
from facefoundry.process.sandbox import Limits, Sandbox

__all__ = ["FILES", "LIMITS", "find", "is_published", "write"]

FILES = {"encoder": "encoder.h5", "decoder_a": "decoder_A.h5", "decoder_b": "decoder_B.h5"}
"""The file name of each network."""

# The three files of a model of FF++ have 313 MiB in total.
_MAX_BYTES = 1 << 30
LIMITS = Limits(seconds=600, memory_bytes=3 << 30)


def is_published(folder: Path) -> bool:
    """Return whether a folder contains at least one of the three files."""
    return any((folder / name).is_file() for name in FILES.values())


def find(folder: Path) -> list[Path]:
    """Return the paths of the three files in a folder.

    Raises:
        InvalidInput: a file is missing or cannot be read, or the files are larger than any model of FF++.
    """
    paths = [folder / name for name in FILES.values()]
    for path in paths:
        if not os.access(path, os.R_OK):
            problem = "cannot be read" if path.exists() else "is missing"
            what = f"{path} {problem}. A model of FF++ has {', '.join(FILES.values())}."
            raise InvalidInput(what, reason="BAD_MODEL")
    if sum(path.stat().st_size for path in paths) > _MAX_BYTES:
        what = f"Expected .h5 files of at most {_MAX_BYTES >> 20} MiB in total in {folder}. They are larger."
        raise InvalidInput(what, reason="BAD_MODEL")
    return paths


def write(weights: Path, folder: Path, limits: Limits = LIMITS) -> None:
    """Convert a safetensors file to three files in an existing folder.

    Args:
        weights: The safetensors file.
        folder: Folder for the three files.
        limits: Limits of the sandbox.

    Raises:
        InvalidInput: h5py is not installed, or the folder cannot be written to.
        Unusable: the safetensors file is not a model.
    """
    _require_writer()
    files = {network: str(folder.absolute() / name) for network, name in FILES.items()}
    try:
        with Sandbox(limits, allow=["facefoundry.model."]) as sandbox:
            target = "facefoundry.model.keras_h5:export_model"
            for _ in sandbox.run(target, files={**files}, weights=str(weights.absolute())):
                pass
    except Unusable as error:
        if not error.reason.startswith("MEDIA_"):  # an error of the files, not of the sandbox
            raise
        what = f"The model {', '.join(files.values())} cannot be written: {error.message}"
        raise Unusable(what, reason=error.reason) from error


def _require_writer() -> None:
    """Check that h5py is installed.

    Raises:
        InvalidInput: h5py is not installed (H5PY_MISSING).
    """
    if importlib.util.find_spec("h5py") is None:
        raise InvalidInput(
            "Writing .h5 files needs h5py, which is not installed: run pip install 'facefoundry[h5]', "
            "or pip install h5py.",
            reason="H5PY_MISSING",
        )
