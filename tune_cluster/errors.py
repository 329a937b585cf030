"""Errors as lines on stderr, whatever the encoding of the terminal or file."""

from __future__ import annotations

import codecs
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import NoReturn

from rich.console import Console

from tune_cluster.plain_text import lines

IN_ASCII = {"·": "-", "…": "...", "±": "+-", "×": "x", "─": "-", "━": "=", "│": "|"}
"""ASCII for characters that this package and rich print; any other becomes an escape."""


def print_error(error: str) -> None:
    """Print an error, on one or several lines."""
    console = Console(stderr=True)
    console.print(lines(f"error: {error}"), soft_wrap=True, highlight=False, markup=False)


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Turn invalid input within the `with` block into one line and exit code 2."""
    accept_all_characters()
    try:
        yield
    except (OSError, ValueError) as error:
        end_with(error)


def end_with(error: OSError | ValueError) -> NoReturn:
    """Print an error of the user, and end the process with exit code 2.

    If the reader of the output has gone, as in `| head`, end with code 1 and no message, as rich
    does.
    """
    if isinstance(error, BrokenPipeError) and _reader_gone():
        # Python flushes stdout once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    print_error(message_of(error))
    sys.exit(2)


def _reader_gone() -> bool:
    """Return whether standard output has lost its reader; a broken pipe may also be another one."""
    stdout = select.poll()
    stdout.register(sys.stdout.fileno(), select.POLLOUT)
    return any(state & (select.POLLERR | select.POLLHUP) for _, state in stdout.poll(0))


def message_of(error: OSError | ValueError) -> str:
    """Return the message of an error; of a system error with the path, without the number."""
    if isinstance(error, OSError) and error.strerror is not None and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def accept_all_characters() -> None:
    """Let no character end the process because the encoding of the terminal or file lacks it."""
    codecs.register_error("escape", _replaced)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="escape")


def _replaced(error: UnicodeError) -> tuple[str | bytes, int]:
    assert isinstance(error, UnicodeEncodeError)
    character = error.object[error.start]
    if character in IN_ASCII:
        return IN_ASCII[character], error.start + 1
    if "\u2800" <= character <= "\u28ff":
        # Characters of a spinner.
        return "*", error.start + 1
    return codecs.backslashreplace_errors(error)
