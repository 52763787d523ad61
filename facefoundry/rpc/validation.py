"""Checks every request before its handler runs, by the constraints that the protos annotate."""

from __future__ import annotations

from itertools import islice

from google.protobuf.message import Message

from facefoundry import __version__, constraints
from facefoundry.constraints import Violation
from facefoundry.errors import FieldViolation, InvalidInput

__all__ = ["check"]

# A request of a megabyte could have very many.
_MAX_UNKNOWN = 10
_RECIPE = "recipe."


def check(request: object) -> None:
    """Check a request.

    An unknown field is refused: a newer client has set it, and without it the result would not be what it requested.

    Raises:
        InvalidInput: a field breaks a rule. The reason is RECIPE_MISSING without the name of a recipe and RECIPE_RANGE
            in a recipe; otherwise the id of the rule if it is one of this project, such as URI or SEQUENCE_ID, or else
            FIELD. Or a field is unknown (RECIPE_FIELD in a recipe, otherwise UNKNOWN_FIELD).
    """
    if not isinstance(request, Message):
        raise TypeError(f"Expected a message. Received {type(request).__name__}.")
    wrong = constraints.broken_rules(request)
    if wrong:
        raise InvalidInput(
            " ".join(violation.sentence() for violation in wrong),
            reason=_reason(wrong[0]),
            violations=[violation.to_field() for violation in wrong],
        )
    unknown = list(islice(constraints.unknown_fields(request), _MAX_UNKNOWN))
    if unknown:
        raise InvalidInput(
            f"Expected fields that this service, version {__version__}, knows. Received the unknown fields "
            f"{', '.join(unknown)}. Update the service to the client's version, or leave them out.",
            reason="RECIPE_FIELD" if unknown[0].startswith(_RECIPE) else "UNKNOWN_FIELD",
            violations=[FieldViolation(path, "is unknown to this service") for path in unknown],
        )


def _reason(violation: Violation) -> str:
    if violation.field == "recipe.name":
        return "RECIPE_MISSING"
    if violation.field.startswith(_RECIPE):
        return "RECIPE_RANGE"
    return "FIELD" if violation.rule == "required" or "." in violation.rule else violation.rule.upper()
