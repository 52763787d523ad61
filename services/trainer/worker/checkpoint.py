"""Checkpoints and models in the bucket: writing them in the background, finding the best one to go on from.

A checkpoint is one safetensors object with all weights, both sides' moments, the count and the history. Order of data
and random numbers are functions of the count, so nothing else is needed. Each worker process writes below a prefix of
its own, `trainings/<digest>/checkpoints/<worker>/`; its manifest names the two newest.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from facefoundry.errors import DataLoss, FaceFoundryError, NotFound, Unavailable, Unusable
from facefoundry.model import weights
from facefoundry.model.network import FORMAT as WEIGHTS_FORMAT
from facefoundry.model.weights import Tensors
from facefoundry.storage import manifest
from facefoundry.storage.parts import WEIGHTS
from facefoundry.storage.store import Store
from facefoundry.telemetry import logger
from services.trainer.worker.history import History
from services.trainer.worker_protocol import Attempt, Preview, checkpoints_prefix

__all__ = ["CHECKPOINT_FORMAT", "OPTIMIZER_FORMAT", "Checkpoints", "State", "commit_model", "delete_all", "find_newest"]

CHECKPOINT_FORMAT = "facefoundry.checkpoint/1"
OPTIMIZER_FORMAT = "facefoundry.optimizer/1"

_KEPT = 2
_MOMENTS = "moments/"
_log = logger(__name__)


@dataclass
class State:
    """Everything that a training goes on from.

    Attributes:
        iteration: Iterations done.
        weights: All weights by name, float32.
        moments: Both sides' moments by name, float32.
        history: Losses so far.
        previews: Preview pictures so far.
        seconds: Time spent iterating so far, all attempts together.
    """

    iteration: int
    weights: Tensors
    moments: Tensors
    history: History = field(default_factory=History)
    previews: tuple[Preview, ...] = ()
    seconds: float = 0.0

    def facts(self) -> dict[str, Any]:
        """The facts beside the tensors, JSON values."""
        return {
            "iteration": self.iteration,
            "history": self.history.to_json(),
            "previews": [{"iteration": preview.iteration, "key": preview.key} for preview in self.previews],
            "seconds": round(self.seconds, 3),
        }

    def to_bytes(self) -> bytes:
        """Write it as a checkpoint."""
        return weights.to_bytes({**self.weights, **self.moments}, {"format": CHECKPOINT_FORMAT, **self.facts()})

    @classmethod
    def of(cls, tensors: Tensors, facts: dict[str, Any]) -> State:
        """Put together what `facts` and the tensors say.

        Raises:
            Unusable: the facts are not those of a state.
        """
        try:
            previews = tuple(Preview(int(entry["iteration"]), str(entry["key"])) for entry in facts["previews"])
            return cls(
                int(facts["iteration"]),
                {name: tensor for name, tensor in tensors.items() if not name.startswith(_MOMENTS)},
                {name: tensor for name, tensor in tensors.items() if name.startswith(_MOMENTS)},
                History.from_json(facts["history"]),
                previews,
                float(facts["seconds"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise Unusable(f"This is not a training's state ({error!r}).", reason="NOT_A_CHECKPOINT") from error


class Checkpoints:
    """Writes one worker's checkpoints, one at a time, on a thread of its own.

    Args:
        store: The object store.
        request: What is trained.
        worker: Unique id of this worker.
        scratch: Folder for a file of the checkpoint's size.
    """

    def __init__(self, store: Store, request: Attempt, worker: str, scratch: Path | None = None) -> None:
        self._store = store
        self._request = request
        self._prefix = f"{checkpoints_prefix(request.prefix)}/{worker}"
        self._scratch = scratch
        self._kept: list[manifest.Part] = []
        self._thread: threading.Thread | None = None
        self._error: FaceFoundryError | None = None
        self.iteration = 0
        """Iteration of the newest committed checkpoint of this worker; 0 when none."""

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is being written now."""
        return self._thread is not None and self._thread.is_alive()

    def begin(self, state: State) -> None:
        """Start writing a state, after the one before is done; a failure of that one is made good by this."""
        if self._thread is not None:
            self._thread.join()
        self._error = None
        self._thread = threading.Thread(target=self._run, args=(state,), name="checkpoint")
        self._thread.start()

    def finish(self) -> None:
        """Wait for the newest checkpoint.

        Raises:
            FaceFoundryError: it could not be written.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _run(self, state: State) -> None:
        try:
            self._write(state)
        except FaceFoundryError as error:
            self._error = error
        except OSError as error:
            self._error = Unavailable(f"The checkpoint could not be written to scratch: {error}", reason="SCRATCH")
        if self._error:
            _log.warning("checkpoint_failed", iteration=state.iteration, detail=self._error.message)

    def _write(self, state: State) -> None:
        with TemporaryDirectory(prefix="facefoundry-", dir=self._scratch) as folder:
            path = Path(folder, "checkpoint")
            path.write_bytes(state.to_bytes())
            part = manifest.put_part(self._store, self._prefix, f"{state.iteration:07d}.safetensors", path)
        kept, dropped = [*self._kept, part][-_KEPT:], [*self._kept, part][:-_KEPT]
        manifest.commit(self._store, self._prefix, self._manifest(tuple(kept)))
        self._kept = kept
        self.iteration = state.iteration
        self._store.delete(old.key for old in dropped)
        _log.event("checkpoint", iteration=state.iteration, bytes=part.size, key=part.key)

    def _manifest(self, parts: tuple[manifest.Part, ...]) -> manifest.Manifest:
        return manifest.Manifest(
            kind="checkpoint",
            inputs={"training": self._store.uri(self._request.prefix)},
            options=self._request.options,
            parts=parts,
            info={},
            content_digest="",
        )


def find_newest(store: Store, request: Attempt) -> State | None:
    """The state with the most iterations, at most those asked for, over all workers' checkpoints and models.

    Damaged ones are logged and passed over.
    """
    for iteration, source, read in sorted(_candidates(store, request), key=lambda found: found[:2], reverse=True):
        try:
            state = read()
        except (DataLoss, NotFound, Unusable) as error:
            _log.warning("checkpoint_unusable", key=source, detail=error.message)
            continue
        if state.iteration == iteration:
            return state
    return None


def _candidates(store: Store, request: Attempt) -> Iterator[tuple[int, str, Callable[[], State]]]:
    for prefix in _committed(store, f"{checkpoints_prefix(request.prefix)}/"):
        try:
            found = manifest.load_if_committed(store, prefix)
            parts = [(int(part.name.partition(".")[0]), part) for part in (found.parts if found else ())]
        except (DataLoss, ValueError) as error:
            _log.warning("checkpoint_unusable", key=prefix, detail=str(error))
            continue
        for iteration, part in parts:
            if iteration <= request.iterations:
                yield iteration, part.key, lambda part=part: _read_checkpoint(store, part)  # type: ignore[misc]
    for prefix in _committed(store, f"models/{request.training}/"):
        iteration = int(prefix.rpartition("/")[2])
        if iteration <= request.iterations:
            yield iteration, prefix, lambda prefix=prefix: _read_model(store, prefix)  # type: ignore[misc]


def _committed(store: Store, prefix: str) -> Iterator[str]:
    for key in store.list(prefix):
        if key.endswith("/manifest.json"):
            yield key.removesuffix("/manifest.json")


def _read_checkpoint(store: Store, part: manifest.Part) -> State:
    return State.of(*weights.from_bytes(manifest.read_part(store, part), CHECKPOINT_FORMAT))


def _read_model(store: Store, prefix: str) -> State:
    model = manifest.load(store, prefix)
    nets, _ = weights.from_bytes(manifest.read_part(store, model.part(WEIGHTS)), WEIGHTS_FORMAT)
    moments, facts = weights.from_bytes(
        manifest.read_part(store, model.part("optimizer.safetensors")), OPTIMIZER_FORMAT
    )
    return State.of({**nets, **moments}, facts)


def commit_model(store: Store, request: Attempt, state: State, network_bytes: bytes, inputs: dict[str, Any]) -> None:
    """Write a finished training as a model; its manifest comes last.

    Args:
        store: The object store.
        request: What was trained.
        state: Its last state.
        network_bytes: `Network.to_bytes()` of the same weights.
        inputs: The extractions' URIs and content digests.

    A model that another worker has committed meanwhile stays as it is; the parts written here are then left over, for
    they may be those of a third worker.
    """
    store = store.with_retries_for(store.settings.retry_seconds)  # days of work may hang on these writes
    prefix = request.model_prefix
    moments = weights.to_bytes(state.moments, {"format": OPTIMIZER_FORMAT, **state.facts()})
    parts = (
        manifest.put_part(store, prefix, WEIGHTS, network_bytes),
        manifest.put_part(store, prefix, "optimizer.safetensors", moments),
    )
    facts = state.facts()
    info = {
        "pair_id": request.pair_id,
        "iterations": state.iteration,
        "losses": [list(point) for point in state.history.points],
        "previews": facts["previews"],
        "seconds": facts["seconds"],
    }
    model = manifest.Manifest(
        kind="model",
        inputs=inputs,
        options=request.options,
        parts=parts,
        info=info,
        content_digest=weights.content_digest(state.weights),
    )
    if manifest.load_if_committed(store, prefix) is not None:
        _log.event("model_found", uri=store.uri(prefix))
        return
    manifest.commit(store, prefix, model)
    _log.event("model_committed", uri=store.uri(prefix), content_digest=model.content_digest)


def delete_all(store: Store, request: Attempt) -> None:
    """Delete the checkpoints of all workers that the model makes useless: those of up to as many iterations."""
    found: dict[str, list[str]] = {}
    for key in store.list(f"{checkpoints_prefix(request.prefix)}/"):
        found.setdefault(key.rpartition("/")[0], []).append(key)
    useless: list[str] = []
    for keys in found.values():
        stems = [key.rpartition("/")[2].partition("-")[0] for key in keys]
        if all(int(stem) <= request.iterations for stem in stems if stem.isdigit()):
            useless += keys
    # Manifests first: whoever looks meanwhile sees a checkpoint with all its parts or none.
    manifests = [key for key in useless if key.endswith("/manifest.json")]
    store.delete(manifests)
    store.delete(key for key in useless if key not in manifests)
