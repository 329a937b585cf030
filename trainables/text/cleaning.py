"""Cleaning of texts before they are split into tokens; each step is a hyperparameter."""

from __future__ import annotations

import functools
import html
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainables.text.config import TextConfig

Step = Callable[[str], str]

# Only what is spelt as a tag: "a < b" and "<3" are text.
TAGS = re.compile(
    r"<!--.*?-->|<(script|style)\b.*?</\1\s*>|</?[a-z][a-z0-9]*(\s[^<>]*)?/?>", re.I | re.S
)
# Up to the end of its ASCII characters: in Chinese no space follows.
URLS = re.compile(r"(?:https?://|www\.)[!-;=?-~]+", re.I)
# Not of digits: 1000 is not 100.
REPEATS = re.compile(r"([^\d\s])\1{2,}")

INVISIBLE = (0xAD, 0x200B, 0x200E, 0x200F, 0x2060, 0xFEFF, *range(0x202A, 0x202F))
INVISIBLE += tuple(range(0x2066, 0x206A))
CONTROLS: dict[int, str | None] = {
    **{code: None for code in range(0xA0) if unicodedata.category(chr(code)) == "Cc"},
    **dict.fromkeys(INVISIBLE),
    **dict.fromkeys((0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x85), " "),
}
"""Control characters, soft hyphens, byte order marks and marks of direction, by code; joiners are
kept, which change letters and emoji. Those that break a line become a space."""


def cleaned(texts: Sequence[str], config: TextConfig) -> list[str]:
    """Clean texts as the config's `clean_*`, `unicode_form` and `lowercase` say.

    In this order: broken encodings, tags and then entities (a quoted `&lt;b&gt;` is no tag),
    control characters, Unicode form, URLs, case, repeated characters.
    """
    steps = _steps(config)
    found = []
    for text in texts:
        for step in steps:
            text = step(text)
        found.append(text)
    return found


def _steps(config: TextConfig) -> list[Step]:
    form = config.unicode_form
    chosen: list[tuple[bool, Step]] = [
        (config.clean_encoding, _repaired),
        (config.clean_html, lambda text: html.unescape(TAGS.sub(" ", text))),
        (config.clean_control, lambda text: text.translate(CONTROLS)),
        (form == "nfc", functools.partial(unicodedata.normalize, "NFC")),
        (form == "nfkc", functools.partial(unicodedata.normalize, "NFKC")),
        (config.clean_urls, lambda text: URLS.sub(" ", text)),
        (config.lowercase, str.lower),
        (config.clean_repeats, lambda text: REPEATS.sub(r"\1\1", text)),
    ]
    return [step for wanted, step in chosen if wanted]


def _repaired(text: str) -> str:
    """Return a text whose UTF-8 was read as another encoding as it was meant, such as é for Ã©."""
    import ftfy

    repaired: str = ftfy.fix_encoding(text)
    return repaired
