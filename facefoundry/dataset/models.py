"""Finds, downloads and uploads models as folders on disk: `<A>_<B>/`, or `<A>_<B>/models/` as FF++ has them.

The folder of a model contains `weights.safetensors`, `optimizer.safetensors` and `model.json`, or three .h5 files in
the format of FF++. If it contains both, the .h5 files are ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from facefoundry import codec
from facefoundry.client import Client, OnProgress
from facefoundry.codec import JsonObject
from facefoundry.dataset import files, h5_models
from facefoundry.dataset.contents import FileContent
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.plan import Pair, check_pairs
from facefoundry.dataset.results import StoredResult, matches
from facefoundry.dataset.transfer import Transfers
from facefoundry.errors import DataLoss, FieldViolation, InvalidInput
from facefoundry.formats import refuse_newer_json
from facefoundry.storage import document
from facefoundry.storage.info import ModelInfo
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.parts import WEIGHTS
from facefoundry.v1 import trainer_pb2

__all__ = [
    "RECORD",
    "FoundModels",
    "choose",
    "download",
    "export",
    "find_models",
    "is_native",
    "record_of",
    "upload",
    "upload_model",
]

RECORD = "model.json"
_FILES = (WEIGHTS, "optimizer.safetensors")
_FORMAT = "facefoundry.model/1"
_NAME = re.compile(r"[A-Za-z0-9-]+_[A-Za-z0-9-]+")
_EXPECTED_FILES = f"{RECORD}, as `facefoundry generate-models` writes, or {', '.join(h5_models.FILES.values())}"


@dataclass(frozen=True)
class FoundModels:
    """The models that `find_models` found.

    Attributes:
        models: Folder of each model, by pair.
        others: A sentence for the user about each folder that is not a model, or is a second model of a pair.
    """

    models: dict[Pair, Path]
    others: list[str]


@dataclass
class _ModelRecord:
    """The content of `model.json`: the manifest of the model, and the prefix from which it was downloaded."""

    format: str
    manifest: JsonObject
    prefix: str = ""


def find_models(layout: Layout) -> FoundModels:
    """Find the models in a dataset, in a folder of models, or in the folder of one model.

    Args:
        layout: Names the folder: `models()` if it exists, otherwise `root`.

    Raises:
        InvalidInput: there is no model.
    """
    root = layout.models() if layout.models().is_dir() else layout.root
    if _holds_model(root):
        folder = root.absolute()
        found = _sort_folders([folder.parent if folder.name == "models" else folder])
    else:
        try:
            entries = sorted(root.iterdir())
        except OSError as error:
            raise InvalidInput(
                f"Cannot read the folder {root}: {error.strerror}. Check its path and permissions.",
                reason="INPUT_FOLDER",
            ) from error
        found = _sort_folders(entry for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    if not found.models:
        raise InvalidInput(
            " ".join([f"{root} holds no models: expected folders <A>_<B>/ with {_EXPECTED_FILES}.", *found.others[:5]]),
            reason="NO_MODELS",
        )
    return found


def choose(found: FoundModels, requested: Iterable[Pair], root: Path) -> list[Pair]:
    """Check that each requested pair has a model, and return the pairs in the order of ids that the models have.

    Args:
        found: The models.
        requested: The pairs; the two ids of a pair may be in either order.
        root: Folder of the models, for the message.

    Raises:
        InvalidInput: some pairs have no model; the message names all of them.
    """
    chosen, missing = [], []
    for pair in requested:
        match = next((either for either in (pair, Pair(pair.b, pair.a)) if either in found.models), None)
        if match is None:
            missing.append(pair.id)
        else:
            chosen.append(match)
    if missing:
        raise InvalidInput(
            f"{root} holds no model {', '.join(missing)}; it has "
            f"{', '.join(sorted(pair.id for pair in found.models))[:500]}. "
            "Train these pairs, or leave them out.",
            reason="MISSING_MODEL",
            violations=[FieldViolation("filelist", f"{name} has no model in {root}") for name in missing],
        )
    return chosen


def is_native(folder: Path) -> bool:
    """Return whether a model's folder contains files of FaceFoundry, not only .h5 files of FF++."""
    return (folder / RECORD).is_file()


def _holds_model(folder: Path) -> bool:
    return is_native(folder) or h5_models.is_published(folder)


def _sort_folders(folders: Iterable[Path]) -> FoundModels:
    """Part the folders into models and others."""
    found = FoundModels({}, [])
    for folder in folders:
        path = next((path for path in (folder, folder / "models") if _holds_model(path)), None)
        if not _NAME.fullmatch(folder.name):
            found.others.append(f"{folder} is not a model: its name must have the form <A>_<B>.")
        elif path is None:
            found.others.append(f"{folder} is not a model: {_what_it_holds(folder)}.")
        else:
            try:
                pair = _pair_of_name(folder.name)
            except InvalidInput as error:
                found.others.append(f"{folder} is not a model: {error.message}")
                continue
            if Pair(pair.b, pair.a) in found.models:
                found.others.append(f"{folder} is left out: {pair.mirrored} is a model of the same pair.")
            else:
                found.models[pair] = path
    return found


