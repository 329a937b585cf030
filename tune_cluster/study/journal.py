"""The journal of a study: append-only, one JSON object a line; all other files derive from it.

`tune_cluster.study.lines` reads and writes a line; `tune_cluster.study.state` defines the order and
meaning of lines. `read_journal` checks both: a journal that is damaged before its end is refused.
"""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from search_spaces.objective import Objective
from search_spaces.trial_events import Epoch, Event, Result, Suggested, TrialEvent
from tune_cluster.plain_text import argument
from tune_cluster.storage.append_only import AppendOnlyFile, HeldFile
from tune_cluster.storage.inside import read_regular
from tune_cluster.storage.retry import StorageLostError, StorageRetry
from tune_cluster.storage.store import LocalStore
from tune_cluster.study.events import Closed, Session
from tune_cluster.study.lines import Line, read_line, read_sealed, sealed
from tune_cluster.study.state import StudyState

JOURNAL = "journal.jsonl"

EPOCH_TOLERANCE = 1e-6
"""Largest difference between two equal fractions of an epoch."""

MOST_NAMED_TRIALS = 5
"""Largest number of trials that are named one by one."""


class Journal:
    """The open journal of a running study; one process at a time can hold it.

    It waits for failing storage. If the storage does not recover, it writes nothing more, so that
    the journal is the same as after a kill of the driver at that time.

    Args:
        path: path of the journal.
        retry: retries of the storage.
        on_lost: called if the storage does not recover.
        held: the file, open and locked, which the journal takes over; without it the journal opens
            the file.

    Raises:
        ValueError: another process holds it.
    """

    def __init__(
        self,
        path: Path,
        retry: StorageRetry | None = None,
        on_lost: Callable[[StorageLostError], None] | None = None,
        held: HeldFile | None = None,
    ) -> None:
        self.path = path
        self.lost: StorageLostError | None = None
        """Error after which nothing more is written, if any."""
        self._on_lost = on_lost
        retry = retry or StorageRetry(LocalStore(path.parent))
        held = held or HeldFile(path, create=not path.exists())
        self._file = AppendOnlyFile(path, retry, held=held)
        self._lines = self._drop_torn_line()
        """Number of lines of the file."""

    def append(self, *events: Event) -> list[Event]:
        """Write the events in one call, so that a killed driver leaves all of them or none; return
        them with their `time`."""
        now = round(time.time(), 3)
        timed = [replace(event, time=now) for event in events]
        if self.lost is not None:
            return timed
        lines = [sealed(event, number) for number, event in enumerate(timed, self._lines + 1)]
        self._file.write(b"".join(lines))
        self._lines += len(lines)
        try:
            self._file.flush()
        except StorageLostError as error:
            self.lost = error
            if self._on_lost is not None:
                self._on_lost(error)
        return timed

    def end(self, why: str) -> None:
        """End the session and close the journal.

        Raises:
            StorageLostError: the storage was lost before.
        """
        self.append(Closed(why=why))
        self.close()
        if self.lost is not None:
            raise self.lost

    def close(self) -> None:
        """Sync the file to the disk and release the study."""
        self._file.close()

    def _drop_torn_line(self) -> int:
        # A machine that lost power can leave half a line; the next line must start on its own.
        data = read_regular(self.path)
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            self._file.truncate(whole)
        return data.count(b"\n")


class Listener(Protocol):
    """A receiver of every event, including those of earlier sessions."""

    def on_event(self, event: Event, state: StudyState, replay: bool) -> None:
        """Take in an event, which `state` includes already."""


class EventStream:
    """Passes events, new ones and those of earlier sessions, to the same listeners, in order.

    Args:
        journal: journal of the study.
        state: state with the events of earlier sessions; it takes in every other event here, and
            nowhere else.
        listeners: receivers of the events, in order.
    """

    def __init__(
        self, journal: Journal, state: StudyState, listeners: Sequence[Listener] = ()
    ) -> None:
        self._state = state
        self._journal = journal
        self._listeners = list(listeners)
        self._pending: deque[Event] = deque()
        self._emitting = False

    def begin(
        self, earlier: Sequence[Event], session: Session, decided: Sequence[Event] = ()
    ) -> None:
        """Replay earlier sessions to each listener, then pass on that this one has begun, in the
        order of the journal.

        Args:
            earlier: events of earlier sessions.
            session: the beginning of this one.
            decided: what it has decided by then about earlier sessions, which the state includes.
        """
        for listener in self._listeners:
            for event in earlier:
                listener.on_event(event, self._state, replay=True)
            listener.on_event(session, self._state, replay=False)
            for event in decided:
                listener.on_event(event, self._state, replay=True)

    def emit(self, *events: Event) -> None:
        """Write the events in one call, so that a killed driver leaves all of them or none; then
        pass each of them to state and listeners.

        Files of a listener that has lost its storage are completed by the next session. Events that
        a listener emits are passed on after all listeners have the current one.
        """
        self._pending.extend(self._journal.append(*events))
        if self._emitting:
            return
        self._emitting = True
        try:
            while self._pending:
                event = self._pending.popleft()
                self._state.apply(event)
                for listener in self._listeners:
                    with suppress(StorageLostError):
                        listener.on_event(event, self._state, replay=False)
        finally:
            self._emitting = False

    def close(self, why: str) -> None:
        """End the session: the listeners first, so that their files are complete, then the journal.

        Raises:
            StorageLostError: the journal, or a listener's file, ends before the session does.
        """
        closed = Closed(why=why)
        # One that has lost the storage must not keep the others open.
        with ExitStack() as closing:
            closing.callback(self._journal.end, why)
            for listener in reversed(self._listeners):
                closing.callback(listener.on_event, closed, self._state, replay=False)


