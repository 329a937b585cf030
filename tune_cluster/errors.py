"""Errors as lines on stderr, whatever characters the terminal or file takes."""

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
"""What we and rich print beside ASCII; anything else becomes its escape."""


def print_error(error: str) -> None:
    """Prints an error, on one line or on the lines that it has."""
    console = Console(stderr=True)
    console.print(lines(f"error: {error}"), soft_wrap=True, highlight=False, markup=False)


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Within, bad input is one line, and ends the process with code 2."""
    accept_all_characters()
    try:
        yield
    except (OSError, ValueError) as error:
        end_with(error)


def end_with(error: OSError | ValueError) -> NoReturn:
    """Print an error that a person has made, and end the process with exit code 2; where the
    reader of its output has gone, as `| head` does, with 1 and without a word, as rich does."""
    if isinstance(error, BrokenPipeError) and _reader_gone():
        # Python flushes stdout once more as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    print_error(message_of(error))
    sys.exit(2)


def _reader_gone() -> bool:
    """Whether nobody reads standard output any more: a connection may have broken instead."""
    stdout = select.poll()
    stdout.register(sys.stdout.fileno(), select.POLLOUT)
    return any(state & (select.POLLERR | select.POLLHUP) for _, state in stdout.poll(0))


def message_of(error: OSError | ValueError) -> str:
    """The message of an error; of one of the system the path too, but not its number."""
    if isinstance(error, OSError) and error.strerror is not None and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def accept_all_characters() -> None:
    """No character ends this process because the terminal's or file's encoding lacks it."""
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
        # Of a spinner.
        return "*", error.start + 1
    return codecs.backslashreplace_errors(error)
