"""The page as a person sees it, in headless Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.record import Failure, SequenceRecord
from facefoundry.report import write
from facefoundry.report.page import ONE_PAGE_PAIRS, pages_folder
from tests.browser import OVERFLOWS, accessibility_faults, open_browser, overflow_of, set_width, unnamed
from tests.facefoundry.report.made import Amounts, make

WIDTHS = (1280, 390)
LONG = "averylongsequencename" * 4


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator:
    with open_browser(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


STAY = "for (const box of document.querySelectorAll('[data-reload]')) box.checked = false"
"""Keeps the page of a running run from reloading itself during a test."""


@pytest.fixture
def view(browser):
    """Opens a page at a width with all details open, and returns the browser."""

    def view(page: Path, width: int = 1280):
        set_width(browser, width)
        browser.get_log("browser")
        browser.get(page.as_uri())
        browser.execute_script("for (const part of document.querySelectorAll('details')) part.open = true")
        browser.execute_script(STAY)
        browser.execute_script("for (const image of document.images) image.loading = 'eager'")
        return browser

    return view


@pytest.fixture
def variety(save, make_pair) -> Path:
    """A page with a finished, a failed, a running, a waiting and a long-named pair."""
    failed = make_pair("003", "004", state="failed", samples=0)
    failed.failure = Failure("train", "OUT_OF_MEMORY", "The worker ran out of memory. " * 5)
    pairs = [
        make_pair(samples=2),
        failed,
        make_pair("005", "006", state="running", samples=1),
        make_pair("007", "008", state="pending", samples=0),
        make_pair(LONG, LONG + "2", samples=1),
    ]
    doubts = {
        "033": SequenceRecord(remarks=["Its time stamps leave room for more frames. " * 5]),
        LONG: SequenceRecord(remarks=["It has 2 video streams.", LONG * 3]),
    }
    return write(save(*pairs, name=LONG, command="facefoundry " + LONG * 3, sequences=doubts))


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_overflows_and_no_text_is_cut(view, variety, width):
    browser = view(variety, width)
    assert browser.execute_script("return window.innerWidth") == width
    assert overflow_of(browser) <= 0
    assert browser.execute_script(OVERFLOWS) == []


def test_the_overflow_check_sees_an_overflow(view, variety):
    browser = view(variety, 390)
    browser.execute_script("document.querySelector('h2').style.width = '600px'")
    assert any(found.startswith("H2") for found in browser.execute_script(OVERFLOWS))


@pytest.mark.parametrize("width", WIDTHS)
def test_every_picture_has_pixels_and_a_size_on_the_page(view, variety, width):
    browser = view(variety, width)
    pictures = browser.execute_script(
        "return [...document.images].map(i => [i.complete, i.naturalWidth, i.getBoundingClientRect().width, i.alt])"
    )
    assert len(pictures) == 2 * 2 * 6 + 2 * 6 + 3 * 3
    for complete, natural, shown, words in pictures:
        assert complete
        assert natural > 0
        assert shown > 60
        assert words


def test_the_console_stays_silent_and_nothing_is_requested(view, variety):
    browser = view(variety)
    assert browser.get_log("browser") == []
    requested = browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [name for name in requested if not name.startswith("data:")] == []


def test_the_loss_curves_are_drawn(view, variety):
    browser = view(variety)
    curves = browser.execute_script(
        "return [...document.querySelectorAll('.chart path.a, .chart path.b')].map(path => {"
        " const box = path.getBoundingClientRect(); return [box.width, box.height, getComputedStyle(path).stroke] })"
    )
    assert len(curves) == 2 * 4
    assert all(width > 500 and height > 20 for width, height, _ in curves)
    assert len({stroke for *_, stroke in curves}) == 2


def test_a_hostile_name_stays_text(view, save, make_pair):
    name = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    browser = view(write(save(make_pair(samples=0), name=name)))
    assert "owned" not in browser.title.replace(name, "")
    assert name in browser.find_element("tag name", "h1").text
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_both_colour_schemes(view, variety, scheme):
    browser = view(variety)
    set_width(browser, 1280, scheme)
    page, ink, soft = (
        browser.execute_script(f"return getComputedStyle(document.querySelector('{element}')).{value}")
        for element, value in (("body", "backgroundColor"), ("body", "color"), ("footer", "color"))
    )
    assert (luminance(page) > 0.5) == (scheme == "light")
    assert contrast(page, ink) > 7
    assert contrast(page, soft) > 4.5


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_nothing_serious_in_one_page(view, variety, width, scheme):
    browser = view(variety, width)
    set_width(browser, width, scheme)
    assert accessibility_faults(browser) == []
    assert unnamed(browser) == []


def test_axe_is_asked(view, variety):
    browser = view(variety)
    browser.execute_script("document.images[0].removeAttribute('alt')")
    assert [found[1] for found in accessibility_faults(browser)] == ["image-alt"]


def test_what_has_no_name_for_a_screen_reader_is_seen(view, variety):
    browser = view(variety)
    browser.execute_script("document.querySelector('table').removeAttribute('aria-label')")
    assert unnamed(browser) == ["table"]


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    """The report of more pairs than one page holds."""
    folder = tmp_path_factory.mktemp("many") / "many"
    return write(make(folder, Amounts(done=ONE_PAGE_PAIRS, failed=3, running=2, pending=1, samples=1)))


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (390, "light")])
def test_many_pairs_fit_and_axe_finds_nothing_serious(view, many, width, scheme):
    for page in (many, next(pages_folder(FfppLayout(many.parent)).glob("0000_*.html"))):
        browser = view(page, width)
        set_width(browser, width, scheme)
        assert overflow_of(browser) <= 0
        assert browser.execute_script(OVERFLOWS) == []
        assert accessibility_faults(browser) == []
        assert unnamed(browser) == []
        assert browser.get_log("browser") == []


def shown(browser) -> list[str]:
    return browser.execute_script(
        "return [...document.querySelectorAll('.pairs tbody tr')].filter(r => !r.hidden).map(r => r.dataset.id)"
    )


def test_pairs_are_filtered_and_sorted_and_the_address_keeps_it(view, many):
    browser = view(many)
    everything = shown(browser)
    assert len(everything) == ONE_PAGE_PAIRS + 6
    form = browser.find_element("css selector", "form.filter")
    form.find_element("css selector", "[name=state] option:nth-child(3)").click()
    assert len(shown(browser)) == 3
    assert form.find_element("css selector", "output").text == f"3 of {len(everything)} pairs"
    form.find_element("css selector", "[data-clear]").click()
    assert shown(browser) == everything
    form.find_element("css selector", "[name=sort] option[value=mouth]").click()
    form.find_element("css selector", "[name=split] option:nth-child(2)").click()
    found, address = shown(browser), browser.current_url
    assert address.endswith("#split=train&sort=mouth")
    worst = mouths(browser)
    assert found != sorted(found) and worst == sorted(worst)
    browser.get("about:blank")
    browser.get(address)
    assert shown(browser) == found


def mouths(browser) -> list[float]:
    """Return the worse value of `mouth` of each row that has one, as it is shown."""
    return browser.execute_script(
        "return [...document.querySelectorAll('.pairs tbody tr')].filter(row => !row.hidden)"
        ".map(row => [...row.querySelectorAll('[data-label=mouth] > span')].map(cell => parseFloat(cell.textContent)))"
        ".filter(values => values.length).map(values => Math.min(...values))"
    )


def test_a_link_from_the_worst_fakes_shows_the_pairs_that_fail(view, many):
    browser = view(many)
    browser.find_element("css selector", "#worst-mouth a[href^='#gate=']").click()
    rows = browser.execute_script(
        "return [...document.querySelectorAll('.pairs tbody tr')].filter(r => !r.hidden).map(r => r.dataset.gates)"
    )
    assert rows and all("mouth" in gates.split() for gates in rows)


PLAYS = """
const done = arguments[arguments.length - 1];
const videos = [...document.querySelector('.videos').querySelectorAll('video')];
document.querySelector('.videos button').click();
const tick = () => videos.every(video => video.currentTime > 0.2) ? done(videos.map(video => video.videoWidth))
  : requestAnimationFrame(tick);
