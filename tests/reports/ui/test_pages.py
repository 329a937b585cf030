"""The live page, served as a person starts it, in a real browser."""

import json
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.expected_conditions import alert_is_present
from selenium.webdriver.support.ui import WebDriverWait

from tests.chromium import ARGUMENTS
from tests.conftest import ROOT
from tests.reports.made_up import spread, trial, write

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        shutil.which("chromium") is None or shutil.which("chromedriver") is None,
        reason="needs chromium and chromedriver",
    ),
]

SERVE = "from tune_cluster.cli import main; main()"

HOLD = """
import fcntl, json, signal, sys, time
journal = open(sys.argv[1], "a")
fcntl.flock(journal, fcntl.LOCK_EX)
def end(*_):
    journal.write(json.dumps({"event": "closed", "why": "interrupted"}) + "\\n")
    sys.exit()
signal.signal(signal.SIGINT, end)
print("held", flush=True)
time.sleep(300)
"""
"""A driver as far as a page sees one: it holds the journal, and ends in order by SIGINT."""


LARGE = [
    *spread(997, epochs=2),
    trial(0.0, "failed", 0, 0.05, reason="no such optimizer"),
    trial(0.1, "diverged", 1, 0.09, reason="NaN"),
    {**trial(0.4, "stopped", 1), "config": {"learning_rate": 0.02}},
]
"""A thousand trials, of which one has no value, and one no batch size."""

LINES = """
const [figure, meta] = arguments, found = {};
for (const trace of document.getElementById(figure).data) {
  if (trace.meta !== meta) continue;
  trace.x.forEach((axis, at) => {
    if (axis !== null) (found[trace.customdata[at]] ??= [])[axis] = trace.y[at];
  });
}
return found;
"""
"""Returns the heights of the line of each trial."""

AXES = """
const {xaxis, yaxis} = document.getElementById(arguments[0]).layout;
return [xaxis.range, yaxis.range];
"""


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies")
    for name in ("first", "second"):
        write(folder / name, spread(20))
    write(folder / "large", LARGE)
    evil = "<p>the look</p><script>document.body.append(document.cookie || 'ran')</script>"
    (folder / "first" / "data.html").write_text(evil)
    return folder


@pytest.fixture
def serve(studies):
    """Start the page; return its address with the token, and the process."""
    started = []

    def start(*flags):
        command = [sys.executable, "-c", SERVE, "ui", str(studies), "--port", "0", *flags]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        started.append(process)
        return re.search(r"http\S+", process.stdout.readline())[0]

    yield start
    for process in started:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        process.stdout.close()


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    for argument in ARGUMENTS:
        options.add_argument(argument)
    found = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    yield found
    found.quit()


@pytest.fixture
def driver(studies):
    """A process that holds the journal of the second study."""
    journal = studies / "second" / "journal.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(journal)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def waiting(browser):
    return WebDriverWait(browser, 60)


def text_of(browser):
    return browser.find_element(By.TAG_NAME, "body").text


def test_the_pages_lead_from_the_list_of_studies_to_the_story_of_a_trial(serve, browser):
    browser.get(serve())
    waiting(browser).until(lambda b: b.find_elements(By.LINK_TEXT, "first"))
    assert "all trials" in text_of(browser)
    browser.find_element(By.LINK_TEXT, "first").click()
    waiting(browser).until(lambda b: b.find_elements(By.CSS_SELECTOR, "[data-drawn=yes] svg"))
    assert "The best is trial" in text_of(browser)
    (row, *_) = browser.find_elements(By.CSS_SELECTOR, "tr[id^=row-] a")
    index = row.text
    row.click()
    waiting(browser).until(lambda b: b.find_elements(By.TAG_NAME, "h1")[0].text == f"trial {index}")
    assert "trained    epochs 1 to 12" in browser.page_source
    assert not [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]


def test_a_trial_under_the_pointer_is_shown_with_its_values(serve, browser):
    browser.get(serve())
    waiting(browser).until(lambda b: b.find_elements(By.LINK_TEXT, "first"))[0].click()
    waiting(browser).until(lambda b: b.find_elements(By.CSS_SELECTOR, "[data-drawn=yes] svg"))
    drawn = browser.find_element(By.CSS_SELECTOR, "[data-drawn=yes]")
    browser.execute_script(
        "arguments[0].emit('plotly_hover', {points: [{customdata: [3, 12]}]})", drawn
    )
    shown = browser.find_element(By.ID, "trial").text
    assert shown.startswith("trial 3")
    assert "learning_rate = " in shown


def drawn(browser, name):
    """Scroll to a figure; return its id once it is drawn."""
    figure = waiting(browser).until(lambda b: b.find_element(By.ID, f"figure-0-{name}-0"))
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", figure)
    waiting(browser).until(lambda b: figure.get_attribute("data-drawn"))
    return figure.get_attribute("id")


def at(browser, figure, axis, height):
    """Return the place of a point of a figure, in pixels from the middle of its plot."""
    plot = browser.find_element(By.CSS_SELECTOR, f"#{figure} .nsewdrag")
    (left, right), (low, high) = browser.execute_script(AXES, figure)
    across = (axis - left) / (right - left) - 0.5
    up = (height - low) / (high - low) - 0.5
    return plot, round(across * plot.size["width"]), -round(up * plot.size["height"])


