"""The pages of the list of trainings, and their order."""

from __future__ import annotations

from collections.abc import Sequence

from facefoundry.rpc import paging
from services.trainer.worker_protocol import Attempt

__all__ = ["cut_page"]

_DEFAULT_SIZE = 100
_MAX_SIZE = 1000


def cut_page(attempts: Sequence[Attempt], size: int, token: str, dataset: str) -> tuple[list[Attempt], str]:
    """Return one page of attempts, newest first, and the token of the next page.

    Args:
        attempts: All attempts of the dataset, in any order.
        size: Attempts on the page; 0 means 100, the maximum is 1000.
        token: Token of this page; empty for the first page.
        dataset: Name of the dataset, which all pages must have in common.

    Returns:
        (attempts on the page, token of the next page); the token is empty on the last page.

    Raises:
        InvalidInput: the token is not from an earlier page of this list (PAGE_TOKEN).
    """
    after = paging.read_token(dataset, token)
    size = min(size or _DEFAULT_SIZE, _MAX_SIZE)
    newest_first = sorted(attempts, key=_position, reverse=True)
    remaining = [attempt for attempt in newest_first if after is None or _position(attempt) < after]
    next_token = paging.make_token(dataset, _position(remaining[size - 1])) if len(remaining) > size else ""
    return remaining[:size], next_token


def _position(attempt: Attempt) -> str:
    return f"{attempt.created} {attempt.training}"
