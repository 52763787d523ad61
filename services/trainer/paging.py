"""The pages of the list of trainings, and their order."""

from __future__ import annotations

from collections.abc import Sequence

from facefoundry.rpc import paging
from services.trainer.training_store import DamagedTraining
from services.trainer.worker_protocol import Attempt

__all__ = ["Listed", "cut_page"]

Listed = Attempt | DamagedTraining

_DEFAULT_SIZE = 100
_MAX_SIZE = 1000


def cut_page(trainings: Sequence[Listed], size: int, token: str, dataset: str) -> tuple[list[Listed], str]:
    """Return one page of trainings, damaged ones first, then newest first, and the token of the next page.

    Args:
        trainings: All trainings of the dataset, in any order.
        size: Trainings on the page; 0 means 100, the maximum is 1000.
        token: Token of this page; empty for the first page.
        dataset: Name of the dataset, which all pages must have in common.

    Returns:
        (trainings on the page, token of the next page); the token is empty on the last page.

    Raises:
        InvalidInput: the token is not from an earlier page of this list (PAGE_TOKEN).
    """
    after = paging.read_token(dataset, token)
    size = min(size or _DEFAULT_SIZE, _MAX_SIZE)
    in_order = sorted(trainings, key=_position, reverse=True)
    remaining = [listed for listed in in_order if after is None or _position(listed) < after]
    next_token = paging.make_token(dataset, _position(remaining[size - 1])) if len(remaining) > size else ""
    return remaining[:size], next_token


def _position(listed: Listed) -> str:
    """Return a text that is alphabetically after those of the trainings that are listed later."""
    if isinstance(listed, DamagedTraining):
        return f"damaged {listed.prefix}"  # the time of an attempt starts with a digit
    return f"{listed.created} {listed.training}"
