"""Training options of the recipe ffpp with narrow layers, so that a CPU can run thousands of steps."""

from __future__ import annotations

from facefoundry.recipes import load
from facefoundry.v1.recipe_pb2 import TrainingOptions

__all__ = ["divided"]


def divided(divisor: int, batch_size: int) -> TrainingOptions:
    """Return the training options of the recipe ffpp with narrower layers.

    Args:
        divisor: Number by which the width of every layer is divided.
        batch_size: Faces of a batch.
    """
    made = load("ffpp").training
    encoder, decoder = list(made.encoder_filters), list(made.decoder_filters)
    del made.encoder_filters[:], made.decoder_filters[:]
    made.encoder_filters.extend(width // divisor for width in encoder)
    made.decoder_filters.extend(width // divisor for width in decoder)
    made.bottleneck //= divisor
    made.upscale_filters //= divisor
    made.batch_size = batch_size
    return made
