"""The page of examples/clients and its folders."""

from __future__ import annotations

import pytest

from tests.clients.examples import FOLDER, MAX_LINES, examples


def test_every_folder_has_a_section_with_its_commands():
    assert [example.name for example in examples()] == sorted(path.name for path in FOLDER.iterdir() if path.is_dir())


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.name)
def test_an_example_is_short(example):
    assert 0 < example.lines <= MAX_LINES