def test_a_thousand_trials_are_lines_that_tell_their_trial_and_that_a_box_selects(serve, browser):
    browser.get(serve())
    waiting(browser).until(lambda b: b.find_elements(By.LINK_TEXT, "large"))[0].click()
    figure = drawn(browser, "parallel")
    lines = browser.execute_script(LINES, figure, "lines")
    assert sorted(map(int, lines)) == list(range(1000))
    (without,) = (index for index, (_, _, value) in lines.items() if value < 0)
    ActionChains(browser).move_to_element_with_offset(
        *at(browser, figure, 2, lines[without][2])
    ).perform()
    waiting(browser).until(lambda b: b.find_element(By.ID, "trial").text)
    shown = browser.find_element(By.ID, "trial").text
    assert shown.startswith(f"trial {without}\n")
    assert "no such optimizer" in shown
    # A box over the upper part of the first axis, then one over the lower part of the second.
    for axis, low, high in ((0, 0.75, 1.04), (1, -0.05, 0.25)):
        plot, x, bottom = at(browser, figure, axis - 0.2, low)
        _, right, top = at(browser, figure, axis + 0.2, high)
        ActionChains(browser).key_down(Keys.SHIFT).move_to_element_with_offset(
            plot, x, bottom
        ).click_and_hold().move_to_element_with_offset(plot, right, top).release().key_up(
            Keys.SHIFT
        ).perform()
    chosen = {
        index for index, (rate, batch, _) in lines.items() if rate > 0.75 and -0.05 <= batch <= 0.25
    }
    waiting(browser).until(
        lambda b: abs(len(b.execute_script(LINES, figure, "lines")) - len(chosen)) <= 5
    )
    left = browser.execute_script(LINES, figure, "left")
    assert len(left) + len(browser.execute_script(LINES, figure, "lines")) == 1000
    assert not [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]


def test_the_look_at_the_data_is_linked_and_none_of_its_scripts_runs(serve, browser):
    browser.get(serve())
    waiting(browser).until(lambda b: b.find_elements(By.LINK_TEXT, "first"))[0].click()
    waiting(browser).until(lambda b: b.find_elements(By.LINK_TEXT, "its data"))[0].click()
    waiting(browser).until(lambda b: "the look" in text_of(b))
    assert text_of(browser) == "the look"
    browser.back()
    browser.get(browser.current_url.replace("first", "second"))
    assert not browser.find_elements(By.LINK_TEXT, "its data")


def test_the_page_follows_a_study_that_grows(serve, browser, studies, driver):
    browser.get(serve())
    waiting(browser).until(lambda b: b.find_elements(By.LINK_TEXT, "second"))[0].click()
    waiting(browser).until(lambda b: "this page follows" in text_of(b))
    waiting(browser).until(
        lambda b: b.find_elements(By.CSS_SELECTOR, "#figure-0-course-0[data-drawn]")
    )
    browser.execute_script("window.before = 'kept'; document.querySelector('details').open = true")
    with (studies / "second" / "journal.jsonl").open("a") as journal:
        for event in (
            {
                "event": "suggested",
                "trial": 20,
                "config": {"learning_rate": 0.01, "batch_size": 64},
            },
            {"event": "started", "trial": 20},
            {"event": "result", "trial": 20, "epoch": 1, "metrics": {"score": 7.5}},
        ):
            journal.write(json.dumps(event) + "\n")
    waiting(browser).until(lambda b: "7.5000" in text_of(b))
    browser.execute_script("document.getElementById('figure-0-course-0').scrollIntoView()")
    best = "return [...document.getElementById('figure-0-course-0').data].at(-1).y.at(-1)"
    waiting(browser).until(lambda b: b.execute_script(best) == 7.5)
    # The page itself is the same: what a person has opened stays open.
    assert browser.execute_script("return window.before") == "kept"
    assert browser.execute_script("return document.querySelector('details').open")


def test_the_stop_button_ends_a_study_in_order_and_is_shown_only_if_allowed(serve, browser, driver):
    browser.get(serve())
    waiting(browser).until(lambda b: b.find_elements(By.LINK_TEXT, "second"))[0].click()
    waiting(browser).until(lambda b: "this page follows" in text_of(b))
    assert not browser.find_elements(By.ID, "stop")
    browser.get(serve("--allow-stop"))
    waiting(browser).until(lambda b: b.find_elements(By.LINK_TEXT, "second"))[0].click()
    waiting(browser).until(lambda b: b.find_elements(By.ID, "stop"))[0].click()
    waiting(browser).until(alert_is_present()).accept()
    assert driver.wait(30) == 0
    waiting(browser).until(lambda b: "this page follows" not in text_of(b))


def test_requests_without_the_token_or_with_another_host_are_refused(serve):
    address = serve()
    for url, headers, code in (
        (address.partition("?")[0], {}, 403),
        (address.partition("?")[0] + "studies", {"Cookie": "tune-cluster=wrong"}, 403),
        (address, {"Host": "elsewhere.example"}, 400),
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(url, headers=headers))
        assert refused.value.code == code


@pytest.mark.parametrize(
    "place", ["study/third", "study/..%2F..%2Fetc", "study/first/trial/99", "study/first/stop"]
)
def test_a_missing_page_is_answered_with_not_found(serve, place):
    address, _, token = serve().partition("?token=")
    headers = {"Cookie": f"tune-cluster={token}"}
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(address + place, headers=headers))
    assert refused.value.code == 404
