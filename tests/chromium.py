"""TensorBoard's pages in a headless Chromium, with the visible text."""

from contextlib import contextmanager

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    "--window-size=2600,1000",
)

# The page is made of web components, each with a root of its own, and the cells of its table are
# put into the slots of rows.
TABLE = """
const lines = [];
const walk = (root) => {
  for (const element of root.querySelectorAll('*')) {
    if (element.localName === 'vaadin-grid') {
      for (const row of element.shadowRoot.querySelectorAll('tr')) {
        const slots = [...row.querySelectorAll('slot')].filter((slot) => slot.offsetParent !== null
          || slot.parentElement.offsetWidth > 0);
        lines.push(slots.map((slot) => slot.assignedNodes().map((node) => node.innerText ?? '')
          .join('').trim()));
      }
    }
    if (element.shadowRoot) walk(element.shadowRoot);
  }
};
walk(document);
return lines;
"""


class Pages:
    """The pages of one TensorBoard."""

    def __init__(self, browser, address, patience):
        self.browser = browser
        self._address = address
        self._wait = WebDriverWait(browser, patience)

    def hparams(self):
        """The headings of the table view, and the cells of each line, by the line's name."""
        self._open("hparams")
        heading, *lines = self._wait.until(lambda browser: self._table())
        return heading, {line[0]: line for line in lines}

    def time_series(self, hyperparameter):
        """Return the cells of an added column in the table beside the curves, by run."""
        self._open("timeseries")
        find = self.browser.find_elements
        button = "runs-data-table .add-button"
        self._wait.until(lambda browser: find(By.CSS_SELECTOR, button))[0].click()
        option = "tb-data-table-column-selector-component button"
        (choice,) = self._wait.until(
            lambda browser: [
                found
                for found in find(By.CSS_SELECTOR, option)
                if found.text.split()[0] == hyperparameter
            ]
        )
        choice.click()
        return self._wait.until(lambda browser: self._column(hyperparameter))

    def _open(self, tab):
        self.browser.get("about:blank")
        self.browser.get(f"{self._address}#{tab}")

    def _table(self):
        lines = [line for line in self.browser.execute_script(TABLE) if any(line)]
        return lines if any("trials/" in line[0] for line in lines) else []

    def _column(self, name):
        runs, cells = self._texts("run"), self._texts(name)
        return dict(zip(runs, cells, strict=True)) if any(cells) else None

    def _texts(self, column):
        cells = f"runs-data-table tb-data-table-content-cell.table-column-{column}"
        return [cell.text for cell in self.browser.find_elements(By.CSS_SELECTOR, cells)]


@contextmanager
def opened_pages(address, patience=60):
    """A browser that shows the server at `address`."""
    options = webdriver.ChromeOptions()
    for argument in ARGUMENTS:
        options.add_argument(argument)
    # Named, so that selenium looks for none in the net.
    options.binary_location = "/usr/bin/chromium"
    browser = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        yield Pages(browser, address, patience)
    finally:
        browser.quit()
