"""Studies of a folder as a page shows them: read again when their journal has grown."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tune_cluster.reports.overview import LOCKS, Overview, Unreadable, is_held, overview_of
from tune_cluster.reports.readable import readable
from tune_cluster.reports.report import StudyReport, report_of
from tune_cluster.reports.story import Story, story_of
from tune_cluster.study.journal import JOURNAL
from tune_cluster.study.stored import StoredStudy, read_study
from tune_cluster.study.study_file import STUDY_FILE

Version = tuple[int, int, bool]
"""Size and time of a journal, and whether a driver has it: another one is another state."""


@dataclass
class LiveStudies:
    """The studies directly in a folder.

    What was read is kept until a journal changes, so that a page of many studies costs no more
    than its changes.
    """

    folder: Path
    _studies: dict[str, tuple[Version, StoredStudy]] = field(default_factory=dict)
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
        journal = self.folder / name / JOURNAL
        try:
            found = journal.stat()
        except OSError:
            return 0, 0, False
        return found.st_size, found.st_mtime_ns, is_held(journal)

    def overviews(self) -> list[Overview | Unreadable]:
        """Return every study in short, the newest first."""
        found = []
        with self._lock:
            for name in self.names():
                version = self.version(name)
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
                found = readable(str(self.folder / name))
                self._reports[name] = (version, report_of(found, importance=not version[2]))
            return self._reports[name][1]

    def story(self, name: str, trial: int) -> Story:
        """Return the story of a trial; raises as `report`."""
        with self._lock:
            version = self.version(name)
            if self._studies.get(name, (None,))[0] != version:
                self._studies[name] = (version, readable(str(self.folder / name)).study)
            return story_of(self._studies[name][1], trial)

    def stop(self, name: str) -> bool:
        """Ask the driver of a study to end it in order, as Ctrl-C does; return whether one of this
        machine has it."""
        self.version(name)
        driver = _holder(self.folder / name / JOURNAL)
        if driver is None:
            return False
        os.kill(driver, signal.SIGINT)
        return True

    def _overview(self, name: str) -> Overview | Unreadable:
        directory = self.folder / name
        try:
            return overview_of(directory, read_study(directory))
        except ValueError as error:
            return Unreadable(directory=directory, reason=str(error))


def _created(study: Overview | Unreadable) -> tuple[str, str]:
    return (study.created if isinstance(study, Overview) else "", study.directory.name)


def _holder(journal: Path) -> int | None:
    """Return the process that holds the lock of a journal."""
    found = journal.stat()
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    for line in LOCKS.read_text().splitlines():
        words = line.split()
        if place in words:
            return int(words[words.index(place) - 1])
    return None


def overview_json(study: Overview | Unreadable) -> dict[str, Any]:
    """Return a study in short as plain JSON."""
    if isinstance(study, Unreadable):
        return {"name": study.directory.name, "state": "unreadable", "reason": study.reason}
    return {
        "name": study.directory.name,
        "state": study.state,
        "metric": study.metric,
        "best": None if study.best is None else study.best.value,
        "trials": study.trials,
        "planned": study.planned,
        "counts": dict(study.counts),
        "epochs": study.epochs,
        "created": study.created,
    }
