"""A line of a study's journal: an event of `tune_cluster.study.events`, a number, a checksum."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from typing import NamedTuple

from search_spaces.trial_events import Count, Decision, Ended, Event, Result
from tune_cluster.storage.integrity import check, parse
from tune_cluster.study.events import SavedCheckpoint, Started, read_event

NUMBER, CHECKSUM = b', "n": ', b', "crc": '
"""Separators before the number of a line, and before the checksum, which ends it."""

CHECKSUM_END = re.compile(rb"\d{1,10}}")

OF_EACH_EPOCH: Mapping[bytes, type[Event]] = {
    b'{"event": "%b"' % kind.name.encode(): kind
    for kind in (Result, SavedCheckpoint, Decision, Started, Ended)
}
"""Events of which a journal has thousands, by the beginning of a line. None has a field of any
type: that could be NaN, which `read_line` refuses."""


class Line(NamedTuple):
    """A parsed line of a journal."""

    event: Event
    number: int | None
    """Number of the line when it was written; None if an earlier version has written it."""
    has_checksum: bool


def sealed(event: Event, number: int) -> bytes:
    """Return line `number` of a journal, with its checksum."""
    body = json.dumps({**event.to_json(), "n": number}, allow_nan=False)[:-1].encode()
    return b"%b%b%d}\n" % (body, CHECKSUM, zlib.crc32(body))


def read_sealed(line: bytes, number: int) -> Event | None:
    """Return the event of line `number` in half the time of `read_line`; None if only that can tell
    what the line is, or what is wrong with it.

    The checksum comes first. If it is right, the line has the form in which `sealed` writes, and
    its fields are parsed and checked in one call, without a dictionary of them.

    Args:
        line: the line without its newline.
        number: number that it must have.
    """
    body, _, checksum = line.rpartition(CHECKSUM)
    head, _, written = body.rpartition(NUMBER)
    if checksum != b"%d}" % zlib.crc32(body) or written != b"%d" % number:
        return None
    name, _, fields = head.partition(b", ")
    kind = OF_EACH_EPOCH.get(name)
    try:
        return None if kind is None else kind.from_text(b"{%b}" % fields)
    except ValueError:
        return None


def read_line(line: bytes) -> Line:
    """Parse a line, given without its newline; raise a ValueError if it was changed since it was
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
