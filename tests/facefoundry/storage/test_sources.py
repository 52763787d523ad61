"""Errors about the local files of a source name its URI."""

from __future__ import annotations

import pytest

from facefoundry.errors import Unusable
from facefoundry.storage.sources import naming

URI = "s3://bucket/incoming/a"


def named(message, resource, files, sequence_id=""):
    with pytest.raises(Unusable) as caught, naming(URI, files, sequence_id):
        raise Unusable(message, reason="DAMAGED", metadata={"frame": "3"}, resource=resource)
    assert (caught.value.reason, caught.value.metadata) == ("DAMAGED", {"frame": "3"})
    return caught.value.message, caught.value.resource


@pytest.mark.parametrize(
    ("message", "resource", "expected"),
    [
        ("source.mp4 is cut off.", "source.mp4", f"{URI} is cut off."),
        ("It is cut off.", "source.mp4", f"{URI}: It is cut off."),
        ("Frame frames-00001/07.png is damaged.", "frames-00001/07.png", f"Frame 07.png of {URI} is damaged."),
    ],
)
def test_a_local_name_becomes_the_uri(message, resource, expected):
    assert named(message, resource, ["source.mp4", "frames-00000.tar", "frames-00001.tar"]) == (expected, URI)


def test_with_an_id_the_local_name_stays():
    assert named("033.mp4 is cut off.", "033.mp4", ["033.mp4"], "033") == (f"033.mp4 ({URI}) is cut off.", URI)
    assert named("No face in 033.", "033", ["033.mp4"], "033") == (f"No face in 033 ({URI}).", URI)


@pytest.mark.parametrize("resource", ["", "another.mp4", "source/notes", "0"])
def test_an_error_about_something_else_stays(resource):
    assert named("It failed.", resource, ["033.mp4"]) == ("It failed.", resource)
