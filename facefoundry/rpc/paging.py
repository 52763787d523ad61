"""Page tokens. They are opaque to callers, and continue only the list from which they come."""

from __future__ import annotations

import base64
import binascii
import json

from facefoundry.errors import FieldViolation, InvalidInput

__all__ = ["make_token", "read_token"]


def make_token(scope: str, last: str) -> str:
    """Return the token of the page after an item.

    Args:
        scope: What is listed: the fields of the request that all pages must have in common.
        last: The last item of the page before.
    """
    return base64.urlsafe_b64encode(json.dumps([scope, last]).encode()).decode()


def read_token(scope: str, token: str) -> str | None:
    """Return the last item of the page before the one that a token names; None for the first page.

    Args:
        scope: What is listed now.
        token: The token; empty for the first page.

    Raises:
        InvalidInput: the token does not come from an earlier page of this list (PAGE_TOKEN).
    """
    if not token:
        return None
    try:
        match json.loads(base64.b64decode(token.encode(), altchars=b"-_", validate=True)):
            case [found, str(last)] if found == scope:
                return last
    except (binascii.Error, ValueError, RecursionError):
        pass
    raise InvalidInput(
        "Expected page_token to be the next_page_token of the previous page, with the other fields as in that request. "
        f"Received page_token={token!r}. Leave it empty to list from the beginning.",
        reason="PAGE_TOKEN",
        violations=[FieldViolation("page_token", "must be the next_page_token of the previous page")],
    )
