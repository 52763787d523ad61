"""Details of the report: its style, how values are printed, and which pages load themselves again."""

from __future__ import annotations

import re
from collections import Counter

from facefoundry.dataset import verdict
from facefoundry.dataset.gates import DEFAULT_GATES
from facefoundry.report import write
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


def test_the_page_of_a_pair_that_waits_loads_itself_again(tmp_path):
    layout = make(tmp_path / "run", Amounts(done=ONE_PAGE_PAIRS, pending=1, samples=0, videos=False))
    write(layout)
    pages = {path.stem: "data-refresh" in path.read_text() for path in pages_folder(layout).glob("*.html")}
    assert len(pages) == ONE_PAGE_PAIRS + 1 and [name for name, reloads in pages.items() if reloads] == ["0012_1012"]
