"""The pages of the list of trainings: their order, and the token with which the next page is requested."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence

from facefoundry.errors import FieldViolation, InvalidInput
from services.trainer.worker_protocol import Attempt

__all__ = ["cut_page"]

_DEFAULT_SIZE = 100
_MAX_SIZE = 1000


def cut_page(attempts: Sequence[Attempt], size: int, token: str) -> tuple[list[Attempt], str]:
    """Return one page of attempts, newest first, and the token of the next page.

    Args:
        attempts: All attempts, in any order.
        size: Attempts on the page; 0 means 100, the maximum is 1000.
        token: Token of this page; empty for the first page.

    Returns:
        (attempts on the page, token of the next page); the token is empty on the last page.

    Raises:
        InvalidInput: the token is not from an earlier page (PAGE_TOKEN).
    """
    after = _parse_token(token)
    size = min(size or _DEFAULT_SIZE, _MAX_SIZE)
    newest_first = sorted(attempts, key=_position, reverse=True)
    remaining = [attempt for attempt in newest_first if after is None or _position(attempt) < after]
    return remaining[:size], _make_token(remaining[size - 1]) if len(remaining) > size else ""


def _position(attempt: Attempt) -> tuple[str, str]:
    return attempt.created, attempt.training


def _make_token(attempt: Attempt) -> str:
    return base64.urlsafe_b64encode(json.dumps(_position(attempt)).encode()).decode()


def _parse_token(token: str) -> tuple[str, str] | None:
    if not token:
        return None
    try:
        created, digest = json.loads(base64.urlsafe_b64decode(token.encode()))
        return str(created), str(digest)
    except (binascii.Error, ValueError, TypeError) as error:
        raise InvalidInput(
            "Expected page_token to be the next_page_token of the previous page. "
            f"Received page_token={token!r}. Leave it empty to list from the beginning.",
            reason="PAGE_TOKEN",
            violations=[FieldViolation("page_token", "must be the next_page_token of the previous page")],
        ) from error