tick();
"""


def test_a_fake_plays_beside_its_real_video(view, many):
    browser = view(next(pages_folder(FfppLayout(many.parent)).glob("0000_*.html")))
    assert browser.execute_async_script(PLAYS) == [96, 96]
    assert browser.find_element("css selector", ".videos button").text == "Pause both"


def test_keys_alone_lead_from_the_filter_to_a_pair_and_play_its_videos(view, many):
    from selenium.webdriver import ActionChains, Keys
    from selenium.webdriver.support.wait import WebDriverWait

    browser = view(many)

    def press(key: str) -> None:
        ActionChains(browser).send_keys(key).perform()

    def tab_to(selector: str) -> None:
        for _ in range(60):
            press(Keys.TAB)
            if browser.execute_script("return document.activeElement.matches(arguments[0])", selector):
                return
        raise AssertionError(f"{selector} is not reached by Tab")

    def until(script: str) -> None:
        WebDriverWait(browser, 60).until(lambda _: browser.execute_script(f"return {script}"))

    tab_to("form.filter [name=q]")
    press("0003_1")
    assert shown(browser) == ["0003_1003"]
    tab_to(".pairs tbody th a")
    press(Keys.ENTER)
    until("document.querySelector('h1').textContent.startsWith('0003_1003')")
    tab_to(".videos button")
    press(Keys.ENTER)
    until("document.querySelector('.videos button').textContent === 'Pause both'")
    until("[...document.querySelector('.videos').querySelectorAll('video')].every(video => video.currentTime > 0.2)")


def test_every_pair_is_reached_from_the_page_of_all(view, many):
    browser = view(many)
    links = browser.execute_script("return [...document.querySelectorAll('.pairs tbody th a')].map(a => a.href)")
    assert len(links) == ONE_PAGE_PAIRS + 6
    browser.get(links[0])
    assert "Fake 0000_1000" in browser.find_element("tag name", "main").text
    browser.find_element("css selector", "a[rel=next]").click()
    assert browser.find_element("tag name", "h1").text.startswith("0001_1001")


@pytest.mark.full
def test_a_thousand_pairs_are_small_and_open_at_once(browser, tmp_path):
    page = write(make(tmp_path / "thousand", Amounts(done=930, failed=30, running=12, pending=28)))
    pages = [page, *pages_folder(FfppLayout(page.parent)).iterdir()]
    size = sum(path.stat().st_size for path in pages)
    set_width(browser, 1280)
    browser.get(page.as_uri())
    browser.execute_script(STAY)
    loaded = browser.execute_script("return performance.getEntriesByType('navigation')[0].loadEventEnd")
    print(f"report of 1,000 pairs: {len(pages)} files, {size / 1e6:.1f} MB; its index opens in {loaded / 1000:.2f} s")
    assert size < 20_000_000
    assert len(shown(browser)) == 100
    browser.find_element("css selector", "[data-more]").click()
    assert len(shown(browser)) == 1000
    assert accessibility_faults(browser) == []


def luminance(colour: str) -> float:
    channels = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
