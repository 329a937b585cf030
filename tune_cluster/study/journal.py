"""The journal of a study: append-only, one JSON object a line; everything else follows from it.

What its lines have is said in `tune_cluster.study.events`, what they mean in
`tune_cluster.study.state`. `read_journal` holds it against both: a journal that is damaged before
its end is refused.
"""

from __future__ import annotations

import json
import re
import time
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Protocol

from search_spaces.objective import Objective
from search_spaces.trial_events import Count, Epoch, Event, Result, Suggested, TrialEvent
from tune_cluster.plain_text import argument
from tune_cluster.storage.append_only import AppendOnlyFile, HeldFile
from tune_cluster.storage.inside import read_regular
from tune_cluster.storage.integrity import check, parse
from tune_cluster.storage.retry import StorageLostError, StorageRetry
from tune_cluster.storage.store import LocalStore
from tune_cluster.study.events import Closed, Session, read_event
from tune_cluster.study.state import StudyState

JOURNAL = "journal.jsonl"

CHECKSUM = b', "crc": '
"""Stands before the checksum, which ends a line."""

CHECKSUM_END = re.compile(rb"\d{1,10}}")

EPOCH_TOLERANCE = 1e-6
"""Between two fractions of an epoch that are the same one."""

MOST_NAMED_TRIALS = 5
"""Trials that are named one by one."""


class Journal:
    """The open journal of a running study; one process at a time can hold it, else a ValueError.

    It waits for storage that fails. If that does not come back nothing is written any more, so that
    the journal is what a driver leaves that was killed then.

    Args:
        on_lost: told that it did not come back.
        held: the file, open and locked, which passes to the journal; without it the journal opens
            it.
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
        """Why nothing is written any more."""
        self._on_lost = on_lost
        retry = retry or StorageRetry(LocalStore(path.parent))
        held = held or HeldFile(path, create=not path.exists())
        self._file = AppendOnlyFile(path, retry, held=held)
        self._lines = self._drop_torn_line()
        """How many the file has."""

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
        """Ends the session and closes the journal, or raises the StorageLostError that ended it
        before."""
        self.append(Closed(why=why))
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


class Listener(Protocol):
    """Who is told every event, of earlier sessions too."""

    def on_event(self, event: Event, state: StudyState, replay: bool) -> None:
        """Take in an event; `state` has it already."""


class EventStream:
    """Passes events on, live ones and those of earlier sessions, to the same listeners, in their
    order.

    Args:
        state: has the events of earlier sessions; it takes in every other one here, and nowhere
            else.
    """

    def __init__(
        self, journal: Journal, state: StudyState, listeners: Sequence[Listener] = ()
    ) -> None:
        self._state = state
        self._journal = journal
        self._listeners = list(listeners)
        self._pending: deque[Event] = deque()
        self._emitting = False

    def begin(self, earlier: Sequence[Event], session: Session) -> None:
        """Tell each listener the events of earlier sessions, and that this one has begun."""
        for listener in self._listeners:
            for event in earlier:
                listener.on_event(event, self._state, replay=True)
            listener.on_event(session, self._state, replay=False)

    def emit(self, *events: Event) -> None:
        """Write the events in one call, so that a killed driver leaves all of them or none; then
        tell each of them to state and listeners.

        A listener that has lost its storage is completed by the next session. What a listener emits
        is told when everyone knows of the event that it is told of.
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
        """End the session: the listeners first, so that their files are whole, then the journal.

        Raises:
            StorageLostError: the journal, or a listener's file, ends before the session does.
        """
        closed = Closed(why=why)
        # Who has lost the storage keeps none of the others open.
        with ExitStack() as closing:
            closing.callback(self._journal.end, why)
            for listener in reversed(self._listeners):
                closing.callback(listener.on_event, closed, self._state, replay=False)


