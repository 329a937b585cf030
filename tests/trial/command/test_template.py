"""The words of a command with values in them."""

import shlex

from hypothesis import given
from hypothesis import strategies as st

from tune_cluster.trial.command.template import names_in, rendered


def test_a_value_takes_the_place_of_its_name():
    words = shlex.split("train --lr {lr} --batch-size={batch-size} {out}/a --amp {amp}")
    values = {"lr": 1e-4, "batch_size": 32, "out": "/tmp/x y", "amp": True}
    assert rendered(words, values) == [
        *("train", "--lr", "0.0001", "--batch-size=32", "/tmp/x y/a", "--amp", "true"),
    ]


def test_a_name_without_a_value_takes_its_flag_along():
    words = ["train", "-m", "{m}", "--n={n}", "opt.k={k}", "--all", "{lr}"]
    assert rendered(words, {"lr": 1}) == ["train", "--all", "1"]
    assert rendered(["train", "sub", "{m}"], {}) == ["train", "sub"]


def test_doubled_braces_are_braces():
    assert rendered(["awk", "{{print $1}}", "{{{a}}}"], {"a": 1}) == ["awk", "{print $1}", "{1}"]
    assert names_in(["{{a}}", "{b}", "{a.b-c}", "{}", "{1}"]) == {"b", "a.b_c"}


@given(st.lists(st.text(alphabet=st.characters(exclude_characters="{}"))))
def test_words_without_braces_stay_as_they_are(words):
    assert rendered(words, {"lr": 1}) == words
