"""A headless Chromium for tests of pages, and what it finds wrong with a page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

__all__ = ["OVERFLOWS", "accessibility_faults", "open_browser", "overflow_of", "read_aloud", "set_width", "unnamed"]

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")

# Elements whose box leaves the window, or whose own text is wider or higher than the box that clips it.
OVERFLOWS = """
const width = document.documentElement.clientWidth, found = [];
for (const element of document.querySelectorAll('body *')) {
  const box = element.getBoundingClientRect();
  if (!box.width || !box.height || element.closest('.sr, .skip, select')) continue;
  const head = element.closest('thead');
  if (head && getComputedStyle(head).clipPath !== 'none') continue;  // for screen readers only
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


_AXE = """
const done = arguments[arguments.length - 1];
const options = {preload: false, resultTypes: ['violations']};
axe.run(document, options).then(found => done(found.violations.map(each =>
  [each.impact, each.id, each.nodes.length, each.nodes[0].html.slice(0, 200), each.nodes[0].failureSummary])));
"""


# Roles of what a reader uses or jumps to, which is of no use without a name.
_NAMED = (
    "button",
    "checkbox",
    "columnheader",
    "combobox",
    "heading",
    "image",
    "link",
    "navigation",
    "progressbar",
    "region",
    "rowheader",
    "search",
    "searchbox",
    "slider",
    "table",
    "Video",
)


@contextmanager
def open_browser(profile: Path) -> Iterator:
    """Open a browser; skip the test where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed (group test)")
    if not CHROMIUM.exists() or not DRIVER.exists():
        pytest.skip("Chromium is not installed: Debian packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
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
    driver.set_script_timeout(120)
    try:
        yield driver
    finally:
        driver.quit()


def set_width(browser, width: int, scheme: str = "light") -> None:
    """Set the width of the window, pixels, and the colour scheme."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def overflow_of(browser) -> int:
    """Return how many pixels of the page are beside the window."""
    return browser.execute_script(
        "return document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"
    )


def accessibility_faults(browser) -> list[list]:
    """Return what axe calls serious or critical: impact, rule, number of elements, the first of them, what to do."""
    spec = find_spec("axe_playwright_python")
    assert spec is not None and spec.submodule_search_locations is not None, "axe is not installed (group test)"
    browser.execute_script((Path(spec.submodule_search_locations[0]) / "axe.min.js").read_text())
    return [found for found in browser.execute_async_script(_AXE) if found[0] in ("serious", "critical")]


def read_aloud(browser) -> list[tuple[str, str, str]]:
    """Return what a screen reader gets, in its order: role, name, and how eagerly changes are told ("" or "polite")."""
    nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    by_id = {node["nodeId"]: node for node in nodes}
    waiting, found = [nodes[0]["nodeId"]], []
    while waiting:
        node = by_id[waiting.pop()]
        waiting += [each for each in reversed(node.get("childIds", [])) if each in by_id]
        if not node["ignored"]:
            live = [each["value"]["value"] for each in node.get("properties", []) if each["name"] == "live"]
            name = str(node.get("name", {}).get("value", "")).strip()
            found.append((node["role"]["value"], name, live[0] if live else ""))
    return found


def unnamed(browser) -> list[str]:
    """Return the roles of controls, headings, pictures, tables and landmarks that have no name for a screen reader."""
    return [role for role, name, _ in read_aloud(browser) if role in _NAMED and not name]
