"""Reads the weight files of a model that others made. This module runs in a sandbox of the trainer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from facefoundry import codec
from facefoundry.errors import Unusable
from facefoundry.model import keras_h5
from facefoundry.model.architecture import Architecture, content_digest, unpack
from facefoundry.model.weights import Tensors
from facefoundry.storage.parts import WEIGHTS
from facefoundry.work.messages import Message, PartsReady, Result
from facefoundry.work.workspace import Workspace
from services.trainer.functions import NETWORKS, ReadArgs, ReadModel

__all__ = ["read_model"]


def read_model(arguments: ReadArgs, workspace: Workspace) -> Iterator[Message[ReadModel]]:
    """Read a model from its files, and write it as a worker does: equal tensors become equal bytes.

    Yields:
        The part `WEIGHTS`, and finally the architecture, with the content digest of the tensors.

    Raises:
        Unusable: a file is damaged or contains another network; the message names its URI (NOT_A_MODEL).
    """
    try:
        architecture, tensors = _read(arguments, workspace)
    except Unusable as error:
        message = error.message
        for name, uri in arguments.uris.items():
            message = message.replace(str(workspace.input(name)), uri)
        named = [uri for name, uri in arguments.uris.items() if error.resource == str(workspace.input(name))]
        raise Unusable(message, reason=error.reason, resource=named[0] if named else "") from error
    workspace.made_part(WEIGHTS).write_bytes(architecture.pack(tensors))
    yield PartsReady((WEIGHTS,))
    yield Result(ReadModel(codec.to_values(architecture)), content_digest(tensors, architecture.colours))


def _read(arguments: ReadArgs, workspace: Workspace) -> tuple[Architecture, Tensors]:
    if set(arguments.uris) == set(NETWORKS):
        return keras_h5.read({network: workspace.input(name) for name, network in NETWORKS.items()})
    (name,) = arguments.uris
    path = workspace.input(name)
    try:
        architecture, tensors = unpack(path)
        for tensor, values in tensors.items():
            if not np.isfinite(values).all():
                what = f"Expected finite values in the tensor {tensor}. Received infinite ones or NaN."
                raise Unusable(what, reason="NOT_A_MODEL")
    except Unusable as error:
        raise Unusable(f"{path}: {error.message}", reason=error.reason, resource=str(path)) from error
    return architecture, tensors
