"""Studies of a folder as a page shows them: read again when their journal has grown."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search_spaces.objective import shown_value
from tune_cluster.reports.confirm import CONFIRM
from tune_cluster.reports.overview import Overview, Unreadable, holder_of, is_held, overview_of
from tune_cluster.reports.readable import Readable, readable
from tune_cluster.reports.report import StudyReport, report_of
from tune_cluster.reports.story import Story, story_of
from tune_cluster.storage.inside import read_regular
from tune_cluster.study.journal import JOURNAL
from tune_cluster.study.stored import read_study
from tune_cluster.study.study_file import DATA_FILE, STUDY_FILE

Version = tuple[int, int, bool]
"""Size of a journal, with that of its confirmation's, time of the journal, and whether a driver has
it: another one is another state."""


@dataclass
class LiveStudies:
    """The studies directly in a folder.

    What was read is kept until a journal changes, so that a page of many studies costs no more
    than its changes.
    """

    folder: Path
    _read: dict[str, tuple[Version, Readable]] = field(default_factory=dict)
    _overviews: dict[str, tuple[Version, Overview | Unreadable]] = field(default_factory=dict)
    _reports: dict[str, tuple[Version, StudyReport]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def names(self) -> list[str]:
        """Return the names of the studies."""
        return sorted(path.parent.name for path in self.folder.glob(f"*/{STUDY_FILE}"))

    def version(self, name: str) -> Version:
        """Return the version of a study.

        Raises:
            KeyError: there is no such study.
        """
        # Names come from an address bar: only those that the folder lists exist.
        if name not in self.names():
            raise KeyError(name)
        return self._version(name)

    def _version(self, name: str) -> Version:
        journal = self.folder / name / JOURNAL
        try:
            found = journal.stat()
        except OSError:
            return 0, 0, False
        size = found.st_size
        with suppress(OSError):
            # Its report shows the confirmation too.
            size += (self.folder / f"{name}{CONFIRM}" / JOURNAL).stat().st_size
        return size, found.st_mtime_ns, is_held(journal)

    def overviews(self) -> list[Overview | Unreadable]:
        """Return every study in short, the newest first."""
        found = []
        with self._lock:
            for name in self.names():
                version = self._version(name)
                if self._overviews.get(name, (None,))[0] != version:
                    self._overviews[name] = (version, self._overview(name))
                found.append(self._overviews[name][1])
        return sorted(found, key=_created, reverse=True)

    def report(self, name: str) -> StudyReport:
        """Return the report of a study; without importance while it runs, which takes seconds.

        Raises:
            KeyError: there is no such study.
            ValueError: it cannot be read.
        """
        with self._lock:
            version = self.version(name)
            if self._reports.get(name, (None,))[0] != version:
                made = report_of(self._readable(name, version), importance=not version[2])
                self._reports[name] = (version, made)
            return self._reports[name][1]

    def story(self, name: str, trial: int) -> Story:
        """Return the story of a trial; raises as `report`."""
        with self._lock:
            return story_of(self._readable(name, self.version(name)).study, trial)

    def data_page(self, name: str) -> bytes:
        """Return the page of the look at the data of a study.

        Raises:
            KeyError: there is no such study, or page.
            ValueError: it is no file.
        """
        self.version(name)
        try:
            return read_regular(self.folder / name / DATA_FILE)
        except OSError:
            raise KeyError(DATA_FILE) from None

    def stop(self, name: str) -> bool:
        """Ask the driver of a study to end it in order, as Ctrl-C does; return whether one of this
        machine has it."""
        self.version(name)
        driver = holder_of(self.folder / name / JOURNAL)
        if driver is None:
            return False
        os.kill(driver, signal.SIGINT)
        return True

    def _readable(self, name: str, version: Version) -> Readable:
        """Return what was read of a study, which its report and its stories share."""
        if self._read.get(name, (None,))[0] != version:
            self._read[name] = (version, readable(str(self.folder / name)))
        return self._read[name][1]

    def _overview(self, name: str) -> Overview | Unreadable:
        directory = self.folder / name
        try:
            return overview_of(directory, read_study(directory))
        except ValueError as error:
            return Unreadable(directory=directory, reason=str(error))


def _created(study: Overview | Unreadable) -> tuple[str, str]:
    return (study.created if isinstance(study, Overview) else "", study.directory.name)


def overview_json(study: Overview | Unreadable) -> dict[str, Any]:
    """Return a study in short as plain JSON, its best value as every other place shows it."""
    if isinstance(study, Unreadable):
        return {"name": study.directory.name, "state": "unreadable", "reason": study.reason}
    return {
        "name": study.directory.name,
        "state": study.state,
        "best": "" if study.best is None else f"{study.metric} {shown_value(study.best.value)}",
        "trials": study.trials,
        "planned": study.planned,
        "counts": dict(study.counts),
        "epochs": study.epochs,
        "created": study.created,
    }
