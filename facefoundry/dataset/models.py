"""Models as folders on disk: `<A>_<B>/` with `weights.safetensors`, `optimizer.safetensors` and `model.json`."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, replace
from pathlib import Path

from facefoundry.dataset.plan import Pair, pairs_of
from facefoundry.errors import InvalidInput
from facefoundry.model import weights
from facefoundry.storage import keys, manifest
from facefoundry.storage.manifest import Manifest, Part
from facefoundry.storage.store import Store

__all__ = ["RECORD", "download", "find_models", "upload"]

RECORD = "model.json"
WEIGHTS = "weights.safetensors"
_FILES = (WEIGHTS, "optimizer.safetensors")
_FORMAT = "facefoundry.model/1"
_NAME = re.compile(r"[A-Za-z0-9-]+_[A-Za-z0-9-]+")


def find_models(folder: Path) -> dict[Pair, Path]:
    """Folders `<A>_<B>/` (or `<A>_<B>/models/`) that hold a model, by pair.

    A finished dataset's root may be given too.

    Raises:
        InvalidInput: there are none.
    """
    nested = folder / "manipulated_sequences" / "Deepfakes" / "models"
    root = nested if nested.is_dir() else folder
    if (root / RECORD).is_file() and _NAME.fullmatch(root.name):
        return {_pair(root.name): root}
    found = {}
    for entry in sorted(root.iterdir()) if root.is_dir() else []:
        for place in (entry, entry / "models"):
            if _NAME.fullmatch(entry.name) and (place / RECORD).is_file():
                found[_pair(entry.name)] = place
                break
    if not found:
        raise InvalidInput(
            f"{root} holds no models: expected folders <A>_<B>/ with {RECORD}, as `facefoundry "
            "generate-models` writes.",
            reason="NO_MODELS",
        )
    return found


def _pair(name: str) -> Pair:
    a, _, b = name.partition("_")
    return pairs_of([(a, b)], origin=name)[0]


def download(store: Store, model_uri: str, folder: Path) -> Manifest:
    """Bring a model to disk; parts that are there already are not fetched again."""
    prefix = store.prefix_of(model_uri, "models", "model_uri")
    record = manifest.load(store, prefix)
    folder.mkdir(parents=True, exist_ok=True)
    for part in record.parts:
        path = folder / part.name
        if not _is(path, part):
            manifest.fetch_part(store, part, path)
    text = json.dumps({"format": _FORMAT, "prefix": prefix, "manifest": asdict(record)}, indent=1, sort_keys=True)
    partial = folder / (RECORD + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(folder / RECORD)
    return record


def upload(store: Store, folder: Path) -> str:
    """Bring a model from disk into the store and return its URI; one that is there already is not sent again.

    Its prefix holds the digest of the weights, so a folder can never stand in for another model of this store.

    Raises:
        InvalidInput: the folder is not a whole model.
    """
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if record["format"] != _FORMAT:
            raise ValueError(f"format {record['format']!r}")
        fields = record["manifest"]
        parts = tuple(Part(**part) for part in fields["parts"] if part["name"] in _FILES)
        model = Manifest(**{**fields, "parts": parts})
        iterations = int(model.info["iterations"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{folder / RECORD} is not a model's record: {error}.", reason="BAD_MODEL") from error
    for part in parts:
        if not _is(folder / part.name, part):
            raise InvalidInput(f"{folder / part.name} is missing or not what {RECORD} says.", reason="BAD_MODEL")
    prefix = keys.model(keys.digest_of({"imported": _content(folder)}), iterations)
    if manifest.load_if_committed(store, prefix) is None:
        put = tuple(manifest.put_part(store, prefix, part.name, folder / part.name) for part in parts)
        info = {**model.info, "previews": []}
        manifest.commit(store, prefix, replace(model, parts=put, content_digest=_content(folder), info=info))
    return store.uri(prefix)


def _content(folder: Path) -> str:
    """Content digest of a folder's weights; what its record says of them is not believed."""
    tensors, _ = weights.from_bytes((folder / WEIGHTS).read_bytes(), weights.NETWORK_FORMAT)
    return weights.content_digest(tensors)


def _is(path: Path, part: Part) -> bool:
    """Say whether a file is a part, by size and digest."""
    if not path.is_file() or (part.size and path.stat().st_size != part.size):
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == part.sha256
