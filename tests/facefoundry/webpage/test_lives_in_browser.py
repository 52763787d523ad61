"""An open web page follows its run: what appears, what waits, and what it says when the server is gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from facefoundry.dataset.record import Failure, State
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.report.runs import ListedRun
from facefoundry.report.source import FolderSource
from facefoundry.webpage.app import dataset_app, listing_app
from facefoundry.webpage.listing import Listing
from facefoundry.webpage.watch import Watch
from tests.browser import OVERFLOWS, accessibility_faults, open_browser, overflow_of, set_width
from tests.facefoundry.report.made import Amounts, make
from tests.facefoundry.webpage.serving import serving

UNTIL = """
const done = arguments[arguments.length - 1], holds = new Function(`return ${arguments[0]}`);
const look = () => holds() ? done(true) : setTimeout(look, 20);
look();
"""


class Listed(Listing):
    """A list of given runs."""

    def __init__(self, runs: list[ListedRun]) -> None:
        self._given = runs

    def runs(self) -> list[ListedRun]:
        return self._given


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator:
    with open_browser(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def watch(tmp_path) -> Watch:
    layout = make(tmp_path / "run", Amounts(done=0, running=1, pending=14, samples=0, videos=False))
    checked = [layout.run_folder() / name for name in ("leaks.json", "balance.json")]
    for path in (*checked, layout.filelist().parent / "splits"):
        path.rename(path.with_name(f"{path.name}-later"))
    return Watch(FolderSource(layout))


def change(watch: Watch, pair: int, state: State) -> None:
    folder = RunFolder(watch.source.layout.run_folder())
    record = folder.load_pair(watch.snapshot.run.pairs[pair])
    record.state = state
    record.failure = Failure("train", "OUT_OF_MEMORY", "It ran out of memory.") if state == "failed" else None
    folder.save_pair(record)


@pytest.fixture
def reload(browser) -> Callable[[str], None]:
    """Has the page read the server again, and waits until something holds."""

    def reload(holds: str) -> None:
        browser.execute_script("document.dispatchEvent(new Event('visibilitychange'))")
        assert browser.execute_async_script(UNTIL, holds)

    return reload


def test_sections_choices_and_warnings_appear_while_the_page_is_open(browser, watch, reload):
    folder, lists = watch.source.layout.run_folder(), watch.source.layout.filelist().parent
    with serving(dataset_app(watch)) as address:
        set_width(browser, 1280)
        browser.get(f"{address}/#q=100%")
        written = browser.find_element("css selector", "[data-live=run]").text
        assert browser.find_elements("css selector", "#failures, #leaks, #splits") == []
        browser.execute_script("location.hash = 'state=failed'")
        assert browser.execute_async_script(UNTIL, "document.forms[0].elements.state.value === 'failed'")
        change(watch, 0, "failed")
        (folder / "leaks.json-later").rename(folder / "leaks.json")
        (lists / "splits-later").rename(lists / "splits")
        run = RunFolder(folder).load_run()
        run.recipe["version"] = "later"
        RunFolder(folder).save_run(run)
        watch.read()
        reload("document.querySelector('#failures')")
        shown = browser.execute_script("return [...document.querySelectorAll('nav a')].map(each => each.textContent)")
        assert {"Failures", "Leaks", "Splits"} <= set(shown)
        assert browser.find_element("css selector", "[data-live=run]").text != written
        form = browser.find_element("css selector", "form.filter")
        assert "OUT_OF_MEMORY" in form.find_element("css selector", "[name=reason]").text
        assert form.find_element("css selector", "[name=split]").is_displayed()
        assert form.find_element("css selector", "[name=state]").get_property("value") == "failed"
        assert form.find_element("css selector", "output").text == "1 of 15 pairs"
        assert "Split" in browser.find_element("css selector", ".pairs thead").text
        (folder / "run.json").write_text("[]")
        watch.read()
        reload("document.querySelector('[data-live=notice]').textContent.includes('this page is old')")
        assert accessibility_faults(browser) == []
    reload("document.querySelector('[data-unreached]').textContent.startsWith('Not reached since ')")
    with serving(dataset_app(watch), port=int(address.rpartition(":")[2])):
        reload("document.querySelector('[data-unreached]').textContent === ''")


def test_only_the_part_that_the_reader_uses_waits(browser, watch, reload):
    with serving(dataset_app(watch)) as address:
        set_width(browser, 1280)
        browser.get("about:blank")
        browser.get(address)
        state = "document.querySelector('.pairs tbody tr').dataset.state"
        browser.execute_script("document.querySelector('[name=state]').focus()")
        change(watch, 0, "failed")
        watch.read()
        reload(f"{state} === 'failed'")
        browser.execute_script("document.querySelector('[data-reload]').focus()")
        change(watch, 0, "running")
        watch.read()
        reload(f"{state} === 'running'")
        browser.execute_script("document.querySelector('.pairs tbody a').focus()")
        change(watch, 0, "failed")
        watch.read()
        reload("document.querySelector('.tiles .bad')")
        assert browser.execute_script(f"return {state}") == "running"
        browser.execute_script("document.activeElement.blur()")
        reload(f"{state} === 'failed'")


def test_the_page_of_a_pair_that_waits_follows_it(browser, watch, reload):
    with serving(dataset_app(watch)) as address:
        browser.get(f"{address}/pair/{watch.snapshot.run.pairs[-1]}")
        change(watch, -1, "running")
        watch.read()
        reload("document.querySelector('h1').textContent.endsWith('running')")


def test_pages_of_other_sites_can_neither_show_pictures_nor_videos(browser, tmp_path):
    watch = Watch(FolderSource(make(tmp_path / "one", Amounts(done=1, samples=1))))
    picture, video = "/picture/0000_1000/000000-swap.jpg", "/video/fake/c23/0000_1000"

    async def page(request: Request) -> HTMLResponse:
        address = request.query_params["of"]
        return HTMLResponse(f"<img src='{address}{picture}'><video preload='metadata' src='{address}{video}'></video>")

    ended = "(image => image.complete)(document.images[0])"
    ended += " && (video => video.error || video.readyState)(document.querySelector('video'))"
    found = "return [document.images[0].naturalWidth > 0, document.querySelector('video').readyState > 0]"
    own = Starlette(routes=[Route("/page", page)])
    with serving(dataset_app(watch)) as address, serving(own) as other:
        browser.get(f"{other}/page?of={address}")
        assert browser.execute_async_script(UNTIL, ended) and browser.execute_script(found) == [False, False]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_list_of_runs_fits_and_axe_finds_nothing_serious(browser, watch, tmp_path, width, scheme):
    runs = [
        ListedRun("good", watch.snapshot.run, 0.0),
        ListedRun("a-long-name-" * 8, None, 0.0, "runs/x/run.json is not a run record: expected an object. " * 3),
    ]

    set_width(browser, width, scheme)
    with serving(listing_app(Listed(runs))) as address:
        browser.get(address)
        assert browser.execute_script(OVERFLOWS) == []
        assert overflow_of(browser) <= 0
        assert accessibility_faults(browser) == []
        heads = "return [...document.querySelectorAll('thead th')].every(head => head.getClientRects().length)"
        assert browser.execute_script(heads), "screen readers read the headers of columns"
