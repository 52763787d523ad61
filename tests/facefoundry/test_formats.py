"""Newer versions of a format are refused; everything else is left to the reader."""

import pytest

from facefoundry.errors import Unusable
from facefoundry.formats import refuse_newer

OURS = "facefoundry.weights/9"


@pytest.mark.parametrize("found", ["facefoundry.weights/10", "facefoundry.weights/999999999"])
def test_a_newer_version_is_refused(found):
    with pytest.raises(Unusable, match=f"models/x has the format {found}.*reads {OURS}") as caught:
        refuse_newer(found, OURS, "models/x")
    assert (caught.value.reason, caught.value.resource) == ("NEWER_FORMAT", "models/x")


@pytest.mark.parametrize(
    "found", [OURS, "facefoundry.weights/8", "facefoundry.model/10", "facefoundry.weights/x", "", None, 10, ["a"]]
)
def test_everything_else_is_left_to_the_reader(found):
    refuse_newer(found, OURS)
