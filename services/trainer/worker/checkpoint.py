"""Checkpoints and models in the bucket: writes them, and finds the newest one from which a training can resume.

A checkpoint is one safetensors object with all weights, the moments of both sides' Adam optimizers, the iteration, the
previews and the history of the losses. Data and random numbers depend on the iteration alone, so nothing else is
needed. Each worker writes below its own prefix, `trainings/<digest>/checkpoints/<worker>/`, whose manifest names its
two newest checkpoints.

A training that collapsed may have restarted from iteration 0. Its states since then are newer than all from before,
whatever their iterations, so the name of a checkpoint says on which side of the restart it is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from facefoundry import codec
from facefoundry.codec import JsonObject
from facefoundry.errors import DataLoss, FaceFoundryError, NotFound, Unavailable, Unusable
from facefoundry.model import weights
from facefoundry.model.architecture import content_digest
from facefoundry.model.network import FORMAT as WEIGHTS_FORMAT
from facefoundry.model.weights import Tensors
from facefoundry.storage import manifest
from facefoundry.storage.info import ModelInfo, Restart
from facefoundry.storage.parts import WEIGHTS
from facefoundry.storage.store import Store
from facefoundry.storage.usage import Usage
from facefoundry.telemetry import logger
from services.trainer import signing
from services.trainer.signing import SigningKey
from services.trainer.worker.history import History
from services.trainer.worker_protocol import Attempt, Preview, checkpoints_prefix

__all__ = [
    "CHECKPOINT_FORMAT",
    "OPTIMIZER_FORMAT",
    "Checkpoints",
    "State",
    "commit_model",
    "delete_obsolete",
    "find_newest",
]

CHECKPOINT_FORMAT = "facefoundry.checkpoint/1"
OPTIMIZER_FORMAT = "facefoundry.optimizer/1"

_KEPT = 2
_RESTARTED = "restarted"
_OPTIMIZER = "optimizer.safetensors"
_MOMENTS = "moments/"
_log = logger(__name__)


@dataclass
class _Metadata:
    """The values that a checkpoint stores in addition to its tensors; the attributes are those of `State`."""

    iteration: int
    history: History
    previews: tuple[Preview, ...]
    seconds: float
    threads: tuple[int, ...] = ()
    restart: Restart | None = None
    usage: Usage | None = None


@dataclass
class State:
    """The whole state of a training, from which it can be resumed.

    Attributes:
        iteration: Iterations done.
        weights: All weights by name, float32.
        moments: Moments of both sides' Adam optimizers by name, float32.
        history: Losses so far.
        previews: Preview pictures so far.
        seconds: Time spent on iterations so far, in all attempts together.
        threads: Numbers of CPU threads of the workers so far, ascending; 0 for a GPU. Other numbers give other last
            bits.
        restart: The restart after a collapse, since which iterations and losses count; None if there was none.
        usage: What all workers have used; None if unknown.
    """

    iteration: int
    weights: Tensors
    moments: Tensors
    history: History = field(default_factory=History)
    previews: tuple[Preview, ...] = ()
    seconds: float = 0.0
    threads: tuple[int, ...] = ()
    restart: Restart | None = None
    usage: Usage | None = None

    def metadata(self) -> JsonObject:
        """Return everything but the tensors, as JSON values."""
        done = (self.iteration, self.history, self.previews, round(self.seconds, 3))
        return codec.to_values(_Metadata(*done, self.threads, self.restart, self.usage))

    def to_bytes(self) -> bytes:
        """Encode the state as a checkpoint."""
        return weights.to_bytes({**self.weights, **self.moments}, {"format": CHECKPOINT_FORMAT, **self.metadata()})

    @classmethod
    def of(cls, tensors: Tensors, metadata: Mapping[str, object]) -> State:
        """Make a state from all its tensors and its metadata.

        Raises:
            Unusable: a field of the metadata is missing or has a wrong type; the message names it (NOT_A_CHECKPOINT).
        """
        try:
            found = codec.from_values(_Metadata, metadata)
        except DataLoss as error:
            raise Unusable(
                f"Expected the metadata of a checkpoint or model. Received other fields. {error.message}",
                reason="NOT_A_CHECKPOINT",
            ) from error
        return cls(
            found.iteration,
            {name: tensor for name, tensor in tensors.items() if not name.startswith(_MOMENTS)},
            {name: tensor for name, tensor in tensors.items() if name.startswith(_MOMENTS)},
            found.history,
            found.previews,
            found.seconds,
            found.threads,
            found.restart,
            found.usage,
        )


class Checkpoints:
    """Writes one worker's checkpoints on a background thread, one at a time.

    Args:
        store: The object store.
        attempt: The attempt that this worker runs.
        worker: Unique id of this worker.
        scratch_dir: Folder for a temporary file of the checkpoint's size; None for the system's folder.
    """

    def __init__(self, store: Store, attempt: Attempt, worker: str, scratch_dir: Path | None = None) -> None:
        self._store = store
        self._attempt = attempt
        self._prefix = f"{checkpoints_prefix(attempt.prefix)}/{worker}"
        self._scratch_dir = scratch_dir
        self._kept: list[manifest.Part] = []
        self._thread: threading.Thread | None = None
        self._error: FaceFoundryError | None = None
        self.iteration = 0
        """Iteration of the newest committed checkpoint of this worker; 0 if there is none."""

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is being written."""
        return self._thread is not None and self._thread.is_alive()

    def begin(self, state: State) -> None:
        """Wait until the previous checkpoint is written or has failed, then start to write a state as the next one."""
        if self._thread is not None:
            self._thread.join()
        self._error = None
        self._thread = threading.Thread(target=self._run, args=(state,), name="checkpoint")
        self._thread.start()

    def finish(self) -> None:
        """Wait until the newest checkpoint is written.

        Raises:
            FaceFoundryError: the checkpoint could not be written.
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
            message = (
                f"The checkpoint could not be written to a temporary file: {error}. Check the free space of "
                "FACEFOUNDRY_WORKER_SCRATCH_DIR, or of the system's folder for temporary files."
            )
            self._error = Unavailable(message, reason="SCRATCH")
        if self._error:
            _log.warning("checkpoint_failed", iteration=state.iteration, detail=self._error.message)

    def _write(self, state: State) -> None:
        with TemporaryDirectory(prefix="facefoundry-", dir=self._scratch_dir) as folder:
            path = Path(folder, "checkpoint")
            path.write_bytes(state.to_bytes())
            part = manifest.put_part(self._store, self._prefix, _name(state), path)
        kept, dropped = [*self._kept, part][-_KEPT:], [*self._kept, part][:-_KEPT]
        made = self._manifest(tuple(kept))
        key = signing.load(self._store, self._attempt.training)
        manifest.commit(self._store, self._prefix, signing.signed(key, self._prefix, made), replace=True)
        self._kept = kept
        self.iteration = state.iteration
        self._store.delete(old.key for old in dropped)
        _log.event("checkpoint", iteration=state.iteration, bytes=part.size, key=part.key)

    def _manifest(self, parts: tuple[manifest.Part, ...]) -> manifest.Manifest:
        return manifest.Manifest(
            kind="checkpoint",
            inputs={"training": self._store.uri(self._attempt.prefix)},
            options=self._attempt.options,
            parts=parts,
            info={},
            content_digest="",
        )


@dataclass(frozen=True)
class _Candidate:
    """A checkpoint or model from which a training could resume.

    Attributes:
        restarted: Whether it is from after a restart, according to its name or manifest.
        iteration: Iterations done, according to the name of the object.
        key: Key of a checkpoint, or prefix of a model.
        read: Reads the checkpoint or model.
    """

    restarted: bool
    iteration: int
    key: str
    read: Callable[[], State]

    @property
    def order(self) -> tuple[bool, int, str]:
        """What candidates are sorted by, from the oldest to the newest."""
        return self.restarted, self.iteration, self.key


def find_newest(store: Store, attempt: Attempt) -> State | None:
    """Return the newest state among the training's checkpoints and models; None if there are none.

    It is the one with the most iterations, and any one after a restart is newer than all before. States with more
    iterations than the attempt needs are ignored, and so is a restart after more. Checkpoints and models that are
    damaged, or that no worker of this training has signed, are logged and skipped.

    Raises:
        Unusable: a newer version of FaceFoundry wrote a checkpoint or model (NEWER_FORMAT).
    """
    for candidate in sorted(_candidates(store, attempt), key=lambda found: found.order, reverse=True):
        try:
            state = candidate.read()
        except (DataLoss, NotFound, Unusable) as error:
            if error.reason == "NEWER_FORMAT":  # it would be lost by starting again before it
                raise
            _log.warning("checkpoint_skipped", key=candidate.key, detail=error.message)
            continue
        found = state.restart is not None, state.iteration
        late = state.restart is not None and state.restart.collapsed_at > attempt.iterations
        if found == (candidate.restarted, candidate.iteration) and not late:
            return state
    return None


def _candidates(store: Store, attempt: Attempt) -> Iterator[_Candidate]:
    key = signing.find(store, attempt.training)
    for prefix in _committed(store, f"{checkpoints_prefix(attempt.prefix)}/"):
        try:
            found = _load_signed(store, prefix, key)
            parts = [(*_restart_and_iteration(part.name), part) for part in found.parts]
        except (DataLoss, NotFound, ValueError) as error:
            _log.warning("checkpoint_skipped", key=prefix, detail=str(error))
            continue
        for restarted, iteration, part in parts:
            if iteration <= attempt.iterations:
                yield _Candidate(restarted, iteration, part.key, partial(_read_checkpoint, store, part))
    for prefix in _committed(store, f"models/{attempt.training}/"):
        iteration = int(prefix.rpartition("/")[2])
        if iteration <= attempt.iterations:
            try:
                info = _load_signed(store, prefix, key).info_as(ModelInfo)
            except (DataLoss, NotFound) as error:
                _log.warning("checkpoint_skipped", key=prefix, detail=error.message)
                continue
            yield _Candidate(info.restart is not None, iteration, prefix, partial(_read_model, store, prefix, key))


def _load_signed(store: Store, prefix: str, key: SigningKey | None) -> manifest.Manifest:
    """Read the manifest of a checkpoint or model.

    Raises:
        NotFound: there is none.
        DataLoss: it is damaged, or no worker of the training has signed it (NOT_SIGNED).
    """
    found = manifest.load(store, prefix)
    if not signing.is_signed(key, prefix, found):
        message = f"Expected a signature of a worker of this training in the manifest of {prefix}. It has none."
        raise DataLoss(message, reason="NOT_SIGNED", resource=prefix)
    return found


def _name(state: State) -> str:
    """Return the name of a checkpoint, such as `0000100.safetensors` or `0000100-restarted.safetensors`."""
    return f"{state.iteration:07d}{f'-{_RESTARTED}' if state.restart else ''}.safetensors"


def _restart_and_iteration(name: str) -> tuple[bool, int]:
    """Return whether a checkpoint is from after a restart, and its iteration, from its name."""
    iteration, _, mark = name.partition(".")[0].partition("-")
    return mark == _RESTARTED, int(iteration)


def _committed(store: Store, prefix: str) -> Iterator[str]:
    for key in store.list(prefix):
        if key.endswith("/manifest.json"):
            yield key.removesuffix("/manifest.json")


def _read_checkpoint(store: Store, part: manifest.Part) -> State:
    return State.of(*weights.from_bytes(manifest.read_part(store, part), CHECKPOINT_FORMAT))


def _read_model(store: Store, prefix: str, key: SigningKey | None) -> State:
    model = _load_signed(store, prefix, key)
    networks, _ = weights.from_bytes(manifest.read_part(store, model.part(WEIGHTS)), WEIGHTS_FORMAT)
    moments, metadata = weights.from_bytes(manifest.read_part(store, model.part(_OPTIMIZER)), OPTIMIZER_FORMAT)
    return State.of({**networks, **moments}, metadata)


def commit_model(store: Store, attempt: Attempt, state: State, network_bytes: bytes, inputs: JsonObject) -> None:
    """Commit the final state of a training as a model.

    If another worker has committed the model in the meantime, that model is kept; one that no worker of this training
    has signed is written over. The parts that were written for this one are not deleted, because a third worker may be
    about to commit the same parts.

    Args:
        store: The object store.
        attempt: The attempt.
        state: The final state.
        network_bytes: `Network.to_bytes()` of the state's weights.
        inputs: URIs and content digests of the extractions and of the base.
    """
    store = store.with_retries_for(  # the result of days of work
        store.settings.retry_seconds, on_wait=lambda sentence: _log.warning("model_waits", detail=sentence)
    )
    prefix = attempt.model_prefix
    metadata = state.metadata()
    moments = weights.to_bytes(state.moments, {"format": OPTIMIZER_FORMAT, **metadata})
    parts = (
        manifest.put_part(store, prefix, WEIGHTS, network_bytes),
        manifest.put_part(store, prefix, _OPTIMIZER, moments),
    )
    info: JsonObject = {
        "pair_id": attempt.pair_id,
        "iterations": state.iteration,
        "losses": [list(point) for point in state.history.points],
        "previews": metadata["previews"],
        "seconds": metadata["seconds"],
        "threads": metadata["threads"],
        "restart": metadata["restart"],
    }
    model = manifest.Manifest(
        kind="model",
        inputs=inputs,
        options=attempt.options,
        parts=parts,
        info=info,
        content_digest=content_digest(state.weights, attempt.training_options().colours),
        usage=state.usage,
    )
    key = signing.load(store, attempt.training)
    ours = signing.signed(key, prefix, model)
    if manifest.commit(store, prefix, ours, keeps=lambda found: signing.is_signed(key, prefix, found)) != ours:
        _log.event("model_found", uri=store.uri(prefix))
        return
    _log.event("model_committed", uri=store.uri(prefix), content_digest=model.content_digest)


def delete_obsolete(store: Store, attempt: Attempt) -> None:
    """Delete the checkpoints of each worker that has no checkpoint with more iterations than the committed model."""
    by_worker: dict[str, list[str]] = {}
    for key in store.list(f"{checkpoints_prefix(attempt.prefix)}/"):
        by_worker.setdefault(key.rpartition("/")[0], []).append(key)
    obsolete: list[str] = []
    for keys in by_worker.values():
        stems = [key.rpartition("/")[2].partition("-")[0] for key in keys]
        if all(int(stem) <= attempt.iterations for stem in stems if stem.isdigit()):
            obsolete += keys
    # Manifests are deleted first, so that a reader sees a checkpoint with all its parts or none.
    manifests = [key for key in obsolete if key.endswith("/manifest.json")]
    store.delete(manifests)
    store.delete(key for key in obsolete if key not in manifests)
