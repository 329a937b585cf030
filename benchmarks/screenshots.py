"""Pictures for docs/: the report of a study, the live page, and TensorBoard's HPARAMS.

    python benchmarks/screenshots.py results/STUDY [results/ANOTHER …]

Of the first study all are made; the list of the live page has the others too. Needs Chromium with
its driver (Debian: chromium, chromium-driver) and the extras `report`, `ui` and `dev`.
"""

import argparse
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from report_scale import served
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tune_cluster.reports.commands import report

HERE = Path(__file__).parent
# TensorBoard is served and read as in the tests.
sys.path.insert(0, str(HERE.parent))

from tests.chromium import TABLE  # noqa: E402
from tests.tensorboard_server import served as tensorboard  # noqa: E402

DOCS = HERE.parent / "docs"

ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
    "--disable-background-networking",
)

WIDTH = 1240
"""Pixels of a page of ours, which is at most 1180 wide."""

BOX = 62
"""Pixels below a heading that hold its text and half of the box of a trial."""

TENSORBOARD = 1750, 612

FIXED = ("epochs", "model", "patience")
"""Hyperparameters that are the same in each trial of the first job."""

# The page is made of web components, each with a root of its own.
UNCHECK = """
const names = new Set(arguments[0]);
const walk = (root) => {
  for (const element of root.querySelectorAll('*')) {
    if (element.localName === 'paper-checkbox' && names.delete(element.textContent.trim())) {
      element.click();
    }
    if (element.shadowRoot) walk(element.shadowRoot);
  }
};
walk(document);
"""

PATIENCE = 60

BITS = 5
"""Bits of each colour of a picture: half of the bytes, and no visible difference."""


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", type=Path, nargs="+")
    studies = [study.resolve() for study in parser.parse_args().studies]
    first = studies[0].name
    with tempfile.TemporaryDirectory() as name, opened() as browser:
        folder = Path(name, "results")
        for study in studies:
            shutil.copytree(study, folder / study.name)
        # The page names a study as a person types it.
        os.chdir(name)
        report((f"results/{first}",), to=name)
        browser.get(f"file://{name}/report.html")
        seen(browser, WIDTH, 2400)
        drawn(browser, 2)
        seen(browser, WIDTH, top_of(browser, "Importance of the hyperparameters") - 8)
        taken(browser, "report")
        with served(Path("results")) as server:
            live_page(browser, server.address, first)
        with tensorboard(folder / first) as address:
            hparams(browser, address)


def live_page(browser: webdriver.Chrome, address: str, study: str) -> None:
    """Take the list of the studies, and a study with the trial under the pointer."""
    browser.get(address)
    seen(browser, WIDTH, 600)
    links = until(browser, lambda b: b.find_elements(By.LINK_TEXT, study))
    seen(browser, WIDTH, bottom_of(browser, "#studies") + 24)
    taken(browser, "ui_studies")
    links[0].click()
    seen(browser, WIDTH, 2400)
    drawn(browser, 2)
    # The box of the trial under the pointer is at the lower end of the window: below the course.
    seen(browser, WIDTH, top_of(browser, "Learning curves of the best trials") + BOX)
    points = browser.find_elements(By.CSS_SELECTOR, "#figure-0-course-0 .points path")
    # The last point is the end of the study, the one before it the best value.
    ActionChains(browser).move_to_element(points[-2]).perform()
    until(browser, lambda b: b.find_element(By.ID, "trial").text)
    taken(browser, "ui_study")


def hparams(browser: webdriver.Chrome, address: str) -> None:
    """Take the table of TensorBoard's HPARAMS, without the columns of fixed hyperparameters."""
    seen(browser, *TENSORBOARD)
    browser.get(f"{address}#hparams")
    until(browser, lambda b: len(b.execute_script(TABLE)) > 1)
    browser.execute_script(UNCHECK, FIXED)
    until(browser, lambda b: not set(FIXED) & set(b.execute_script(TABLE)[0][:5]))
    taken(browser, "hparams")


@contextmanager
def opened() -> Iterator[webdriver.Chrome]:
    """Open a browser."""
    options = webdriver.ChromeOptions()
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.binary_location = "/usr/bin/chromium"
    browser = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        yield browser
    finally:
        browser.quit()


def until(browser, condition):  # type: ignore[no-untyped-def]
    """Return the result of a condition once it is true."""
    return WebDriverWait(browser, PATIENCE).until(condition)


def drawn(browser: webdriver.Chrome, figures: int) -> None:
    """Wait until so many figures are drawn."""
    until(browser, lambda b: len(b.find_elements(By.CSS_SELECTOR, "[data-drawn]")) >= figures)


def top_of(browser: webdriver.Chrome, heading: str) -> int:
    """Return the position of a heading on the page, in pixels from above."""
    (found,) = (e for e in browser.find_elements(By.TAG_NAME, "h2") if e.text == heading)
    return int(found.location["y"])


def bottom_of(browser: webdriver.Chrome, selector: str) -> int:
    """Return the position of the lower end of an element."""
    found = browser.find_element(By.CSS_SELECTOR, selector)
    return int(found.location["y"] + found.size["height"])


def seen(browser: webdriver.Chrome, width: int, height: int) -> None:
    """Set the size of the page's window, in pixels."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def taken(browser: webdriver.Chrome, name: str) -> None:
    """Write what the window shows."""
    picture = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    # White stays white.
    few = picture.point(lambda value: round(value / 255 * (2**BITS - 1)) * 255 // (2**BITS - 1))
    few.save(DOCS / f"{name}.png", optimize=True)
    print(f"{name}.png: {picture.width} x {picture.height}")


if __name__ == "__main__":
    main()