class DamagedJournalError(ValueError):
    """A journal differs from what was written, before its torn end; names its intact part."""

    def __init__(self, what: str, whole: WholePart, study: str) -> None:
        super().__init__(
            f"{what}; whole are {whole}; to continue with those: --resume {argument(study)} "
            "--repair, which writes a copy beside it"
        )
        self.whole = whole


def read_journal(
    path: Path, objective: Objective, *, study: str | None = None
) -> tuple[list[Event], StudyState]:
    """Return the events of all complete lines of a journal, and the resulting state; a last line
    that is still being written is left out.

    Args:
        path: path of the journal.
        objective: objective of the study.
        study: its address as typed, for error messages; its folder if None.

    Raises:
        DamagedJournalError: a line was changed, or one is missing. The message has path, line and
            field, and how to continue with the intact part.
        ValueError: the file cannot be read.
    """
    lines = read_lines(path)
    events, state = [], StudyState(objective)
    has_checksums = False
    with _collector_off():
        for number, line in enumerate(lines, start=1):
            try:
                event = read_sealed(line, number) if has_checksums else None
                if event is None:
                    read = read_line(line)
                    _check_number(read, number, has_checksums=has_checksums)
                    has_checksums = has_checksums or read.has_checksum
                    event = read.event
                state.apply(event)
            except ValueError as error:
                whole = whole_part(lines, objective)
                what = f"{path}: line {number}: {error}"
                raise DamagedJournalError(what, whole, study or str(path.parent)) from None
            events.append(event)
    return events, state


@contextmanager
def _collector_off() -> Iterator[None]:
    """Keep the garbage collector off: what is read has no cycles and stays, and to go through all
    of it again and again takes a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def read_lines(path: Path) -> list[bytes]:
    """Return the complete lines of a journal, without newlines; raise a ValueError if
    unreadable."""
    try:
        return read_regular(path).split(b"\n")[:-1]
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror})") from None


def _check_number(line: Line, number: int, *, has_checksums: bool) -> None:
    """Raise a ValueError for a line out of place: lines before it are missing, or repeated."""
    if not line.has_checksum:
        if has_checksums:
            raise ValueError("crc is missing")
        return
    if line.number != number:
        raise ValueError(f"it was written as line {line.number}: lines are missing or repeated")
    if not has_checksums and number > 1 and not isinstance(line.event, Session):
        # An earlier version has written lines without checksums; this one began with a session.
        raise ValueError("the lines before it have lost their checksums")


@dataclass(frozen=True)
class WholePart:
    """The intact part of a damaged journal: consistent events, in order."""

    events: list[Event]
    cut: dict[int, Epoch]
    """Epochs that remain of each trial that has lost an event, by trial."""

    def __str__(self) -> str:
        """Return the trials and epochs, for the user."""
        trials = [event.trial for event in self.events if isinstance(event, Suggested)]
        ranges: list[list[int]] = []
        for trial in trials:
            if trial in self.cut:
                continue
            if ranges and ranges[-1][1] == trial - 1:
                ranges[-1][1] = trial
            else:
                ranges.append([trial, trial])
        named = [f"trials {a} to {b}" if a < b else f"trial {a}" for a, b in ranges]
        named += [f"trial {t} to its epoch {self.cut[t]}" for t in trials if self.cut.get(t)]
        if len(named) > MOST_NAMED_TRIALS:
            named = [
                *named[: MOST_NAMED_TRIALS - 1],
                f"and {len(named) - MOST_NAMED_TRIALS + 1} more",
            ]
        epochs = sum(isinstance(event, Result) for event in self.events)
        return f"{', '.join(named)} ({epochs} epochs in all)" if named else "none of its trials"


def whole_part(lines: Sequence[bytes], objective: Objective) -> WholePart:
    """Return what remains of a damaged journal without the damaged lines and the lines that depend
    on them.

    A trial that has lost an event continues from the epoch before it. Its epochs must be
    consecutive as those of other trials: no line identifies the lost one.
    """
    found: dict[int, Event] = {}
    for position, line in enumerate(lines, start=1):
        try:
            event, number, _ = read_line(line)
        except ValueError:
            continue
        # Lines that were exchanged return to their original positions.
        found.setdefault(position if number is None else number, event)
    ordered = [found[number] for number in sorted(found)]
    step = min((event.epoch for event in ordered if isinstance(event, Result)), default=1)
    state, kept = StudyState(objective), []
    cut: dict[int, Epoch] = {}
    for event in ordered:
        trial = event.trial if isinstance(event, TrialEvent) else None
        if trial in cut:
            continue
        known = 0 if trial not in state.trials else state.trials[trial].epochs
        try:
            if isinstance(event, Result) and abs(event.epoch - known - step) > EPOCH_TOLERANCE:
                raise ValueError("an epoch before it is lost")
            state.apply(event)
        except ValueError:
            if trial is not None and event not in kept:
                cut[trial] = known
            continue
        kept.append(event)
    return WholePart(kept, cut)
