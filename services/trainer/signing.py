"""Signs what workers commit for a training, its checkpoints and models, so that nothing else is taken for them.

The trainer makes a secret for each training when it starts it, in a class of keys of its own: only the trainer writes
there, and only trainer and workers read there. A manifest is signed with it, for its own prefix. So a model counts only
if the training was started and one of its workers made it, whoever else can write below `models/` or `trainings/`.
"""

from __future__ import annotations

import hmac
import json
import secrets
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field

from facefoundry.errors import Conflict, Denied, NotFound
from facefoundry.storage import document, keys
from facefoundry.storage.conditional import REFUSALS, put_if_absent
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.store import Store

__all__ = ["SigningKey", "find", "is_signed", "load", "make", "signed"]


@dataclass(frozen=True)
class SigningKey:
    """The key with which a training's workers sign manifests.

    Attributes:
        secret: 64 random hex digits.
    """

    secret: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


def make(store: Store, training: str) -> None:
    """Make the key of a training, unless there is one.

    Args:
        store: The object store.
        training: Digest of the training.
    """
    key = keys.signing(training)
    if store.exists(key):
        return
    data = document.encode(SigningKey(secrets.token_hex(32)))
    try:
        put_if_absent(store, key, data)
    except Conflict:
        pass  # another replica has made it meanwhile
    except Denied as error:
        if error.reason not in REFUSALS:
            raise
        document.put(store, key, data)


def find(store: Store, training: str) -> SigningKey | None:
    """Return the key of a training; None if the training was never started.

    Raises:
        DataLoss: the key is damaged.
    """
    return document.find(store, keys.signing(training), SigningKey)


def load(store: Store, training: str) -> SigningKey:
    """Return the key of a training.

    Raises:
        NotFound: there is none (NO_SIGNING_KEY).
        DataLoss: it is damaged.
    """
    found = find(store, training)
    if found is None:
        key = keys.signing(training)
        message = (
            f"Expected the key {key}, with which the workers of {keys.training(training)} sign. There is none: it was "
            "deleted, or an earlier version started the training. Start the training again."
        )
        raise NotFound(message, reason="NO_SIGNING_KEY", resource=key)
    return found


def signed(key: SigningKey, prefix: str, made: Manifest) -> Manifest:
    """Return a manifest with its signature for a prefix."""
    return replace(made, signature=_signature(key, prefix, made))


def is_signed(key: SigningKey | None, prefix: str, found: Manifest) -> bool:
    """Return whether a manifest has the signature for its prefix; false without a key."""
    return key is not None and hmac.compare_digest(_signature(key, prefix, found), found.signature)


def _signature(key: SigningKey, prefix: str, made: Manifest) -> str:
    """Return the HMAC-SHA-256 of what a manifest is of and made from."""
    content = {
        "prefix": prefix,
        "kind": made.kind,
        "inputs": made.inputs,
        "options": made.options,
        "parts": [[part.name, part.sha256] for part in made.parts],
        "content_digest": made.content_digest,
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hmac.new(bytes.fromhex(key.secret), text.encode(), "sha256").hexdigest()
