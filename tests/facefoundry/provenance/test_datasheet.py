"""A datasheet says what the records of a dataset say, and keeps texts of others from becoming markup."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from facefoundry.checks.leaks import LeakReport
from facefoundry.cli.main import main
from facefoundry.codec import JsonValue
from facefoundry.dataset import files, verdict
from facefoundry.dataset.about import About
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.gates import FailedGate, Gate
from facefoundry.dataset.plan import Pair
from facefoundry.dataset.record import Failure, FakeRecord, PairRecord, RunRecord, SequenceRecord
from facefoundry.dataset.rights import ClipRights, Rights
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.provenance.datasheet import datasheet_of
from facefoundry.storage.info import ReasonCount
from tests.facefoundry.report.made import leak_report

RUN = RunRecord(
    "faces",
    "",
    {"name": "preview", "training": {"iterations": 300}},
    pairs=["a_b"],
    done=1,
    sequences={"a": SequenceRecord(frames=10, faces=9), "b": SequenceRecord(frames=20, faces=20)},
    about=About(motivation="To test <b>detectors</b>\n# of | faces."),
)
PAIR = PairRecord(
    "a_b",
    "a",
    "b",
    state="done",
    fakes=[
        FakeRecord("a_b", "a", "b", frames=10, swapped=9, quality={"seam": 1.0}),
        FakeRecord("b_a", "b", "a", frames=20, swapped=20, quality={"seam": 3.0}),
    ],
)
LICENCE = Rights(basis="licence", licence="CC-BY-4.0")


def made(dropped=()):
    rights = ClipRights.of({"a": LICENCE, "b": None})
    return datasheet_of(RUN, [PAIR], rights, {"train": [Pair("a", "b")], "test": []}, None, dropped)


def test_it_counts_what_the_records_say():
    sections = {section.title: section for section in made().sections}
    assert (
        sections["Composition"]
        .paragraphs[0]
        .startswith(
            "2 real videos with 30 frames, of which 29 show the subject's face; 2 fakes with 30 frames, of which 29"
        )
    )
    assert ("seam", "2", "1", "1.5", "2", "2.5", "3") in sections["Quality of the fakes"].table
    assert sections["Splits"].table[1:] == (("train", "1", "2"), ("test", "0", "0"))
    assert (LICENCE.digest, "1", "licence", "CC-BY-4.0", "", "") in sections["Rights"].table
    assert ("training.iterations", "300") in sections["Recipe"].table
    assert sections["Contact"].paragraphs == ("Not stated.",) and not sections["Contact"].is_stated
    assert f"record {LICENCE.digest}, clips 1, basis licence, licence CC-BY-4.0." in sections["Rights"].text
    dropped = {section.title: section for section in made(dropped=["b_a"]).sections}
    assert "1 fakes with 10 frames" in dropped["Composition"].paragraphs[0]
    assert dropped["Gates"].paragraphs == ("1 fakes were left out.",)


def test_the_recipe_has_the_encoder_of_each_level():
    levels: list[JsonValue] = [
        {"name": "raw", "codec": "libx264rgb", "crf": 0},
        {"name": "c23", "codec": "libx264", "crf": 23},
    ]
    run = replace(RUN, recipe={"name": "preview", "compression": {"levels": levels}})
    table = datasheet_of(run, [PAIR], ClipRights(), {}, None, []).section("Recipe").table
    assert table[-2:] == (
        ("compression.raw", "codec libx264rgb, crf 0"),
        ("compression.c23", "codec libx264, crf 23"),
    )


def test_limits_are_those_that_the_records_tell():
    plain = [replace(fake, swapped=fake.frames) for fake in PAIR.fakes]
    rights = ClipRights.of({"a": LICENCE, "b": LICENCE})
    tested = LeakReport(2, 2, by_pair=True, frames=1, rows=[])
    sheet = datasheet_of(RUN, [replace(PAIR, fakes=plain)], rights, {}, tested, [])
    assert len(sheet.section("Limits").paragraphs) == 1
    fakes = [replace(PAIR.fakes[0], reasons=[ReasonCount("NO_FACE", 1)]), PAIR.fakes[1]]
    failures = {"c_d": Failure("extract", "NO_FACE", "")}
    run = replace(RUN, pairs=["a_b", "c_d", "e_f"], failures=failures)
    sheet = datasheet_of(run, [replace(PAIR, fakes=fakes)], ClipRights.of({"a": LICENCE, "b": None}), {}, None, ["b_a"])
    assert sheet.section("Limits").paragraphs[1:] == (
        "Rights are unstated for 1 of 2 clips.",
        "1 of 3 pairs failed and are missing: NO_FACE 1.",
        "1 of 3 pairs have not ended.",
        "Gates left 1 of 2 fakes out, so what they measure is better here than the method is.",
        "1 of 10 frames of fakes show the target's own face: NO_FACE 1.",
        "Nobody has tested whether something else than the face tells fakes from real videos.",
    )


def test_a_gate_that_left_a_fake_out_counts_it():
    failed = replace(PAIR.fakes[1], failed=[FailedGate("seam", 3.0, 2.0, "drop")], dropped=True)
    gates = [Gate(measure="seam", max=2.0, action="drop")]
    pairs = [replace(PAIR, fakes=[PAIR.fakes[0], failed])]
    sheet = datasheet_of(replace(RUN, gates=gates), pairs, ClipRights(), {}, None, ["b_a"])
    table = next(section.table for section in sheet.sections if section.title == "Gates")
    assert table[1:] == (("seam", "at most 2", "drop", "1"),)


def _gates_table(gates, fakes):
    sheet = datasheet_of(replace(RUN, gates=gates), [replace(PAIR, fakes=fakes)], ClipRights(), {}, None, [])
    return sheet.section("Gates").table[1:]


def test_gates_of_one_measure_are_counted_apart_and_a_fake_once():
    gates = [
        Gate(measure="sharpness", min=0.5),
        Gate(measure="sharpness", min=0.3, action="drop"),
        Gate(measure="sharpness", max=2.0, action="drop"),
    ]
    fakes = [replace(fake, quality={"sharpness": value}) for fake, value in zip(PAIR.fakes, (0.4, 0.2), strict=True)]
    for fake in fakes:
        verdict.judge(fake, gates)
    assert _gates_table(gates, fakes) == (
        ("sharpness", "at least 0.5", "flag", "2"),
        ("sharpness", "at least 0.3", "drop", "1"),
        ("sharpness", "at most 2", "drop", "0"),
    )


def test_a_fake_without_a_face_is_counted_where_another_measure_has_the_gate():
    gates = [Gate(measure="identity", min=0.05, action="drop")]
    fakes = [replace(fake, quality={"face_share": 0.1}) for fake in PAIR.fakes]
    for fake in fakes:
        verdict.judge(fake, gates)
    assert _gates_table(gates, fakes) == (
        ("identity", "at least 0.05", "drop", "0"),
        ("face_share", "at least 0.5", "drop", "2"),
    )


def test_leaks_are_said_with_their_figures_what_gives_away_and_whether_they_are_old():
    leaks = leak_report()
    section = datasheet_of(RUN, [PAIR], ClipRights(), {}, leaks, []).section("Leaks")
    assert section.table[1:] == (
        ("c23", "encoder", "leak", "", "", "12 fakes differ from their targets in `preset`."),
        ("c23", "outside", "ok", "0.51 [0.44, 0.58]", "0.50 [0.43, 0.57]", ""),
    )
    assert "worked after this test" not in section.text
    older = replace(leaks, created="2001-02-03T04:05:06+00:00")
    assert "worked after this test" in datasheet_of(RUN, [PAIR], ClipRights(), {}, older, []).section("Leaks").text


def test_texts_of_others_are_no_markup():
    assert "To test &lt;b>detectors&lt;/b> # of \\| faces." in made().markdown()
    sent = About(motivation="![a](http://a.example/x.png) `code` \\| &amp; *b* _c_")
    sheet = datasheet_of(replace(RUN, about=sent), [PAIR], ClipRights(), {}, None, [])
    wanted = r"\!\[a\](http://a.example/x.png) \`code\` \\\| &amp;amp; \*b\* \_c\_"
    assert wanted in sheet.markdown()
    page = made().html()
    assert "<b>" not in page and "&lt;b&gt;detectors" in page


def test_the_command_writes_both_files_and_names_what_is_not_stated(tmp_path, capsys):
    layout = FfppLayout(tmp_path)
    folder = RunFolder(layout.run_folder())
    folder.save_run(RUN)
    folder.save_pair(PAIR)
    files.write(layout.filelist(), json.dumps([["a", "b"]]).encode())
    with pytest.raises(SystemExit) as ended:
        main(["datasheet", str(tmp_path)])
    assert not ended.value.code
    assert "Not stated: Collection, Maintenance, Contact" in capsys.readouterr().out
    assert (tmp_path / "datasheet.md").read_text().startswith("# Datasheet of faces\n\n## Motivation\n")
    assert (tmp_path / "datasheet.html").read_text().startswith("<!doctype html>")
