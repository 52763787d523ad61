"""The page as a person sees it, in headless Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from facefoundry.dataset.record import Failure, SequenceRecord
from facefoundry.report import write

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
WIDTHS = (1280, 390)
LONG = "averylongsequencename" * 4

# Elements whose box leaves the window, or whose own text is wider or higher than the box that clips it.
OVERFLOWS = """
const width = document.documentElement.clientWidth, found = [];
for (const element of document.querySelectorAll('body *')) {
  const box = element.getBoundingClientRect();
  if (!box.width || !box.height) continue;
  const style = getComputedStyle(element);
  const outside = box.right > width + 1 || box.left < -1;
  const clips = style.overflowX !== 'visible' && !(element instanceof SVGElement);
  const cut = clips && element.textContent.trim()
    && (element.scrollWidth > element.clientWidth + 1 || element.scrollHeight > element.clientHeight + 1);
  const name = element.tagName + '.' + element.getAttribute('class');
  if (outside || cut) found.push(name + ': ' + element.textContent.slice(0, 60));
}
return found;
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed (group test)")
    if not CHROMIUM.exists() or not DRIVER.exists():
        pytest.skip("Chromium is not installed: Debian packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    profile = tmp_path_factory.mktemp("profile")
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=str(DRIVER)))
    yield driver
    driver.quit()


@pytest.fixture
def view(browser):
    """Opens a page at a width with all details open, and returns the browser."""

    def view(page: Path, width: int = 1280):
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
        )
        browser.get_log("browser")
        browser.get(page.as_uri())
        browser.execute_script("for (const part of document.querySelectorAll('details')) part.open = true")
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
    assert (
        browser.execute_script("return document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth")
        <= 0
    )
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
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    page, ink, soft = (
        browser.execute_script(f"return getComputedStyle(document.querySelector('{element}')).{value}")
        for element, value in (("body", "backgroundColor"), ("body", "color"), ("footer", "color"))
    )
    assert (luminance(page) > 0.5) == (scheme == "light")
    assert contrast(page, ink) > 7
    assert contrast(page, soft) > 4.5


def luminance(colour: str) -> float:
    channels = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
