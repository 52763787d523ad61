"""The faithful recipe made narrow, for steps that a CPU can take many of."""

from __future__ import annotations

from facefoundry.recipes import load
from facefoundry.v1.recipe_pb2 import TrainingOptions

__all__ = ["divided"]


def divided(divisor: int, batch_size: int) -> TrainingOptions:
    """Training options of the recipe ffpp with all widths divided."""
    made = load("ffpp").training
    encoder, decoder = list(made.encoder_filters), list(made.decoder_filters)
    del made.encoder_filters[:], made.decoder_filters[:]
    made.encoder_filters.extend(width // divisor for width in encoder)
    made.decoder_filters.extend(width // divisor for width in decoder)
    made.bottleneck //= divisor
    made.upscale_filters //= divisor
    made.batch_size = batch_size
    return made
