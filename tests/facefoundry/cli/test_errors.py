"""How errors end the command: as a sentence or as JSON, whichever its arguments ask for, and with which exit code."""

from __future__ import annotations

import json

import pytest

from facefoundry.cli.errors import exit_code
from facefoundry.cli.main import main
from facefoundry.errors import Cancelled, InvalidInput, NotFound, Unavailable, Unusable


@pytest.mark.parametrize(
    "arguments",
    [
        ["generate-models", "--json", "-i", "nowhere"],
        ["generate_models", "-i", "nowhere", "--json"],
        ["extract-faces", "-i", "nowhere", "--gpu", "1", "--json"],  # refused before --json is read
        ["convert", "--gpu", "--json"],
    ],
)
def test_with_json_an_error_is_an_object(capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    printed = capsys.readouterr()
    assert caught.value.code == 2
    assert json.loads(printed.out)["event"] == "error" and not printed.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["generate-models", "-i", "nowhere"],
        ["generate-models", "-i", "nowhere", "--name", "--json"],  # the value of another option
        [
            "report",
            "nowhere",
            "--",
        ],
    ],
)
def test_without_json_it_is_a_sentence(capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    printed = capsys.readouterr()
    assert caught.value.code == 2
    assert printed.err.startswith("Error: ") and not printed.out


@pytest.mark.parametrize(
    ("error", "code"), [(InvalidInput, 2), (Cancelled, 130), (NotFound, 1), (Unavailable, 1), (Unusable, 1)]
)
def test_exit_codes(error, code):
    assert exit_code(error("A sentence.")) == code


def test_the_help_lists_the_exit_codes(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines if line and line[0] in {"0", "1", "2", "3", "130"}] == ["0", "1", "2", "3", "130"]
