"""The function that the trainer's sandboxes run, with the types of its arguments and its result.

The server process imports this module, so it imports no library that reads weights.
"""

from __future__ import annotations

from dataclasses import dataclass

from facefoundry.codec import JsonObject
from facefoundry.work.function import SandboxFunction

__all__ = ["NETWORKS", "READ_MODEL", "ReadArgs", "ReadModel"]

NETWORKS = {"encoder.h5": "encoder", "decoder_A.h5": "decoder_a", "decoder_B.h5": "decoder_b"}
"""The network in each of the three files of an FF++ model, by file name."""


@dataclass(frozen=True)
class ReadArgs:
    """Arguments of `READ_MODEL`.

    Attributes:
        uris: URI of each file, for messages, by its name among the workspace's inputs: those of `NETWORKS`, or one
            safetensors file.
    """

    uris: dict[str, str]


@dataclass(frozen=True)
class ReadModel:
    """The result of `READ_MODEL`, beside the part `parts.WEIGHTS`.

    Attributes:
        architecture: Fields of the model's `Architecture`.
    """

    architecture: JsonObject


READ_MODEL = SandboxFunction("services.trainer.weight_files:read_model", ReadArgs, ReadModel)
