"""Display of text that others may have chosen: names, messages, values of hyperparameters.

A name may contain control characters of a terminal (ESC), a change of text direction (U+202E), or a
newline that starts a line of its own; TensorBoard renders Markdown, and matplotlib TeX. Here each
of these is shown as plain text, and a command can be pasted whatever it contains.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

UNDERSCORE = r"(?<![^\W_])_|_(?![^\W_])"
"""Underscore that is not between two letters or digits: Markdown may read it as emphasis."""

MARKDOWN = re.compile(rf"[\\`*{{}}\[\]<>()#|!&~]|{UNDERSCORE}")
"""Characters with a meaning in Markdown and HTML."""

IN_JSON = re.compile(rf"[`*<>()#|!&~]|{UNDERSCORE}")
"""The same characters, except those that JSON uses outside of strings."""


def one_line(text: object) -> str:
    r"""Return a text in one line, unprintable characters as Python writes them: `\n`, `\u202e`."""
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in shown
    )


def lines(text: str) -> str:
    """Return the same for a text with several lines."""
    return "\n".join(map(one_line, text.split("\n")))


def pasted(words: Sequence[str]) -> str:
    """Return a command in one line that can be pasted into a shell."""
    return " ".join(map(argument, words))


def argument(word: str) -> str:
    r"""Return a quoted word of a command; unprintable ones in the form of bash and zsh, `$'\n'`."""
    if word.isprintable():
        return shlex.quote(word)
    return "$'" + "".join(map(_in_ansi_c_quotes, word)) + "'"


def _in_ansi_c_quotes(char: str) -> str:
    if char in "\\'":
        return f"\\{char}"
    if char.isprintable():
        return char
    # JSON may contain halves of surrogate pairs, which encode no byte of a command line.
    errors = "surrogateescape" if "\udc80" <= char <= "\udcff" else "surrogatepass"
    # By bytes, so that neither the locale nor following digits change the meaning.
    return "".join(f"\\{byte:03o}" for byte in char.encode("utf-8", errors))


def in_markdown(text: object) -> str:
    """Return a text for a line or a table cell in Markdown."""
    return MARKDOWN.sub(lambda found: f"&#{ord(found[0])};", one_line(text))


def json_in_markdown(content: Mapping[str, Any]) -> str:
    """Return equivalent JSON in one line that Markdown shows unchanged."""
    return IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(content))


def in_picture(text: object) -> str:
    """Return a text for a label of matplotlib, which reads text between two `$` as TeX."""
    return one_line(text).replace("$", r"\$")
