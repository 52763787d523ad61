"""Models as folders on disk: `<A>_<B>/`, or `<A>_<B>/models/` as the original made them.

A folder holds `weights.safetensors`, `optimizer.safetensors` and `model.json`, or the three .h5 files that
FaceForensics++ published. Where both lie in one folder, ours count.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from facefoundry.dataset import h5_models
from facefoundry.dataset.plan import Pair, pairs_of
from facefoundry.errors import FieldViolation, InvalidInput
from facefoundry.model import weights
from facefoundry.model.architecture import unpack
from facefoundry.storage import keys, manifest
from facefoundry.storage.manifest import Manifest, Part
from facefoundry.storage.parts import WEIGHTS
from facefoundry.storage.store import Store

__all__ = ["RECORD", "FoundModels", "choose", "download", "export", "find_models", "is_ours", "upload"]

RECORD = "model.json"
_FILES = (WEIGHTS, "optimizer.safetensors")
_FORMAT = "facefoundry.model/1"
_NAME = re.compile(r"[A-Za-z0-9-]+_[A-Za-z0-9-]+")
_FORMS = f"{RECORD}, as `facefoundry generate-models` writes, or {', '.join(h5_models.FILES.values())}"


@dataclass(frozen=True)
class FoundModels:
    """Models below a folder.

    Attributes:
        models: Folder of each model, by pair.
        others: A sentence for each folder that is no model, or a second one of a pair.
    """

    models: dict[Pair, Path]
    others: list[str]


def find_models(folder: Path) -> FoundModels:
    """Find the models of pairs: a folder of models, one model's folder, or a dataset's root.

    Raises:
        InvalidInput: there are none, or some are in .h5 files that cannot be read here.
    """
    nested = folder / "manipulated_sequences" / "Deepfakes" / "models"
    root = nested if nested.is_dir() else folder
    if _holds_model(root):
        whole = root.absolute()
        found = _found([whole.parent if whole.name == "models" else whole])
    else:
        try:
            entries = sorted(root.iterdir())
        except OSError as error:
            raise InvalidInput(f"Cannot read the folder {root}: {error.strerror}.", reason="INPUT_FOLDER") from error
        found = _found(entry for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    if not found.models:
        raise InvalidInput(
            " ".join([f"{root} holds no models: expected folders <A>_<B>/ with {_FORMS}.", *found.others[:5]]),
            reason="NO_MODELS",
        )
    if not all(is_ours(path) for path in found.models.values()):
        h5_models.require_reader()
    return found


def choose(found: FoundModels, wanted: Iterable[Pair], root: Path) -> list[Pair]:
    """The models of the wanted pairs, whichever of its two ids a pair names first.

    Raises:
        InvalidInput: some have no model; all of them are named.
    """
    chosen, missing = [], []
    for pair in wanted:
        either = [each for each in (pair, Pair(pair.b, pair.a)) if each in found.models]
        chosen += either[:1]
        missing += [] if either else [pair.id]
    if missing:
        raise InvalidInput(
            f"{root} holds no model {', '.join(missing)}; it has "
            f"{', '.join(sorted(pair.id for pair in found.models))[:500]}.",
            reason="MISSING_MODEL",
            violations=[FieldViolation("filelist", f"{name} has no model in {root}") for name in missing],
        )
    return chosen


def is_ours(folder: Path) -> bool:
    """Say whether a model's folder is in our form, not FaceForensics++'s."""
    return (folder / RECORD).is_file()


def _holds_model(folder: Path) -> bool:
    return is_ours(folder) or h5_models.is_published(folder)


def _found(folders: Iterable[Path]) -> FoundModels:
    """Sort folders into models and others."""
    found = FoundModels({}, [])
    for folder in folders:
        place = next((place for place in (folder, folder / "models") if _holds_model(place)), None)
        if not _NAME.fullmatch(folder.name):
            found.others.append(f"{folder} is no model: its name is not of the form <A>_<B>.")
        elif place is None:
            found.others.append(f"{folder} is no model: it holds neither {RECORD} nor .h5 files.")
        else:
            try:
                pair = _pair(folder.name)
            except InvalidInput as error:
                found.others.append(f"{folder} is no model: {error.message}")
                continue
            if Pair(pair.b, pair.a) in found.models:
                found.others.append(f"{folder} is left out: {pair.mirrored} is a model of the same pair.")
            else:
                found.models[pair] = place
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
        if not matches_part(path, part):
            manifest.fetch_part(store, part, path)
    text = json.dumps({"format": _FORMAT, "prefix": prefix, "manifest": asdict(record)}, indent=1, sort_keys=True)
    partial = folder / (RECORD + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(folder / RECORD)
    return record


def upload(store: Store, folder: Path) -> str:
    """Bring a model from disk into the store and return its URI; one that is there already is not sent again.

    Its prefix holds the digest of the weights, or of the .h5 files, so a folder can never stand in for another model
    of this store.

    Raises:
        InvalidInput: the folder is not a whole model.
        Unusable: an .h5 file is damaged or holds another network.
    """
    if not is_ours(folder):
        return _upload_published(store, folder)
    model = load_verified(folder)
    prefix = _prefix({"imported": weights_digest(folder)}, int(model.info["iterations"]))
    if manifest.load_if_committed(store, prefix) is None:
        put = tuple(manifest.put_part(store, prefix, part.name, folder / part.name) for part in model.parts)
        info = {**model.info, "previews": []}
        manifest.commit(store, prefix, replace(model, parts=put, content_digest=weights_digest(folder), info=info))
    return store.uri(prefix)


def export(folder: Path, out: Path) -> None:
    """Write a model of ours as FaceForensics++'s three .h5 files.

    Raises:
        InvalidInput: the folder is not a whole model of ours, `out` cannot be written to, or h5py is missing.
        Unusable: its weights are none.
    """
    load_verified(folder)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"Cannot make the folder {out}: {error.strerror}.", reason="OUTPUT") from error
    h5_models.write(folder / WEIGHTS, out)


def _upload_published(store: Store, folder: Path) -> str:
    digests = h5_models.digests(folder)
    prefix = _prefix({"published": digests, "format": weights.NETWORK_FORMAT}, 0)
    if manifest.load_if_committed(store, prefix) is None:
        with tempfile.TemporaryDirectory(prefix="facefoundry-model-") as scratch:
            path = Path(scratch) / WEIGHTS
            h5_models.read(folder, path)
            architecture, tensors = unpack(path)
            digest = weights.content_digest(tensors)
            put = manifest.put_part(store, prefix, WEIGHTS, path)
        info = {"iterations": 0, "previews": [], "architecture": asdict(architecture)}
        manifest.commit(store, prefix, Manifest("model", {"published": digests}, {}, (put,), info, digest))
    return store.uri(prefix)


def _prefix(made_of: dict[str, object], iterations: int) -> str:
    """Where an imported model lies; .h5 files do not say their iterations, and a key needs a number from 1."""
    return keys.model(keys.digest_of(made_of), max(1, iterations))


def load_verified(folder: Path) -> Manifest:
    """The record of a model of ours whose files are what it says.

    Raises:
        InvalidInput: they are not.
    """
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if record["format"] != _FORMAT:
            raise ValueError(f"format {record['format']!r}")
        fields = record["manifest"]
        parts = tuple(Part(**part) for part in fields["parts"] if part["name"] in _FILES)
        model = Manifest(**{**fields, "parts": parts})
        int(model.info["iterations"])
        if WEIGHTS not in {part.name for part in parts}:
            raise ValueError(f"it names no {WEIGHTS}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{folder / RECORD} is not a model's record: {error}.", reason="BAD_MODEL") from error
    for part in parts:
        if not matches_part(folder / part.name, part):
            raise InvalidInput(f"{folder / part.name} is missing or not what {RECORD} says.", reason="BAD_MODEL")
    return model


def weights_digest(folder: Path) -> str:
    """Content digest of a folder's weights; what its record says of them is not believed."""
    tensors, _ = weights.from_file(folder / WEIGHTS, weights.NETWORK_FORMAT)
    return weights.content_digest(tensors)


def matches_part(path: Path, part: Part) -> bool:
    """Say whether a file is a part, by size and digest."""
    if not path.is_file() or (part.size and path.stat().st_size != part.size):
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == part.sha256
