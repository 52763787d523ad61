"""Finds out whether a training has collapsed, and what follows: its losses are useless, and no more training helps.

If the learning rate is too high, a step saturates the network. It then draws the same picture for every face, to the
last bit, and its gradients vanish. A sound network may draw nearly the same picture for hundreds of iterations, but
never exactly.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from keras import ops
from numpy.typing import NDArray

from facefoundry.errors import Unusable
from facefoundry.model.network import SIDES, Network, SideName
from facefoundry.storage.info import Restart
from facefoundry.v1.recipe_pb2 import TrainingOptions
from services.trainer.worker.history import History

__all__ = ["CollapseCheck", "Collapsed", "require_sound", "restart_after"]

_WORSE_THAN_GREY = 1.25
_WORSE_POINTS, _WORSE_POINTS_AT_END = 20, 3
_SATURATED = 0.4999
"""Distance from grey beyond which an output is black or white to all intents."""


class Collapsed(Exception):
    """A training has collapsed. The recipe decides whether it restarts or fails.

    Attributes:
        iteration: Iteration after which the collapse was found.
        sign: How the collapse shows: the end of a sentence about the losses, which begins with "they".
    """

    def __init__(self, iteration: int, sign: str) -> None:
        super().__init__(f"after iteration {iteration} the losses {sign}")
        self.iteration = iteration
        self.sign = sign


def require_sound(iteration: int, sign: str) -> None:
    """Raise `Collapsed` if there is a sign of a collapse, as the methods of `CollapseCheck` return it."""
    if sign:
        raise Collapsed(iteration, sign)


def restart_after(collapse: Collapsed, options: TrainingOptions, earlier: Restart | None) -> Restart:
    """Return the restart that follows a collapse.

    Args:
        collapse: The collapse.
        options: Training options of the recipe.
        earlier: The restart that the training has had already; None if there was none.

    Raises:
        Unusable: the recipe allows no restart, or no other one (COLLAPSED).
    """
    if earlier is None and options.retry_learning_rate_factor:
        return Restart(collapse.iteration, options.learning_rate * options.retry_learning_rate_factor)
    rate = earlier.learning_rate if earlier else options.learning_rate
    again = (
        f", as it had by iteration {earlier.collapsed_at} with {options.learning_rate:g}, before its one restart"
        if earlier
        else ""
    )
    raise Unusable(
        f"Expected the losses to fall. After iteration {collapse.iteration} they {collapse.sign}. The training has "
        f"collapsed{again}. This happens at a learning_rate that is too high, here {rate:g}. Set "
        f"training.learning_rate below that, such as {rate / 10:g}.",
        reason="COLLAPSED",
    )


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

    def add_losses(self, history: History, iteration: int, losses: NDArray[np.float32]) -> None:
        """Add losses to a history point by point, and look for a collapse at each point.

        So the iteration of a collapse does not depend on how iterations are split into calls.

        Args:
            history: All losses so far; the new ones are added.
            iteration: Number of iterations done, the new ones included.
            losses: Losses of A and B of the last n iterations, float32 [n, 2].

        Raises:
            Collapsed: the losses show a collapse.
        """
        while len(losses):
            added, losses = np.split(losses, [history.missing])
            done = iteration - len(losses)
            history.add(done, added)
            require_sound(done, self.losses(history))

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
