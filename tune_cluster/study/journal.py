"""The journal of a study: append-only, one JSON object a line; everything else is told from it.

What its lines have is said in `tune_cluster.study.events`, one class an event; which of them can
follow each other in `tune_cluster.study.order`. Whoever reads a journal reads it by `read_events`,
which holds it against both: a journal that is damaged before its end is refused.

Needs neither Ray nor torch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from search_spaces.mode import sign_of
from tune_cluster.plain_text import argument
from tune_cluster.storage.append_only import AppendOnlyFile, HeldFile
from tune_cluster.storage.inside import read_regular
from tune_cluster.storage.retry import StorageLostError, StorageRetry
from tune_cluster.storage.store import LocalStore
from tune_cluster.study.events import Epoch as Epoch
from tune_cluster.study.events import Event as Event
from tune_cluster.study.journal_lines import Whole, check_number, read_line, sealed, whole_part
from tune_cluster.study.order import Order

Status: TypeAlias = Literal["pending", "running", "finished", "stopped", "diverged", "failed"]

JOURNAL = "journal.jsonl"


class Journal:
    """The open journal of a running study; one process at a time can hold it.

    It waits for storage that fails. If that does not come back nothing is written any more, so that
    the journal is what a driver leaves that was killed then.

    Args:
        path: of the file, in the study's directory.
        retry: of the study's storage.
        on_lost: told that it did not come back.
        held: the file, open and locked, which passes to the journal; without it the journal opens
            it.

    Raises:
        ValueError: another process runs the study.
    """

    def __init__(
        self,
        path: Path,
        retry: StorageRetry | None = None,
        on_lost: Callable[[StorageLostError], None] = lambda error: None,
        held: HeldFile | None = None,
    ) -> None:
        self.path = path
        self.lost: StorageLostError | None = None
        """Why nothing is written any more."""
        self._on_lost = on_lost
        self._file = AppendOnlyFile(
            path,
            retry or StorageRetry(LocalStore(path.parent)),
            exclusive=True,
            held=held,
        )
        self._lines = self._drop_torn_line()
        """That it has."""

    def append(self, *events: Event) -> list[Event]:
        """Writes the events in one call, so that a killed driver leaves all of them or none.

        Returns:
            Them with their `time`.
        """
        now = round(time.time(), 3)
        timed = [{**event, "time": now} for event in events]
        if self.lost is not None:
            return timed
        lines = [
            sealed({**event, "n": number})
            for number, event in enumerate(timed, start=self._lines + 1)
        ]
        self._file.write(b"".join(lines))
        self._lines += len(lines)
        try:
            self._file.flush()
        except StorageLostError as error:
            self.lost = error
            self._on_lost(error)
        return timed

    def end(self, why: str) -> None:
        """Ends the session and closes the journal.

        Raises:
            StorageLostError: it ends before the session does.
        """
        self.append({"event": "closed", "why": why})
        self.close()
        if self.lost is not None:
            raise self.lost

    def close(self) -> None:
        """Brings what was written to the disk and lets another process have the study."""
        self._file.close()

    def _drop_torn_line(self) -> int:
        # A machine that lost power can leave half a line; what follows it must start on its own.
        data = read_regular(self.path)
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            self._file.truncate(whole)
        return data.count(b"\n")


class DamagedJournalError(ValueError):
    """A journal is not what was written, before its torn end; says what is whole of it.

    Args:
        what: path, line and field, and what is wrong there.
        whole: of the journal.
        study: as it is typed.
    """

    def __init__(self, what: str, whole: Whole, study: str) -> None:
        super().__init__(
            f"{what}; whole are {whole}; to go on with those: --resume {argument(study)} --repair, "
            "which writes a copy beside it"
        )
        self.what = what
        self.whole = whole


def read_events(path: Path) -> list[Event]:
    """All whole lines of a journal; a last line that is still being written is left out.

    Raises:
        DamagedJournalError: a line is not what was written, or one is missing: the file was edited
            or is damaged. Path, line and field are in it, and how to go on with what is whole.
        ValueError: it cannot be read.
    """
    lines = read_lines(path)
    events, order = [], Order()
    has_checksums = False
    for number, line in enumerate(lines, start=1):
        try:
            event = read_line(line)
            check_number(event, number, has_checksums=has_checksums)
            order.take(event)
        except ValueError as error:
            what = f"{path}: line {number}: {error}"
            raise DamagedJournalError(what, whole_part(lines), str(path.parent)) from None
        has_checksums = has_checksums or "crc" in event
        events.append({name: event[name] for name in event if name not in ("n", "crc")})
    return events


def read_lines(path: Path) -> list[bytes]:
    """The whole lines of a journal, without their ends.

    Raises:
        ValueError: it cannot be read.
    """
    try:
        return read_regular(path).split(b"\n")[:-1]
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror})") from None


@dataclass
class TrialRecord:
    """One trial as the journal tells it."""

    index: int
    config: dict[str, Any]
    """As it was suggested."""
    status: Status = "pending"
    results: dict[Epoch, dict[str, float | None]] = field(default_factory=dict)
    """Metrics by epoch."""
    step_losses: dict[Epoch, list[list[float]]] = field(default_factory=dict)
    """By epoch, pairs of a step and its loss."""
    lost: int = 0
    """Reports of epochs that it has lost since."""
    rung: int | None = None
    """Where it was stopped, in epochs."""
    reason: str = ""
    """Why it diverged or failed."""
    log: str = ""
    """The last lines that it printed, if it failed."""
    exploits: list[Event] = field(default_factory=list)
    """Of a population's member, the events `exploited`."""
    blameless: bool = False
    """Whether its configuration may be good all the same."""
    gpus: float = 0.0
    """The share of a GPU that it was last given for lack of memory, 0 if it never was."""
    control: Status | None = None
    """Of the same trial finished later as a control, if it is one; once is enough for a trial that
    is promoted and stopped again."""
    control_results: dict[Epoch, dict[str, float | None]] = field(default_factory=dict)
    """Metrics by epoch, after the rung that stopped it."""
    control_blameless: bool = False
    """Whether the control ended by something that says nothing of the trial."""
    _fractions: bool = False
    """Whether it has reported an epoch that is no whole number."""
    seconds: float = field(default=0.0, compare=False)
    """That it was at work: up to its last result, or to its failure, without what lay between two
    sessions, a rung and its promotion, or a population's member and the others."""
    _at_work_since: float | None = field(default=None, compare=False)

    @property
    def epochs(self) -> Epoch:
        """Epochs that were reported, and are not lost."""
        return max(self.results, default=0)

    def step(self, epoch: Epoch) -> int:
        """Where an epoch is on the x axis of TensorBoard, which has whole numbers alone: that
        number or, of a trial that reports fractions, the next one that is free."""
        if isinstance(epoch, int) and not self._fractions:
            return epoch
        step = 0
        for known in sorted({*self.results, *self.control_results, epoch}):
            step = max(step + 1, math.floor(known))
            if known == epoch:
                break
        return step

    @property
    def ended(self) -> bool:
        """Whether it will not run again, unless it is promoted."""
        return self.status not in ("pending", "running")

    @property
    def control_left(self) -> bool:
        """Whether it is still to be finished as a control."""
        return self.control in ("pending", "running")

    def apply(self, event: Mapping[str, Any]) -> None:
        """Takes in one event of this trial; an epoch that is known stays as it was first told."""
        self._count_seconds(event)
        if event["event"] == "started":
            self.status = "running"
        elif event["event"] == "result":
            self.results.setdefault(event["epoch"], event["metrics"])
            self._fractions = self._fractions or isinstance(event["epoch"], float)
            self._note_steps(event)
        elif event["event"] == "epochs_lost":
            lost = [epoch for epoch in self.results if epoch >= event["first"]]
            self.lost += len(lost)
            for epoch in lost:
                del self.results[epoch]
                self.step_losses.pop(epoch, None)
        elif event["event"] == "share":
            self.gpus = event["gpus"][1]
        elif event["event"] == "exploited":
            self.exploits.append(dict(event))
        elif event["event"] == "promoted":
            self.status, self.rung = "running", None
            if self.control_left:
                self.control = None
        elif event["event"] == "ended":
            self.status = event["status"]
            self.rung = event.get("rung")
            self.reason = event.get("reason", "")
            self.log = event.get("log", "")
            self.blameless = event.get("blameless", False)
            if not event.get("control"):
                self.control = None
            elif self.control is None:
                self.control = "pending"
        elif event["event"] == "control_started":
            self.control = "running"
        elif event["event"] == "control":
            self.control_results.setdefault(event["epoch"], event["metrics"])
            self._note_steps(event)
        elif event["event"] == "control_ended":
            self.control = event["status"]
            self.control_blameless = event.get("blameless", False)

    def _count_seconds(self, event: Mapping[str, Any]) -> None:
        now = event.get("time")
        if event["event"] in ("started", "promoted", "exploited"):
            self._at_work_since = now
        # A stop comes with its result, or after a kill in the next session.
        elif event["event"] == "result" or (
            event["event"] == "ended" and event["status"] in ("diverged", "failed")
        ):
            if now is not None and self._at_work_since is not None:
                self.seconds += max(now - self._at_work_since, 0.0)
            self._at_work_since = now

    def _note_steps(self, event: Mapping[str, Any]) -> None:
        if "step_losses" in event:
            self.step_losses.setdefault(event["epoch"], event["step_losses"])

    def config_at(self, epoch: Epoch) -> dict[str, Any]:
        """What `epoch` was trained with."""
        config = dict(self.config)
        for exploit in self.exploits:
            if exploit["epoch"] < epoch:
                new = {name: after for name, (_, after) in exploit["changes"].items()}
                gone = exploit.get("absent", [name for name in new if new[name] is None])
                config.update(new)
                config = {name: value for name, value in config.items() if name not in gone}
        return config

    def best(self, metric: str, mode: str) -> tuple[Epoch, float] | None:
        """Epoch and value of the best `metric`, the earlier one of equals; None if it has none."""
        known = [(e, m[metric]) for e, m in self.results.items() if m.get(metric) is not None]
        sign = -sign_of(mode)
        return min(known, key=lambda item: (sign * item[1], item[0])) if known else None  # type: ignore[operator,return-value]


def trials_from(events: Iterable[Mapping[str, Any]]) -> dict[int, TrialRecord]:
    """The trials by index, after all of `events`."""
    trials: dict[int, TrialRecord] = {}
    for event in events:
        if event["event"] == "suggested":
            trials[event["trial"]] = TrialRecord(event["trial"], dict(event["config"]))
        elif "trial" in event:
            trials[event["trial"]].apply(event)
    return trials


def best_trial(
    trials: Iterable[TrialRecord], metric: str, mode: str
) -> tuple[TrialRecord, Epoch, float] | None:
    """The trial with the best value at any of its epochs, that epoch and value; the lower index
    of equals; None while no trial has a value."""
    candidates = [(trial, best) for trial in trials if (best := trial.best(metric, mode))]
    sign = -sign_of(mode)
    if not candidates:
        return None
    trial, (epoch, value) = min(candidates, key=lambda c: (sign * c[1][1], c[0].index))
    return trial, epoch, value
