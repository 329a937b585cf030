"""Damage to the files of a study, as a disk, a person or a half-done copy leaves it."""

import json
import os
import socket
from pathlib import Path

from hypothesis import strategies as st

OTHER_VALUES = (
    *(None, "", "x", -1, 0, 999, 1.5, True, [], {}, [None], 10**30, 1e300),
    *("\0", "-1", "../../x", {"a": {"b": {}}}),
)


def _flipped(data, at, value):
    at = at % max(len(data), 1)
    return data[:at] + bytes([value]) + data[at + 1 :]


def _zeros(data, at, length):
    at = at % max(len(data), 1)
    return data[:at] + bytes(min(length, len(data) - at)) + data[at + length :]


def _lines(data):
    return data.splitlines(keepends=True)


def without_line(data, at, _):
    lines = _lines(data)
    return b"".join(lines[: at % len(lines)] + lines[at % len(lines) + 1 :]) if lines else data


def _line_twice(data, at, to):
    lines = _lines(data)
    if lines:
        lines.insert(to % (len(lines) + 1), lines[at % len(lines)])
    return b"".join(lines)


def _lines_exchanged(data, at, to):
    lines = _lines(data)
    if lines:
        at, to = at % len(lines), to % len(lines)
        lines[at], lines[to] = lines[to], lines[at]
    return b"".join(lines)


def _line_cut_off(data, at, length):
    lines = _lines(data)
    if lines:
        line = lines[at % len(lines)]
        lines[at % len(lines)] = line[: length % len(line)] + b"\n"
    return b"".join(lines)


def _nested(data, at, depth):
    at = at % max(len(data), 1)
    return data[:at] + b"[" * (depth * 50) + data[at:]


def cut_off(data, at, _):
    return data[: at % max(len(data), 1)]


def _longer(data, at, length):
    return data + b"\0" * (length % 5000) + b"\n" * (at % 2)


def _wild_text(data, at, _):
    return data[: at % max(len(data), 1)] + b"\xff\xfe" + data[at % max(len(data), 1) :]


BYTES = (
    *(without_line, _line_twice, _lines_exchanged, _line_cut_off, _nested, cut_off, _zeros),
    *(_longer, _wild_text),
)


def _places(value, path=()):
    """The paths of all values in a value of JSON."""
    yield path
    if isinstance(value, (dict, list)):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for name, below in inner:
            yield from _places(below, (*path, name))


def changed_json(text, number, other):
    """The JSON text with one of its fields changed, removed or there twice."""
    value = json.loads(text)
    (*_,) = places = [path for path in _places(value) if path]
    if not places:
        return json.dumps(other).encode()
    *above, name = places[number % len(places)]
    holder = value
    for part in above:
        holder = holder[part]
    if other == "removed":
        del holder[name]
    elif other == "twice" and isinstance(holder, dict):
        marker = "\u0001twice"
        holder[marker] = -1
        return json.dumps(value).replace(json.dumps(marker), json.dumps(name)).encode()
    elif other == "NaN":
        holder[name] = float("nan")
    elif other == "nested":
        holder[name] = "\u0001nested"
        return json.dumps(value).replace(json.dumps("\u0001nested"), "[" * 9000).encode()
    else:
        holder[name] = other
    return json.dumps(value).encode()


numbers = st.integers(0, 2**16)
others = st.sampled_from((*OTHER_VALUES, "removed", "removed", "removed", "twice", "NaN", "nested"))
byte_damages = st.tuples(st.just("bytes"), st.sampled_from(BYTES), numbers, numbers)
flips = st.tuples(st.just("bytes"), st.just(_flipped), numbers, st.integers(0, 255))
json_damages = st.tuples(st.just("json"), numbers, numbers, others)
KINDS = (
    *("folder", "circle", "link", "dangling", "FIFO", "socket", "gone", "empty", "unreadable"),
    *("picture", "list", "number"),
)
OTHER_CONTENTS = {
    "empty": b"",
    "picture": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\n",
    "list": b"[]\n",
    "number": b"7\n",
}
"""Contents that another program has left."""

kinds = st.tuples(st.just("kind"), st.sampled_from(KINDS))
damages = st.one_of(byte_damages, flips, json_damages, json_damages, kinds)


def do_damage(path, damage):
    """Damages the file, which may have other names: they keep the whole one."""
    what, *how = damage
    if what == "kind":
        _replace(path, *how)
        return
    data = path.read_bytes()
    if what == "bytes":
        act, *numbers_ = how
        data = act(data, *numbers_)
    else:
        data = _change_fields(path, data, *how)
    path.unlink()
    path.write_bytes(data)


def _change_fields(path, data, at, number, other):
    # Ray Tune has an object a line in a `.json` too.
    by_line = path.suffix == ".jsonl" or (path.suffix == ".json" and data.count(b"\n{"))
    if path.suffix == ".json" and not by_line:
        return changed_json(data, number, other)
    if by_line:
        lines = _lines(data)
        at = at % len(lines)
        lines[at] = changed_json(lines[at], number, other) + b"\n"
        return b"".join(lines)
    return _flipped(data, at, number % 256)


def _replace(path, kind):
    content = path.read_bytes()
    path.unlink()
    if kind == "folder":
        path.mkdir()
        (path / "below").write_bytes(content)
    elif kind == "circle":
        path.symlink_to(path.name)
    elif kind == "link":
        path.symlink_to("/etc/hostname")
    elif kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "FIFO":
        os.mkfifo(path)
    elif kind == "socket":
        # A socket's path may have 107 characters only.
        before = Path.cwd()
        os.chdir(path.parent)
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
        os.chdir(before)
    elif kind in OTHER_CONTENTS:
        path.write_bytes(OTHER_CONTENTS[kind])
    elif kind == "unreadable":
        path.write_bytes(content)
        path.chmod(0)
