"""What a command prints while it works, where its output is no terminal."""

from __future__ import annotations

import json

from facefoundry.cli.tables import print_table
from facefoundry.cli.view import View, make_view
from facefoundry.dataset.progress import Event


def test_a_stage_is_a_line_when_it_ends_and_one_now_and_then_while_it_goes_on(capsys):
    now = 0.0
    with View(clock=lambda: now) as view:
        for done in range(0, 50, 5):
            now = float(done)
            view.event(Event("033", "extract", "running", done, 50, "frames"))
        view.event(Event("033", "extract", "done"))
    assert capsys.readouterr().err.splitlines() == [
        "  033 extract: 20/50 frames",
        "  033 extract: 40/50 frames",
        "✓ 033 extract 45.0 s",
    ]


def test_a_failed_pair_is_a_line_with_its_reason(capsys):
    with View() as view:
        view.event(Event("033_097", "pair", "failed", message="COLLAPSED: The losses are not numbers."))
    assert capsys.readouterr().err == "✗ pair 033_097 failed: COLLAPSED: The losses are not numbers.\n"


def test_text_in_brackets_is_printed_as_it_is(capsys):
    with View() as view:
        view.message("033_097 failed: no face [NO_FACE_FOUND]")
    assert "[NO_FACE_FOUND]" in capsys.readouterr().err


def test_with_json_every_event_and_message_is_an_object(capsys):
    with make_view(as_json=True) as view:
        view.event(Event("033", "extract", "waiting", 5, 50, "frames", "queued"))
        view.message("done")
    event, message = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert event == {
        "event": "progress",
        "item": "033",
        "stage": "extract",
        "state": "waiting",
        "done": 5,
        "total": 50,
        "unit": "frames",
        "message": "queued",
    }
    assert message == {"event": "message", "message": "done"}


def test_a_table_in_a_pipe_is_as_wide_as_its_cells_and_prints_them_as_they_are(capsys):
    print_table(("pair", "reason"), [("a" * 60, "b" * 60), ("[red]", "\x1b[31m")], whole="pair")
    _, row, odd = capsys.readouterr().out.splitlines()
    assert row.split() == ["a" * 60, "b" * 60] and "[red]" in odd and "\\x1b" in odd
