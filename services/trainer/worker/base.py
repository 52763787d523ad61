"""Reads the base from which a training starts."""

from __future__ import annotations

from facefoundry.errors import Unusable
from facefoundry.model import weights
from facefoundry.model.architecture import content_digest, stated
from facefoundry.model.weights import Tensors
from facefoundry.storage import manifest
from facefoundry.storage.parts import WEIGHTS
from facefoundry.storage.store import Store
from services.trainer.worker_protocol import Base

__all__ = ["fetch", "initial_weights", "on_both_sides"]


def initial_weights(store: Store, base: Base, decoder: str) -> Tensors:
    """Load the base of a training, and return the weights from which the training starts.

    Args:
        store: The object store.
        base: The base.
        decoder: Side of the base's decoder that is copied, `a` or `b`.

    Raises:
        NotFound: the model does not exist any more.
        Unusable: it is not the model with which the training was started (BASE_CHANGED).
    """
    return on_both_sides(fetch(store, base), decoder)


def fetch(store: Store, base: Base) -> Tensors:
    """Load the weights of a base.

    Raises:
        NotFound: the model does not exist any more.
        Unusable: it is not the model with which the training was started (BASE_CHANGED).
    """
    found = manifest.load(store, base.prefix)
    tensors, metadata = weights.from_bytes(manifest.read_part(store, found.part(WEIGHTS)), weights.NETWORK_FORMAT)
    digests = {found.content_digest, content_digest(tensors, stated(metadata).colours)}
    if digests != {base.content_digest}:
        uri = store.uri(base.prefix)
        raise Unusable(
            f"Expected the base {uri} to be as it was when the training was started, with the content digest "
            f"{base.content_digest}. Received {', '.join(sorted(digests - {base.content_digest}))}. Import the base "
            "again, or start the training again, which is then another one.",
            reason="BASE_CHANGED",
            resource=uri,
        )
    return tensors


def on_both_sides(base: Tensors, decoder: str) -> Tensors:
    """Return the weights of a training that starts from a base: its encoder, and one decoder on both sides.

    Args:
        base: Tensors of the base.
        decoder: Side of the base's decoder that is copied, `a` or `b`.
    """
    chosen = f"decoder_{decoder}/"
    encoder = {name: tensor for name, tensor in base.items() if name.startswith("encoder/")}
    copied = {name.removeprefix(chosen): tensor for name, tensor in base.items() if name.startswith(chosen)}
    return {
        **encoder,
        **{f"decoder_{side}/{name}": tensor for side in ("a", "b") for name, tensor in copied.items()},
    }
