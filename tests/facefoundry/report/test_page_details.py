"""Details of the report: its style, how values are printed, and which pages load themselves again."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date, timedelta

from facefoundry import codec
from facefoundry.checks.balance import BalanceReport
from facefoundry.checks.leaks import LeakReport, LeakRow, State
from facefoundry.checks.leaks import path_of as leaks_path
from facefoundry.dataset import files, verdict
from facefoundry.dataset.gates import DEFAULT_GATES, Gate
from facefoundry.report import write
from facefoundry.report.balance import write_balance
from facefoundry.report.page import ONE_PAGE_PAIRS, pages_folder
from facefoundry.report.render import asset
from tests.facefoundry.report.made import Amounts, make


def test_each_selector_of_the_style_is_set_once():
    """A part that was pasted twice overrides what comes between."""
    style = re.sub(r"(?s)@media.*?\n}\n", "", asset("style.css"))
    selectors = Counter(re.findall(r"(?m)^([^@{}]+) \{", style))
    assert len(selectors) > 100 and {name for name, times in selectors.items() if times > 1} == set()


def test_a_value_that_fails_its_gate_does_not_look_like_one_that_passes(save, make_pair):
    pair = make_pair(samples=0)
    quality = {"mouth": 0.597, "seam": 1.3004}, {"mouth": 0.6, "seam": 1.299}
    for fake, measured in zip(pair.fakes, quality, strict=True):
        fake.quality = {"mouth_motion": 0.05, **measured}
        verdict.judge(fake, DEFAULT_GATES)
    page = write(save(pair)).read_text(encoding="utf-8")
    values = re.findall(r'class="value( missed)?">([\d.]+)', page[page.index('id="worst-mouth"') :])
    assert values == [(" missed", "0.597"), ("", "0.60"), (" missed", "1.3004"), ("", "1.30")]


def test_a_fake_without_a_face_is_found_where_another_measure_has_the_gate(save, make_pair):
    gates = [Gate(measure="identity", min=0.05, action="drop")]
    pairs = [make_pair(samples=0), make_pair("005", "006", samples=0)]
    for fake in pairs[0].fakes:
        fake.quality = {"face_share": 0.1}
    for pair in pairs:
        for fake in pair.fakes:
            verdict.judge(fake, gates)
    page = write(save(*pairs, gates=gates)).read_text(encoding="utf-8")
    assert '<option value="face_share">face share</option>' in page
    worst = page[page.index('id="worst-face_share"') :]
    assert "at least 0.5" in worst and "2 of 2 judged fakes fail" in worst


def test_the_leak_test_says_why_a_row_is_a_trace_or_untested(save, make_pair):
    layout = save(make_pair(samples=0))
    reasons: dict[State, str] = {"trace": "The first packet is smaller.", "untested": "It takes 10 groups."}
    rows = [LeakRow("c23", state, state, reason) for state, reason in reasons.items()]
    files.write(leaks_path(layout), codec.to_standard_json(LeakReport(4, 2, by_pair=True, frames=32, rows=rows)))
    page = write(layout).read_text(encoding="utf-8")
    assert [page.count(reason) for reason in reasons.values()] == [1, 1]


def test_the_tables_of_the_balance_are_linked_where_they_exist(tmp_path):
    layout = make(tmp_path / "run", Amounts(done=1, samples=0, videos=False))
    link = '<a href="misc/report/balance.html">'
    assert link not in write(layout).read_text(encoding="utf-8")
    tables = write_balance(layout, BalanceReport([], [], []))
    assert link in write(layout).read_text(encoding="utf-8") and (layout.root / "misc/report/balance.html") == tables


def test_the_page_of_a_pair_that_waits_loads_itself_again(tmp_path):
    layout = make(tmp_path / "run", Amounts(done=ONE_PAGE_PAIRS, pending=1, samples=0, videos=False))
    write(layout)
    pages = {path.stem: "data-refresh" in path.read_text() for path in pages_folder(layout).glob("*.html")}
    assert len(pages) == ONE_PAGE_PAIRS + 1 and [name for name, reloads in pages.items() if reloads] == ["0012_1012"]


def test_rights_that_end_soon_or_have_ended_are_told(save, make_pair):
    for days, words in ((40, None), (20, "Rights to clips of this dataset expire on "), (-1, "expired on ")):
        end = date.today() + timedelta(days=days)
        page = write(save(make_pair(samples=0), rights_end=end.isoformat())).read_text(encoding="utf-8")
        assert ("Renew them" in page) == bool(words)
        assert words is None or f"{words}{end}" in page
