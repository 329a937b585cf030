"""Text that others may have chosen, as it is shown: names, messages, values of hyperparameters.

A name may hold what a terminal obeys (ESC), what turns the order of a line around (U+202E), or a
newline that begins a line of its own; TensorBoard renders Markdown, and a picture TeX. Here each of
these is text and nothing else, and a command can be pasted whatever is in it.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

UNDERSCORE = r"(?<![^\W_])_|_(?![^\W_])"
"""That is not between two letters or digits: what Markdown may take for emphasis."""

MARKDOWN = re.compile(rf"[\\`*{{}}\[\]<>()#|!&~]|{UNDERSCORE}")
"""What Markdown and HTML take for more than text."""

IN_JSON = re.compile(rf"[`*<>()#|!&~]|{UNDERSCORE}")
"""The same, but for what is a part of JSON outside of a string too."""


def one_line(text: object) -> str:
    r"""A text in one line, what cannot be printed as Python writes it: `\n`, `\x1b`, `\u202e`."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(text)
    )


def lines(text: str) -> str:
    """The same of a text that may have several lines."""
    return "\n".join(map(one_line, text.split("\n")))


def pasted(words: Sequence[str]) -> str:
    """A command as it can be pasted into a shell, in one line."""
    return " ".join(map(argument, words))


def argument(word: str) -> str:
    r"""A word of a command, quoted; with what cannot be printed as bash and zsh read `$'\n'`."""
    if word.isprintable():
        return shlex.quote(word)
    return "$'" + "".join(map(_in_ansi_c_quotes, word)) + "'"


def _in_ansi_c_quotes(char: str) -> str:
    if char in "\\'":
        return f"\\{char}"
    if char.isprintable():
        return char
    # JSON may have halves of characters that stand for no byte of a command line.
    errors = "surrogateescape" if "\udc80" <= char <= "\udcff" else "surrogatepass"
    # By bytes: neither the locale nor the digits that follow change what they are.
    return "".join(f"\\{byte:03o}" for byte in char.encode("utf-8", errors))


def in_markdown(text: object) -> str:
    """A text for a line or a cell of a table in Markdown."""
    return MARKDOWN.sub(lambda found: f"&#{ord(found[0])};", one_line(text))


def json_in_markdown(content: Mapping[str, Any]) -> str:
    """JSON in one line that Markdown leaves as it is, and that is the same JSON."""
    return IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(content))


def in_picture(text: object) -> str:
    """A text for a label of matplotlib, which takes what is between two `$` for TeX."""
    return one_line(text).replace("$", r"\$")