class DamagedJournalError(ValueError):
    """A journal is not what was written, before its torn end; says what is whole of it."""

    def __init__(self, what: str, whole: WholePart, study: str) -> None:
        super().__init__(
            f"{what}; whole are {whole}; to go on with those: --resume {argument(study)} --repair, "
            "which writes a copy beside it"
        )
        self.whole = whole


def read_journal(
    path: Path, objective: Objective, *, study: str | None = None
) -> tuple[list[Event], StudyState]:
    """The events of all whole lines of a journal, and what they say; a last line that is still
    being written is left out.

    Args:
        study: its address as it is typed, for the error; its folder if None.

    Raises:
        DamagedJournalError: a line is not what was written, or one is missing. Path, line and field
            are in it, and how to go on with what is whole.
        ValueError: it cannot be read.
    """
    lines = read_lines(path)
    events, state = [], StudyState(objective)
    has_checksums = False
    for number, line in enumerate(lines, start=1):
        try:
            read = read_line(line)
            _check_number(read, number, has_checksums=has_checksums)
            state.apply(read.event)
        except ValueError as error:
            whole = whole_part(lines, objective)
            what = f"{path}: line {number}: {error}"
            raise DamagedJournalError(what, whole, study or str(path.parent)) from None
        has_checksums = has_checksums or read.has_checksum
        events.append(read.event)
    return events, state


def read_lines(path: Path) -> list[bytes]:
    """The whole lines of a journal, without their ends; a ValueError if it cannot be read."""
    try:
        return read_regular(path).split(b"\n")[:-1]
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror})") from None


class Line(NamedTuple):
    """A line of a journal."""

    event: Event
    number: int | None
    """Of the line, as it was written; None where an earlier version has written it."""
    has_checksum: bool


def sealed(event: Event, number: int) -> bytes:
    """Line `number` of a journal, with its checksum."""
    body = json.dumps({**event.to_json(), "n": number}, allow_nan=False)[:-1].encode()
    return b"%b%b%d}\n" % (body, CHECKSUM, zlib.crc32(body))


def read_line(line: bytes) -> Line:
    """What a line has, which is given without its end; a ValueError if it is not what was
    written."""
    body, _, end = line.rpartition(CHECKSUM)
    has_checksum = CHECKSUM_END.fullmatch(end) is not None
    content = parse(line, unique=not has_checksum)
    envelope = {}
    if isinstance(content, dict):
        envelope = {name: content.pop(name) for name in ("n", "crc") if name in content}
    event = read_event(content)
    check(dict[str, Count], envelope)
    if has_checksum and zlib.crc32(body) != envelope["crc"]:
        raise ValueError("it was changed since it was written: its checksum is another one")
    return Line(event, envelope.get("n"), "crc" in envelope)


def _check_number(line: Line, number: int, *, has_checksums: bool) -> None:
    """Refuse a line that is not where it was written: lines before it are missing, or there
    twice."""
    if not line.has_checksum:
        if has_checksums:
            raise ValueError("crc is missing")
        return
    if line.number != number:
        raise ValueError(f"it was written as line {line.number}: lines are missing or repeated")
    if not has_checksums and number > 1 and not isinstance(line.event, Session):
        # An earlier version has written what has none, and this one began with a session.
        raise ValueError("the lines before it have lost their checksums")


@dataclass(frozen=True)
class WholePart:
    """What is whole of a damaged journal: events that go together, in their order."""

    events: list[Event]
    cut: dict[int, Epoch]
    """By trial that has lost an event, the epochs that are left of it."""

    def __str__(self) -> str:
        """For a person: which trials and epochs."""
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
    """What is left of a damaged journal without the lines that are damaged, and without what they
    would have had to come before.

    A trial that has lost an event goes on from the epoch before it. Its epochs must follow each
    other as those of the other trials do: which one was lost, no line says any more.
    """
    found: dict[int, Event] = {}
    for position, line in enumerate(lines, start=1):
        try:
            event, number, _ = read_line(line)
        except ValueError:
            continue
        # Lines that were exchanged go back to where they were written.
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
