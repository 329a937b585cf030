"""Metrics in the output of a command."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune_cluster.trial.command.printed import PrintedMetrics


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("epoch 3 val_loss=0.12", {"epoch": 3, "val_loss": 0.12}),
        ("Epoch [0/9]\ttrain_loss: 1e-3", {"epoch": 0, "train_loss": 0.001}),
        ("Epoch: 7/10 - loss: 0.5 - val_acc: .25", {"epoch": 7, "loss": 0.5, "val_acc": 0.25}),
        ("epoch=2, val/loss = -1.5e+2", {"epoch": 2, "val/loss": -150}),
        ('{"val_loss": 0.5, "epoch": 1.5, "note": "x"}', {"val_loss": 0.5, "epoch": 1.5}),
        ("{'eval_loss': 0.5, 'epoch': 1.0}", {"eval_loss": 0.5, "epoch": 1}),
        ("INFO {'eval_loss': 0.5}", {"eval_loss": 0.5}),
        (
            "\x1b[A{'eval_loss': '0.7189', 'note': 'x', 'epoch': '1'}",
            {"eval_loss": 0.7189, "epoch": 1},
        ),
        ("INFO {'eval_loss': '7e-1'}", {"eval_loss": 0.7}),
        ("\x1b[1mval_loss\x1b[0m: \x1b[36m0.25\x1b[0m", {"val_loss": 0.25}),
        ("val_loss=inf", {"val_loss": math.inf}),
        ("10 epochs in all, 3 of an epoch", {}),
        ("12:30:01 Accuracy: 9829/10000, at 10:30, file: 12abc", {}),
        ("lr: 0.1.2, model=resnet50, v1.2 3", {}),
        ("| end of epoch   1 | time: 12.30s | valid loss  5.50", {"epoch": 1}),
        ("", {}),
    ],
)
def test_names_and_numbers_are_read_from_a_line(line, found):
    read = PrintedMetrics().in_line(line)
    assert {name: value for name, value in read.items() if not isinstance(value, str)} == found


def test_a_printed_nan_is_read_as_nan():
    assert math.isnan(PrintedMetrics().in_line("val_loss=nan")["val_loss"])


def test_patterns_of_the_user_replace_all_metrics_but_the_epoch():
    printed = PrintedMetrics([r"valid loss +(?P<val_loss>[\d.]+)", r"ppl +(?P<ppl>[\d.]+)"])
    line = "| end of epoch   2 | lr: 0.1 | valid loss  5.50 | valid ppl   244.69"
    assert printed.in_line(line) == {"val_loss": 5.5, "ppl": 244.69, "epoch": 2}
    assert PrintedMetrics([r"^(?P<epoch>\d+) (?P<a>\S+)"]).in_line("3 x epoch 9") == {"epoch": 3}


def test_a_pattern_of_the_user_sees_no_colours():
    printed = PrintedMetrics([r"^ +(?P<epoch>\d+) +(?P<val_loss>[\d.]+)"])
    assert printed.in_line("   1   \x1b[36m2.3167\x1b[0m  \x1b[32m0.06\x1b[0m") == {
        "epoch": 1,
        "val_loss": 2.3167,
    }


@pytest.mark.parametrize("pattern", ["(", r"loss: ([\d.]+)"])
def test_a_pattern_that_names_no_metric_is_refused(pattern):
    with pytest.raises(ValueError, match="--pattern"):
        PrintedMetrics([pattern])


@given(st.dictionaries(st.text(), st.floats(allow_nan=False) | st.text("abc "), min_size=1))
def test_a_line_of_json_is_read_as_it_is(values):
    read = PrintedMetrics().in_line(json.dumps(values))
    assert {name: read[name] for name in values} == values


@given(st.text())
def test_no_line_is_an_error(line):
    PrintedMetrics().in_line(line)
