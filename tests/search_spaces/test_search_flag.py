from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.search_flag import parameter_of, space_of


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("lr=log:1e-4:1e-1", {"low": 1e-4, "high": 0.1, "scale": "log", "integer": False}),
        ("dropout=0:0.5", {"low": 0.0, "high": 0.5, "scale": "linear"}),
        ("dropout=linear:0:0.5", {"low": 0.0, "high": 0.5, "scale": "linear"}),
        ("layers=int:1:6", {"low": 1, "high": 6, "integer": True, "scale": "linear"}),
        ("width=logint:16:512", {"low": 16, "high": 512, "integer": True, "scale": "log"}),
        ("batch-size=32,64", {"name": "batch_size", "values": (32, 64), "ordered": True}),
        ("size=64, 32", {"values": (64, 32), "ordered": False}),
        ("optimizer=sgd,adam", {"values": ("sgd", "adam"), "ordered": False}),
        ("amp=true,false", {"values": (True, False), "ordered": False}),
        ("path=a:b,c", {"values": ("a:b", "c")}),
        ("sizes=(512,256),(128,)", {"values": ((512, 256), (128,)), "ordered": False}),
        ("sizes=[[1, 2], [3]], (4)", {"values": (((1, 2), (3,)), 4)}),
        ("path=a(b,c),d]", {"values": ("a(b,c)", "d]")}),
        ("m=0.5:0.9 if optimizer=sgd,x", {"condition": ("optimizer", ("sgd", "x"))}),
        ("m=1,2 if batch-size=32", {"condition": ("batch_size", (32,))}),
    ],
)
def test_a_text_is_a_range_or_values(text, found):
    parameter = parameter_of(text)
    assert {name: getattr(parameter, name) for name in found} == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lr", "give lr=log"),
        ("=1,2", "give lr=log"),
        ("lr=log:a:b", "a range is"),
        ("lr=1:2:3:4", "a range is"),
        ("lr=lgo:1:2", "a range is"),
        ("lr=log:0:1", "above 0"),
        ("lr=2:1", "must be below"),
        ("layers=int:1:2.5", "whole ends"),
        ("m=1,2 if", "after `if`"),
        ("m=1,2 if sgd", "after `if`"),
        ("m=1,1", "given twice"),
    ],
)
def test_a_text_that_is_no_range_and_no_list_is_refused_with_the_text(text, said):
    with pytest.raises(ValueError, match=said) as refused:
        parameter_of(text)
    assert text in str(refused.value)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([], "no hyperparameter is given"),
        (["lr=1:2", "lr=1,2"], "searched twice"),
        (["m=1:2 if optimizer=sgd"], "optimizer"),
    ],
)
def test_texts_that_make_no_space_are_refused(texts, said):
    with pytest.raises(ValueError, match=said):
        space_of(texts)


@given(st.text(max_size=20))
def test_any_text_is_a_hyperparameter_or_a_value_error(text):
    with suppress(ValueError):
        parameter = parameter_of(f"lr={text}")
        assert 0 <= parameter.unit(parameter.default) <= 1