def _what_it_holds(folder: Path) -> str:
    """Return what a folder without a model's files holds instead: newer versions of faceswap write `original.h5`."""
    others = sorted(path.name for path in folder.glob("*.h5"))[:5]
    if not others:
        return f"it holds neither {RECORD} nor .h5 files"
    return f"it holds {', '.join(others)}, but neither {RECORD} nor {', '.join(h5_models.FILES.values())}"


def _pair_of_name(name: str) -> Pair:
    a, _, b = name.partition("_")
    return check_pairs([(a, b)], where=name)[0]


def download(model: StoredResult, folder: Path) -> ModelInfo:
    """Download a model to a folder, and return the facts about it. Complete files are not downloaded again.

    Args:
        model: The model.
        folder: Folder for the files of the model.
    """
    committed = model.manifest()
    info = committed.info_as(ModelInfo)
    for part in committed.parts:
        model.fetch(part.name, folder / part.name)
    files.write(folder / RECORD, record_of(model))
    return info


def record_of(model: StoredResult) -> bytes:
    """Return the content of `model.json` for a model."""
    prefix, committed = model.uri.partition("://")[2].partition("/")[2], asdict(model.manifest())
    return json.dumps({"format": _FORMAT, "prefix": prefix, "manifest": committed}, indent=1, sort_keys=True).encode()


def upload(transfers: Transfers, path: Path, on_progress: OnProgress = lambda _: None) -> str:
    """Upload a model from disk and return the URI of the imported model. What is stored already is not uploaded again.

    Args:
        transfers: The connections.
        path: Folder of the model, or its safetensors file.
        on_progress: Called with each progress message.

    Raises:
        InvalidInput: a file of the model is missing or wrong.
        Unusable: a file is damaged or contains another network; the message names it.
    """
    if path.is_file():
        paths = [path]
    elif is_native(path):
        load_verified(path)
        paths = [path / WEIGHTS]
    else:
        paths = h5_models.find(path)

    def import_model(uris: list[str]) -> trainer_pb2.Model:
        return transfers.client.import_model(trainer_pb2.ImportModelRequest(object_uris=uris), on_progress)

    contents = [FileContent(file, file.stat().st_size) for file in paths]
    return transfers.import_files("trainer", contents, import_model, on_progress).uri


def upload_model(path: str | Path, *, client: Client | None = None, on_progress: OnProgress = lambda _: None) -> str:
    """Upload a model from disk and return the URI of the imported model, as `upload` does.

    Args:
        path: Folder of the model, or its safetensors file.
        client: The client of the services; by default one with the addresses of the environment.
        on_progress: Called with each progress message.
    """
    if client is not None:
        return upload(Transfers(client), Path(path), on_progress)
    with Client() as own:
        return upload(Transfers(own), Path(path), on_progress)


def export(folder: Path, out: Path) -> None:
    """Write a model as three .h5 files in the format of FF++.

    Args:
        folder: Folder of the model, with files of FaceFoundry.
        out: Folder for the .h5 files; made if it does not exist.

    Raises:
        InvalidInput: a file of the model is missing or wrong, `out` cannot be written to, or h5py is not installed.
        Unusable: the weights are damaged.
    """
    load_verified(folder)
    try:
        files.make_folder(out)
    except OSError as error:
        raise InvalidInput(
            f"Cannot make the folder {out}: {error.strerror}. Choose another folder.", reason="OUTPUT"
        ) from error
    h5_models.write(folder / WEIGHTS, out)


def load_verified(folder: Path) -> Manifest:
    """Read the manifest of a model from `model.json`, and check the model's files against it.

    Raises:
        InvalidInput: `model.json` is wrong, or a file is missing or has changed.
        Unusable: a newer version of FaceFoundry wrote it (NEWER_FORMAT).
    """
    path = folder / RECORD
    try:
        data = path.read_bytes()
        refuse_newer_json(data, _FORMAT, str(path))
        record = codec.from_json(_ModelRecord, data)
        if record.format != _FORMAT:
            raise ValueError(f"expected format {_FORMAT!r}, received {record.format!r}")
        manifest = document.parse(Manifest, json.dumps(record.manifest), str(path))
        manifest.info_as(ModelInfo)
        parts = tuple(part for part in manifest.parts if part.name in _FILES)
        if WEIGHTS not in {part.name for part in parts}:
            raise ValueError(f"it does not name {WEIGHTS}")
    except (OSError, ValueError, DataLoss) as error:
        raise InvalidInput(
            f"{path} is not the record of a model: {error}. Copy the whole folder of the model again.",
            reason="BAD_MODEL",
        ) from error
    for part in parts:
        if not matches(folder / part.name, part.size, part.sha256):
            raise InvalidInput(
                f"{folder / part.name} is missing or has changed: its size or digest differs from that in {RECORD}. "
                "Copy the whole folder of the model again.",
                reason="BAD_MODEL",
            )
    return replace(manifest, parts=parts)
