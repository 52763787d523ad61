"""Finds out from its previews whether a training stagnates: more iterations make its faces no more similar."""

from __future__ import annotations

from collections.abc import Sequence

from services.trainer.worker_protocol import Preview

__all__ = ["stagnation"]

# A training stagnates if a quarter of its iterations made the faces of a side more similar by less than this, while
# they are still poor. The previews of sound trainings gain 0.02 and more, until they reach 0.75.
_SHARE, _GAIN, _POOR = 0.25, 0.01, 0.75


def stagnation(previews: Sequence[Preview], iterations: int) -> str:
    """Return a sentence on the stagnation of a training and what to change; empty if it does not stagnate.

    Args:
        previews: The previews so far, in order.
        iterations: Number of iterations of the whole training.
    """
    measured = [preview for preview in previews if len(preview.similarity) == 2]
    if not measured:
        return ""
    newest = measured[-1]
    before = [preview for preview in measured if preview.iteration <= newest.iteration - _SHARE * iterations]
    since = measured[len(before) :]
    if not before:
        return ""
    for side in (0, 1):
        best = max(before, key=lambda preview: preview.similarity[side])
        reached = max(preview.similarity[side] for preview in since)
        if reached < min(best.similarity[side] + _GAIN, _POOR):
            return (
                f"The training stagnates: after {newest.iteration} iterations the faces of side {'AB'[side]} are "
                f"reconstructed no better than after {best.iteration} (a structural similarity of "
                f"{newest.similarity[side]:.2f}, where 1 is the same picture). More iterations will hardly help. Use a "
                "clip that shows the face more often and in even light, or another training.learning_rate or "
                "training.bottleneck."
            )
    return ""
