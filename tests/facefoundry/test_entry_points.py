"""Objects by name: this project's, and those that other packages add by an entry point."""

from __future__ import annotations

import pytest

from facefoundry.entry_points import EntryPointGroup
from facefoundry.errors import InvalidInput


@pytest.fixture
def group(tmp_path, monkeypatch) -> EntryPointGroup[str]:
    """A group of texts, to which an installed package adds good and bad ones."""
    facts = tmp_path / "texts-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: texts\nVersion: 1.0\n")
    lines = ["zeta = string:digits", "beta = string:hexdigits", "number = math:pi", "gone = string:nothing"]
    (facts / "entry_points.txt").write_text("\n".join(["[facefoundry.texts]", *lines, "ours = string:digits", ""]))
    monkeypatch.syspath_prepend(tmp_path)
    return EntryPointGroup(
        name="facefoundry.texts",
        kind="text",
        field="recipe.text",
        own={"second": "2", "ours": "1"},
        expected="a text",
        accepts=lambda name, found: isinstance(found, str),
    )


def test_this_projects_objects_come_first_and_the_others_sorted(group):
    assert group.names() == ["second", "ours", "beta", "gone", "number", "zeta"]


def test_an_object_is_found_by_its_name_and_none_of_this_project_is_replaced(group):
    assert (group.find("zeta"), group.find("ours")) == ("0123456789", "1")


@pytest.mark.parametrize(
    ("name", "reason", "message"),
    [
        ("number", "TEXT_BROKEN", r"The text 'number' of the entry point math:pi .* expected a text, received 3\.14"),
        ("gone", "TEXT_BROKEN", r"The text 'gone' of the entry point string:nothing .* cannot be imported"),
        ("other", "TEXT_UNKNOWN", r"text to be one of second, .* Received text='other'\. .* group facefoundry\.texts"),
    ],
)
def test_what_is_unknown_or_broken_is_refused_with_the_field_and_the_package(group, name, reason, message):
    with pytest.raises(InvalidInput, match=message) as caught:
        group.find(name)
    assert (caught.value.reason, caught.value.metadata) == (reason, {"text": name})
    assert [violation.field for violation in caught.value.violations] == ["recipe.text"]


def test_an_object_of_this_project_can_be_broken_too_and_has_no_entry_point(group):
    error = group.broken("ours", "a library is missing")
    assert error.message.startswith("The text 'ours' cannot be used: a library is missing.")
