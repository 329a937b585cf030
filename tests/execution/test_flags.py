"""Flags that a command line cannot give: unknown ones, and values of another type."""

import pytest

from tests.execution.test_options import job
from tune_cluster.execution.command_line import parse
from tune_jobs import asha_lr_batch, table_regression


@pytest.mark.parametrize(
    ("of", "argv", "said"),
    [
        (job, ["--trials", "many"], "--trials many: it must be a whole number;"),
        (job, ["--limit=much"], "--limit much: it must be a number;"),
        (job, ["--widths", "8", "wide"], "--widths 8 wide: it must be a whole number, once or"),
        (asha_lr_batch.job, ["--batch-size", "half"], "half: it must be a whole number or auto;"),
        (
            asha_lr_batch.job,
            ["--target", "numbers"],
            r"a number \(did you mean --targets numbers\?",
        ),
        (table_regression.job, ["--target", "price"], r"a number \(did you mean --predict price\?"),
    ],
)
def test_a_value_of_another_type_is_named_with_what_is_allowed(of, argv, said):
    with pytest.raises(ValueError, match=said) as refused:
        parse(of, argv)
    assert "[" not in str(refused.value)


@pytest.mark.parametrize(
    ("argv", "meant"),
    [
        (["--epochs", "9"], "--max-epochs"),
        (["--trial=9", "--nmae", "x"], "--trials --name"),
        (["--quantum-foam"], None),
    ],
)
def test_an_unknown_flag_is_named_with_the_one_that_may_be_meant(argv, meant):
    with pytest.raises(ValueError, match="Unrecognized options: --") as refused:
        parse(job, argv)
    said = str(refused.value)
    assert (f"(did you mean {meant}?)" in said) if meant else "did you mean" not in said
