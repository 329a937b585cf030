"""Each step of cleaning does what it says, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.text.cleaning import cleaned
from trainables.text.config import TextConfig

NOTHING = {
    "clean_html": False,
    "clean_control": False,
    "unicode_form": "none",
    "lowercase": False,
}


def by(text, **steps):
    (found,) = cleaned([text], TextConfig(**{**NOTHING, **steps}))
    return found


@pytest.mark.parametrize(
    ("step", "before", "after"),
    [
        ({"clean_html": True}, "<p class='x'>A<br/>B</p>", " A B "),
        ({"clean_html": True}, "x<script>var a = 1 < 2;</script>y<!-- no -->z", "x y z"),
        ({"clean_html": True}, "fish &amp; chips &#8364;", "fish & chips €"),
        ({"clean_html": True}, "a quoted &lt;b&gt;", "a quoted <b>"),
        ({"clean_html": True}, "1 < 2 > 0 and <3", "1 < 2 > 0 and <3"),
        ({"clean_control": True}, "a\x00b\u200bc\u00add\ufeffe\r\nf\tg", "abcde  f g"),
        ({"clean_control": True}, "\u0646\u200c\u0645 👩\u200d🚀", "\u0646\u200c\u0645 👩\u200d🚀"),
        ({"unicode_form": "nfkc"}, "ＡＢＣ ﬁ ①", "ABC fi 1"),
        ({"unicode_form": "nfc"}, "e\u0301 ﬁ", "é ﬁ"),
        ({"clean_urls": True}, "see https://a.example/b?c=1 and www.a.example", "see   and  "),
        ({"clean_urls": True}, "网址www.a.example/x。很好", "网址 。很好"),
        ({"lowercase": True}, "ÀB", "àb"),
        ({"clean_repeats": True}, "sooooo goood!!!! 1000", "soo good!! 1000"),
    ],
)
def test_a_step(step, before, after):
    assert by(before, **step) == after
    assert by(before) == before


def test_a_broken_encoding_is_repaired():
    pytest.importorskip("ftfy")
    broken = "café – voilà".encode().decode("cp1252")
    assert broken != "café – voilà"
    assert by(broken, clean_encoding=True) == "café – voilà"


@given(st.text())
def test_the_default_leaves_no_upper_case_and_no_control_character(text):
    (found,) = cleaned([text], TextConfig())
    assert "\x00" not in found
    assert found == found.lower()
