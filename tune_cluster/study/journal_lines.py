"""The lines of a journal: what says that one is as it was written, and which of many are."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from tune_cluster.storage.integrity import parse
from tune_cluster.study.events import Epoch, Event, check_event
from tune_cluster.study.order import Order

CHECKSUM = b', "crc": '
"""Stands before the checksum, which ends a line."""

CHECKSUM_END = re.compile(rb"\d{1,10}}")

CLOSE = 1e-6
"""Between two fractions of an epoch that are the same one."""

NAMED = 5
"""Trials that are named one by one."""


def sealed(event: Event) -> bytes:
    """A line with its checksum."""
    body = json.dumps(event, allow_nan=False)[:-1].encode()
    return b"%b%b%d}\n" % (body, CHECKSUM, zlib.crc32(body))


def read_line(line: bytes) -> Event:
    """The event of a line, with the line's number and checksum where it has them.

    Args:
        line: without its end.

    Raises:
        ValueError: it is not what was written.
    """
    body, _, end = line.rpartition(CHECKSUM)
    has_checksum = CHECKSUM_END.fullmatch(end) is not None
    event: Event = parse(line, unique=not has_checksum)
    check_event(event)
    if has_checksum and zlib.crc32(body) != event["crc"]:
        raise ValueError("it was changed since it was written: its checksum is another one")
    return event


def check_number(event: Event, number: int, *, has_checksums: bool) -> None:
    """Refuse a line that is not where it was written.

    Args:
        event: with the line's number and checksum, where it has them.
        number: of the line in the journal.
        has_checksums: whether the line before it has one; then this one has.

    Raises:
        ValueError: lines before it are missing, or are there twice.
    """
    if "crc" not in event:
        if has_checksums:
            raise ValueError("crc is missing")
        return
    if event.get("n") != number:
        raise ValueError(f"it was written as line {event.get('n')}: lines are missing or repeated")
    if not has_checksums and number > 1 and event["event"] != "session":
        # An earlier version has written what has none, and this one began with a session.
        raise ValueError("the lines before it have lost their checksums")


@dataclass(frozen=True)
class Whole:
    """What is whole of a damaged journal: events that go together, in their order."""

    events: list[Event]
    cut: dict[int, Epoch]
    """By trial that has lost an event, the epochs that are left of it."""

    def __str__(self) -> str:
        """For a person: which trials and epochs."""
        trials = [event["trial"] for event in self.events if event["event"] == "suggested"]
        ranges: list[list[int]] = []
        for trial in trials:
            if trial in self.cut:
                continue
            if ranges and ranges[-1][1] == trial - 1:
                ranges[-1][1] = trial
            else:
                ranges.append([trial, trial])
        told = [f"trials {a} to {b}" if a < b else f"trial {a}" for a, b in ranges]
        told += [f"trial {t} to its epoch {self.cut[t]}" for t in trials if self.cut.get(t)]
        if len(told) > NAMED:
            told = [*told[: NAMED - 1], f"and {len(told) - NAMED + 1} more"]
        epochs = sum(event["event"] == "result" for event in self.events)
        return f"{', '.join(told)} ({epochs} epochs in all)" if told else "none of its trials"


def whole_part(lines: Sequence[bytes]) -> Whole:
    """What is left of a damaged journal without the lines that are damaged, and without what they
    would have had to come before.

    A trial that has lost an event goes on from the epoch before it. Its epochs must follow each
    other as those of the other trials do: which one was lost, no line says any more.
    """
    found: dict[int, Event] = {}
    for number, line in enumerate(lines, start=1):
        try:
            event = read_line(line)
        except ValueError:
            continue
        # Lines that were exchanged go back to where they were written.
        found.setdefault(event.get("n", number), event)
    in_order = [found[number] for number in sorted(found)]
    step = min((event["epoch"] for event in in_order if event["event"] == "result"), default=1)
    order, kept = Order(), []
    epochs: dict[int, list[Epoch]] = {}
    cut: dict[int, Epoch] = {}
    for event in in_order:
        trial = event.get("trial")
        if trial in cut:
            continue
        try:
            is_result = event["event"] == "result"
            if is_result and abs(event["epoch"] - _last(epochs, trial) - step) > CLOSE:
                raise ValueError("an epoch before it is lost")
            order.take(event)
        except ValueError:
            if trial is not None and event not in kept:
                cut[trial] = _last(epochs, trial)
            continue
        kept.append(event)
        if is_result:
            epochs.setdefault(event["trial"], []).append(event["epoch"])
        elif event["event"] == "epochs_lost":
            had = epochs.get(event["trial"], [])
            epochs[event["trial"]] = [epoch for epoch in had if epoch < event["first"]]
    return Whole(kept, cut)


def _last(epochs: dict[int, list[Epoch]], trial: int | None) -> Epoch:
    return max(epochs.get(trial, []), default=0) if trial is not None else 0
