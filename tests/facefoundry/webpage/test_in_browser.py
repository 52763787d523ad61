"""The web page as a person sees it, in headless Chromium."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from facefoundry.dataset.run_folder import RunFolder
from facefoundry.report.page import ONE_PAGE_PAIRS
from facefoundry.report.source import FolderSource
from facefoundry.webpage.app import dataset_app
from facefoundry.webpage.watch import Watch
from tests.browser import OVERFLOWS, accessibility_faults, open_browser, overflow_of, read_aloud, set_width, unnamed
from tests.facefoundry.report.made import Amounts, make
from tests.facefoundry.webpage.serving import serving

PLAYS = """
const done = arguments[arguments.length - 1], players = document.querySelector('.videos');
const videos = [...players.querySelectorAll('video')];
players.querySelector('button').click();
const tick = () => videos.every(video => video.currentTime > 0.2) ? done(videos.map(video => video.videoWidth))
  : requestAnimationFrame(tick);
tick();
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator:
    with open_browser(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="module")
def watch(tmp_path_factory) -> Watch:
    folder = tmp_path_factory.mktemp("web") / "web"
    return Watch(FolderSource(make(folder, Amounts(done=ONE_PAGE_PAIRS, failed=2, running=1, pending=1, samples=1))))


@pytest.fixture(scope="module")
def address(watch) -> Iterator[str]:
    with serving(dataset_app(watch)) as address:
        yield address


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_page_fits_and_axe_finds_nothing_serious(browser, address, width, scheme):
    for path in ("/", "/pair/0000_1000"):
        set_width(browser, width, scheme)
        browser.get(address + path)
        browser.execute_script("for (const box of document.querySelectorAll('[data-reload]')) box.checked = false")
        assert overflow_of(browser) <= 0
        assert browser.execute_script(OVERFLOWS) == []
        assert accessibility_faults(browser) == []
        assert unnamed(browser) == []
        assert browser.get_log("browser") == []


@pytest.mark.parametrize("width", [1280, 390])
def test_a_screen_reader_gets_the_tables_and_says_what_the_filter_finds(browser, address, width):
    set_width(browser, width)
    browser.get("about:blank")  # another place on the page that is open would load nothing
    browser.get(f"{address}/#state=failed")
    heard = read_aloud(browser)
    assert ("table", "Pairs", "") in heard
    polite = [place for place, (role, _, live) in enumerate(heard) if (role, live) == ("status", "polite")]
    assert len(polite) == 3  # not reached, waits, and what the filter finds
    assert heard[polite[-1] + 1][:2] == ("StaticText", "2 of 16 pairs")
    assert polite[-1] < heard.index(("table", "Pairs", ""))
    rows = heard[heard.index(("table", "Pairs", "")) :]
    columns = [name for role, name, _ in rows if role == "columnheader"]
    assert columns[:2] == ["Pair", "State"]
    pairs = "return [...document.querySelectorAll('.pairs tbody tr')].filter(row => !row.hidden)"
    shown = browser.execute_script(f"{pairs}.map(row => row.dataset.id)")
    assert [name for role, name, _ in rows if role == "rowheader"][: len(shown)] == shown


def test_a_fake_plays_beside_its_real_video_through_the_server(browser, address):
    browser.get(address)
    assert browser.execute_async_script(PLAYS) == [96, 96]


def test_the_page_shows_what_changed_without_losing_the_filter(browser, address, watch):
    browser.get("about:blank")  # another place on the page that is open would load nothing
    browser.get(f"{address}/#state=running&sort=mouth")
    rows = "return [...document.querySelectorAll('.pairs tbody tr')].filter(row => !row.hidden).length"
    assert browser.execute_script(rows) == 1
    folder = RunFolder(watch.source.layout.run_folder())
    pair = folder.load_pair(watch.snapshot.run.pairs[-1])
    pair.state = "running"
    folder.save_pair(pair)
    watch.read()
    browser.execute_async_script("document.dispatchEvent(new Event('visibilitychange')); setTimeout(arguments[0], 0)")
    waited = "const done = arguments[0], rows = () => [...document.querySelectorAll('.pairs tbody tr')]"
    waited += ".filter(row => !row.hidden).length === 2 ? done(true) : setTimeout(rows, 50); rows();"
    assert browser.execute_async_script(waited)
    assert browser.current_url.endswith("#state=running&sort=mouth")
