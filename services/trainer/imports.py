"""Imports models from files that others stored: exported weights, or the three .h5 files of an FF++ model.

A model is stored below a digest of its tensors, whatever files they came from. The prefixes of imported models have a
kind of their own, so that no import ever answers StartTraining.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path, PurePosixPath

import grpc

from facefoundry import codec
from facefoundry.codec import JsonObject, JsonValue
from facefoundry.errors import Conflict, FieldViolation, InvalidInput, Unusable
from facefoundry.storage import keys, manifest
from facefoundry.storage.info import ModelInfo
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.models import belongs, prefix_of_import
from facefoundry.storage.parts import WEIGHTS
from facefoundry.storage.store import Store
from facefoundry.telemetry import logger
from facefoundry.v1 import trainer_pb2
from facefoundry.work.delivery import made_file
from facefoundry.work.function import misbehaved
from facefoundry.work.incoming import Incoming, IncomingFiles
from facefoundry.work.messages import Progress, Result
from facefoundry.work.runner import Admitted, Committed, Runner
from services.trainer.functions import NETWORKS, READ_MODEL, ReadArgs, ReadModel

__all__ = ["Imports", "store_model"]

_FIELD = "object_uris"
_log = logger(__name__)


class Imports:
    """Imports models. The server process never opens their files; its sandboxes do.

    Args:
        store: The object store.
        incoming: Finds and reads the files.
        runner: Limits what runs at once, and has the sandboxes.
    """

    def __init__(self, store: Store, incoming: IncomingFiles, runner: Runner) -> None:
        self._store, self._incoming, self._runner = store, incoming, runner

    def run(
        self, request: trainer_pb2.ImportModelRequest, context: grpc.ServicerContext
    ) -> Generator[Progress | Committed, None, None]:
        """Import a model, or find it if it was imported before. Yield progress, and finally the stored model.

        Raises:
            InvalidInput: a URI is wrong, or the files are not those of one model (MODEL_FILES).
            NotFound: there is no such file.
            Conflict: a file changed while it was read.
            Unusable: a file is not completely uploaded, is damaged or has another network (NOT_A_MODEL), or the files
                are too large (TOO_LARGE).
            Busy: no slot is free.
            Interrupted: the service is stopping.
            Cancelled: the caller cancelled the call.
        """
        names = _local_names(request.object_uris)
        try:
            yield from self._import(names, request.pair_id, context)
        except Conflict:
            if not all(self._incoming.find(uri, _FIELD).result for uri in names.values()):
                raise
            yield from self._import(names, request.pair_id, context)  # another call imported these uploads meanwhile

    def _import(
        self, names: Mapping[str, str], pair_id: str, context: grpc.ServicerContext
    ) -> Generator[Progress | Committed, None, None]:
        files = {name: self._incoming.find(uri, _FIELD) for name, uri in names.items()}
        stored = self._find_result(files)
        if stored is not None:
            yield stored
            return
        what, total = ", ".join(names.values()), sum(file.size for file in files.values())
        with self._runner.admitted(what, total, context) as held:
            sha256 = yield from self._fetch(files, held)
            result: Result[ReadModel] | None = None
            with closing(READ_MODEL.run(held.sandbox, ReadArgs({**names}), held.workspace)) as messages:
                for message in messages:
                    if isinstance(message, Result):
                        result = message
            if result is None:
                raise misbehaved("ended without a result")
            committed = _store_model(result, held, sha256, pair_id)
        for file in files.values():
            self._incoming.finish(file, committed.uri)
        yield committed

    def _find_result(self, files: Mapping[str, Incoming]) -> Committed | None:
        """Return the model that uploads became before; None if the files are all there to be read.

        Raises:
            Unusable: some files were imported before, with others, and are deleted already (UPLOAD_INCOMPLETE).
        """
        results = {file.result for file in files.values()}
        uri = results.pop()
        if not results and keys.kind_of(uri) == "imports":
            prefix = keys.prefix_of(self._store.bucket, uri, "imports")
            found = manifest.load_if_right(self._store, prefix, lambda model: belongs(prefix, model))
            if found is not None:
                return Committed(uri, found, reused=True)
        gone = [file for file in files.values() if file.result]
        for file in gone:
            self._incoming.forget(file)
        if gone:
            message = f"{gone[0].uri} was imported before, for another result, and then deleted. Upload it again."
            raise Unusable(message, reason="UPLOAD_INCOMPLETE", resource=gone[0].uri)
        return None

    def _fetch(self, files: Mapping[str, Incoming], held: Admitted) -> Generator[Progress, None, dict[str, JsonValue]]:
        """Download the files, and return their SHA-256 by the names that they had."""
        sha256: dict[str, JsonValue] = {}
        total, done, incoming = sum(file.size for file in files.values()), 0, self._incoming.through(held.store)
        for name, file in files.items():
            path = held.workspace.input(name)
            sha256[file.name] = yield from incoming.fetch(file, path, done=done, total=total)
            held.drain.check()
            done += file.size
        return sha256


def _store_model(result: Result[ReadModel], held: Admitted, sha256: dict[str, JsonValue], pair_id: str) -> Committed:
    """Store the part that the sandbox made, unless the same tensors are stored, and return the model."""
    digest, architecture = result.content_digest, result.info.architecture
    with made_file(held.workspace, WEIGHTS) as weights:
        return store_model(held.store, digest, weights, architecture, {"files": sha256}, pair_id)


def store_model(
    store: Store,
    content_digest: str,
    weights: bytes | Path,
    architecture: JsonObject,
    inputs: JsonObject,
    pair_id: str = "",
) -> Committed:
    """Store a model that no training of this bucket made, unless the same tensors are stored, and return it.

    What another program wrote in the place of this model is written over.

    Args:
        store: The object store.
        content_digest: Content digest of the tensors.
        weights: The safetensors file, or its bytes.
        architecture: Fields of the model's `Architecture`.
        inputs: What the model was made of, for its manifest.
        pair_id: Id of the pair, `<A>_<B>`; may be empty.
    """
    prefix, sha256 = prefix_of_import(content_digest), _sha256(weights)

    def is_right(model: Manifest) -> bool:
        return belongs(prefix, model) and [part.sha256 for part in model.parts] == [sha256]

    found = manifest.load_if_right(store, prefix, is_right)
    if found is not None:
        return Committed(store.uri(prefix), found, reused=True)
    part = manifest.put_part(store, prefix, WEIGHTS, weights)
    info = codec.to_values(ModelInfo(iterations=0, pair_id=pair_id, architecture=architecture))
    made = Manifest("model", inputs, {}, (part,), info, content_digest)
    committed = manifest.commit(store, prefix, made, keeps=is_right)
    _log.event("imported", prefix=prefix, **inputs)
    return Committed(store.uri(prefix), committed, reused=False)


def _sha256(weights: bytes | Path) -> str:
    if isinstance(weights, bytes):
        return hashlib.sha256(weights).hexdigest()
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _local_names(uris: Sequence[str]) -> dict[str, str]:
    """Check that URIs name the files of one model, and return them by the names under which the sandbox reads them.

    Raises:
        InvalidInput: they do not (MODEL_FILES).
    """
    by_name = {PurePosixPath(uri).name: uri for uri in uris}
    if len(uris) == 1 and uris[0].endswith(".safetensors"):
        return {WEIGHTS: uris[0]}
    if len(uris) == len(NETWORKS) and set(by_name) == set(NETWORKS):
        return by_name
    expected = f"the URI of one .safetensors file, or those of the three files {', '.join(NETWORKS)} of one model"
    missing = [name for name in NETWORKS if name not in by_name]
    gap = f"; {' and '.join(missing)} is missing" if missing and len(missing) < len(NETWORKS) else ""
    raise InvalidInput(
        f"Expected {_FIELD} to be {expected}. Received {', '.join(uris)}{gap}.",
        reason="MODEL_FILES",
        violations=[FieldViolation(_FIELD, f"must be {expected}")],
    )
