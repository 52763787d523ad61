"""Finds out whether a training has collapsed: its losses are useless, and more training does not mend them.

If the learning rate is too high, a step saturates the network. It then draws the same picture for every face, to the
last bit, and its gradients vanish. A sound network may draw nearly the same picture for hundreds of iterations, but
never exactly.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from keras import ops
from numpy.typing import NDArray

from facefoundry.model.network import SIDES, Network, SideName
from services.trainer.worker.history import History

__all__ = ["CollapseCheck"]

_WORSE_THAN_GREY = 1.25
_WORSE_POINTS, _WORSE_POINTS_AT_END = 20, 3
_SATURATED = 0.4999
"""Distance from grey beyond which an output is black or white to all intents."""


class CollapseCheck:
    """Looks for a collapse of one training.

    Args:
        network: The network of the training; each check uses its current weights.
        precision: The recipe's precision. In `bfloat16`, sound networks may draw equal pictures too, but not saturated.
        faces: Faces of each side, uint8 [n, face_size, face_size, 3], BGR, n >= 1.
    """

    def __init__(self, network: Network, precision: str, faces: Mapping[SideName, NDArray[np.uint8]]) -> None:
        self._network = network
        self._rounds = precision == "bfloat16"
        self._faces = np.concatenate([faces[side] for side in SIDES]).astype(np.float32) / 255
        self._differ = bool(np.ptp(self._faces, axis=0).any())
        grey = [float(np.abs(faces[side].astype(np.float32) / 255 - 0.5).mean()) for side in SIDES]
        self._worst = _WORSE_THAN_GREY * np.array(grey)

    def losses(self, history: History, *, ended: bool = False) -> str:
        """Return how the losses show a collapse; empty if they show none.

        The text is the end of a sentence that begins with "they".

        Args:
            history: All losses so far.
            ended: Whether the training has ended, so that there is no time left to recover.
        """
        if history.collapsed():
            return "rose far above the values that they had reached"
        needed = _WORSE_POINTS_AT_END if ended else _WORSE_POINTS
        newest = np.array(history.points[-needed:])[:, 1:]
        if len(newest) == needed and (newest > self._worst).all(axis=0).any():
            return "are worse than those of a grey picture"
        return ""

    def network(self) -> str:
        """Return how the network shows a collapse, as `losses` does."""
        for side in SIDES:
            drawn = np.asarray(ops.convert_to_numpy(self._network.reconstruct(self._faces, side)), np.float32)
            same = self._differ and not np.ptp(drawn, axis=0).any()
            if same and (not self._rounds or np.abs(drawn - 0.5).max() > _SATURATED):
                return f"are those of one and the same picture: decoder {side.upper()} draws it for every face"
        return ""
