"""Time, memory and size of the report, of the commands of the terminal and of the live page.

Claim: a report of 1,000 trials of 27 epochs takes at most 20 s on one core, 1 GB and 8 MB of HTML;
of 10,000 trials at most 120 s; `list`, `show`, `why` and `diff` at most 1 s on 1,000 trials.

Method: synthetic studies (`synthetic_study.py`), with every trial at 27 epochs or stopped at rungs
as ASHA stops them. Each command is a new process on one core. Its CPU time is given beside the wall
time, which other processes of the machine lengthen. The page is asked as a browser asks it: for
the first time, again, and after a driver has written 16 more trials of one epoch. In the browser
every figure is scrolled to until it is drawn (headless Chromium without a GPU; left out where there
is none): its CPU time with that of its helpers, and its longest task, in which it answers nothing:
when it is opened, which the first time starts plotly, and of the figures. On a machine that does
other work these are longer.
Then the page of the growing study changes in its place: once by 16 trials, and 50 times by none,
with another figure in sight each time, which must leave its memory as it was.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from typing import IO, NamedTuple

import psutil
from scaling import peak_memory
from synthetic_study import PLACES, write_growth, write_synthetic
from table import Row, run_benchmark

MEGABYTE = 1e6

CORE = min(os.sched_getaffinity(0))
"""Core that every measured process runs on."""

COMMAND = "from tune_cluster.cli import main; main()"

SECONDS_BETWEEN_LOOKS = 0.01
"""Seconds between two checks of the memory of a process."""

TICKS = os.sysconf("SC_CLK_TCK")


class Taken(NamedTuple):
    """What a process has taken."""

    wall: float
    """Seconds."""
    cpu: float
    """Seconds of user and system."""
    peak: float
    """Bytes of resident memory."""


def measure(quick: bool, *, trials: Sequence[str]) -> list[Row]:
    """Measure studies of each number of trials, whole and stopped at rungs."""
    found: list[tuple[str, str, float, str]] = []
    counts = [100] if quick else list(map(int, trials))
    with tempfile.TemporaryDirectory() as name:
        for count in counts:
            for kind, stops in (("whole", False), ("asha", True)):
                folder = Path(name, f"{kind}-{count}")
                results = write_synthetic(folder / "study", count, stops=stops)
                case = f"{kind}_{count}_trials_{results}_results"
                found += [(case, *figure) for figure in _report(folder / "study")]
                if count == min(counts):
                    found += [(case, *figure) for figure in _terminal(folder)]
                if count == min(counts) and not stops:
                    found += [(case, *figure) for figure in _page(folder, count)]
                shutil.rmtree(folder)
    return [
        Row(benchmark="report_scale", case=case, metric=metric, value=value, unit=unit)
        for case, metric, value, unit in found
    ]


def _report(study: Path) -> Iterator[tuple[str, float, str]]:
    taken = _taken("report", str(study))
    yield "report_wall", taken.wall, "s"
    yield "report_cpu", taken.cpu, "s"
    yield "report_peak", taken.peak / MEGABYTE, "MB"
    yield "report_html", (study / "report.html").stat().st_size / MEGABYTE, "MB"


def _terminal(folder: Path) -> Iterator[tuple[str, float, str]]:
    study, second = str(folder / "study"), str(folder / "second")
    commands = {
        "list": ("list", str(folder)),
        "show": ("show", study),
        "why": ("why", study, "12"),
        "doctor": ("doctor", study),
        "diff": ("diff", study, second),
    }
    for name, arguments in commands.items():
        if name == "diff":
            shutil.copytree(study, second)
        taken = _taken(*arguments)
        yield f"{name}_wall", taken.wall, "s"
        yield f"{name}_cpu", taken.cpu, "s"


def _taken(*arguments: str) -> Taken:
    """Run a command on one core; raise a RuntimeError with its output if it fails."""
    peak = 0
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        process = _started(arguments, output)
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            peak = max(peak, peak_memory(process.pid))
            time.sleep(SECONDS_BETWEEN_LOOKS)
        wall = time.perf_counter() - began
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            raise RuntimeError(f"{' '.join(arguments)} failed:\n{output.read().decode()[-3000:]}")
    return Taken(wall, usage.ru_utime + usage.ru_stime, peak)


def _started(arguments: Sequence[str], output: IO[bytes] | int) -> subprocess.Popen[bytes]:
    root = str(Path(__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments],
        stdout=output,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": root},
    )
    os.sched_setaffinity(process.pid, {CORE})
    return process


def _page(folder: Path, trials: int) -> Iterator[tuple[str, float, str]]:
    """Ask for the page of a study that has ended, and of one that grows."""
    shutil.copytree(folder / "study", folder / "growing")
    journal = folder / "growing" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    # Without its last line the study has not ended.
    journal.write_bytes(b"".join(lines[:-1]))
    with served(folder) as server, journal.open("rb") as held:
        # A driver holds the lock of a study that runs.
        fcntl.flock(held, fcntl.LOCK_EX)
        for name, path in (
            ("list_first", "/studies"),
            ("list_again", "/studies"),
            ("ended_first", "/study/study"),
            ("ended_again", "/study/study"),
            ("running_first", "/study/growing"),
        ):
            yield from server.asked(name, path)
        write_growth(journal, trials)
        yield from server.asked("running_grown", "/study/growing")
        write_growth(journal, trials + PLACES)
        yield from server.asked("list_grown", "/studies")
        if shutil.which("chromium") and shutil.which("chromedriver"):
            yield from _browser(server.address, journal, trials + 2 * PLACES)


class Server(NamedTuple):
    """A running `tune-cluster ui`."""

    process: int
    address: str
    """Address with the token."""
    opener: urllib.request.OpenerDirector

    def asked(self, name: str, path: str) -> Iterator[tuple[str, float, str]]:
        """Yield what an answer takes."""
        before, began = self._cpu(), time.perf_counter()
        base = self.address.partition("/?")[0]
        with self.opener.open(base + path) as answer:
            size = len(answer.read())
        yield f"page_{name}_wall", time.perf_counter() - began, "s"
        yield f"page_{name}_cpu", self._cpu() - before, "s"
        yield f"page_{name}_size", size / MEGABYTE, "MB"

    def _cpu(self) -> float:
        words = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / TICKS


@contextmanager
def served(folder: Path) -> Iterator[Server]:
    """Serve the live page of a folder of studies."""
    process = _started(["ui", str(folder), "--port", "0"], subprocess.PIPE)
    assert process.stdout is not None
    try:
        line = process.stdout.readline().decode()
        if "http" not in line:
            raise RuntimeError(f"the page was not served: {line}")
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        address = line.split()[-1]
        opener.open(address).close()
        yield Server(process.pid, address, opener)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()
        process.stdout.close()


BUSY = """
window.busy = [];
new PerformanceObserver(list => {
  for (const task of list.getEntries()) window.busy.push(task.duration);
}).observe({type: "longtask", buffered: true});
"""
"""Collects the milliseconds of each task of over 50, in which the page answers nothing."""

SCROLL = """
document.querySelectorAll('.figure')[arguments[0]].scrollIntoView();
// What comes into sight is noticed in the next frame.
requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(arguments[1])));
"""

ALL_DRAWN = """
return Boolean(document.querySelectorAll('.figure')[arguments[0]].dataset.drawn) && !drawing;
"""

FOLLOW = "follow().then(arguments[0], arguments[0])"
"""Looks for changes of the study at once, as the page does every few seconds."""

UPDATES_OF_PAGE = 50

PATIENCE = 300
"""Seconds within which the page changes, on a machine that does much else."""


def _browser(address: str, growing: Path, trials: int) -> Iterator[tuple[str, float, str]]:
    """Scroll through the page of each study in a browser, and let that of the journal that grows,
    with its number of trials, change; yield how long the browser was busy."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    for argument in ("--headless", "--no-sandbox", "--disable-gpu", "--window-size=1240,1000"):
        options.add_argument(argument)
    options.binary_location = "/usr/bin/chromium"
    browser = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    browser.set_script_timeout(PATIENCE)

    def longest_task() -> float:
        """Return the seconds of the longest task since the last call."""
        return float(browser.execute_script("return Math.max(0, ...window.busy.splice(0))")) / 1000

    def scroll_to(figure: int) -> None:
        browser.execute_async_script(SCROLL, figure)
        while not browser.execute_script(ALL_DRAWN, figure):
            time.sleep(SECONDS_BETWEEN_LOOKS)

    def heap() -> float:
        browser.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
        found = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
        return float(next(one["value"] for one in found if one["name"] == "JSHeapUsedSize"))

    try:
        browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": BUSY})
        browser.execute_cdp_cmd("Performance.enable", {})
        browser.get(address)
        base = address.partition("/?")[0]
        for name in ("study", "growing"):
            before = _cpu_below(browser.service.process.pid)
            browser.get(f"{base}/study/{name}")
            figures = browser.execute_script("return document.querySelectorAll('.figure').length")
            yield f"browser_{name}_opened_longest_task", longest_task(), "s"
            for figure in range(figures):
                scroll_to(figure)
            yield f"browser_{name}_cpu", _cpu_below(browser.service.process.pid) - before, "s"
            yield f"browser_{name}_longest_task", longest_task(), "s"
        write_growth(growing, trials)
        browser.execute_async_script(FOLLOW)
        for figure in range(figures):
            scroll_to(figure)
        yield "browser_update_longest_task", longest_task(), "s"
        yield "browser_heap", heap() / MEGABYTE, "MB"
        for update in range(UPDATES_OF_PAGE):
            growing.touch()
            browser.execute_async_script(FOLLOW)
            scroll_to(update % figures)
        yield f"browser_heap_after_{UPDATES_OF_PAGE}_updates", heap() / MEGABYTE, "MB"
    finally:
        browser.quit()


def _cpu_below(process: int) -> float:
    """Return the CPU time of all processes that a process has started, in seconds."""
    times = [child.cpu_times() for child in psutil.Process(process).children(recursive=True)]
    return float(sum(one.user + one.system for one in times))


if __name__ == "__main__":
    run_benchmark(measure, __doc__ or "", trials=["1000", "10000"])
