"""A quota of bytes: how it is written, how it is divided, and when it is too small."""

import pytest

from tune_cluster.storage.quota import Quota, parse_bytes


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("10GB", 10_000_000_000),
        ("10 GB", 10_000_000_000),
        ("10GiB", 10 * 1024**3),
        ("1.5MB", 1_500_000),
        ("500kB", 500_000),
        ("64KiB", 65_536),
        ("1000", 1000),
    ],
)
def test_decimal_and_binary_units_are_told_apart(text, amount):
    assert parse_bytes(text) == amount


@pytest.mark.parametrize("text", ["", "GB", "ten GB", "10 GB more", "-1GB", "0", "10XB", "1..5GB"])
def test_text_that_is_no_amount_of_bytes_is_refused_with_the_allowed_units(text):
    with pytest.raises(ValueError, match=r"--checkpoint-budget must be a number with kB, MB, GB"):
        parse_bytes(text)


@pytest.mark.parametrize(("running", "checkpoint"), [(1, 1000), (2, 1000), (16, 100), (2, None)])
@pytest.mark.parametrize("total", [7000, 10_000, 1_000_000])
def test_the_shares_of_a_quota_never_exceed_it(total, running, checkpoint):
    quota = Quota(total)
    quota.divide(running, checkpoint)
    assert running * quota.per_trial + quota.ended == total
    if checkpoint is None:
        assert quota.ended >= total / 2
    else:
        assert quota.per_trial >= 3 * checkpoint
        assert quota.ended >= checkpoint


def test_a_quota_that_cannot_hold_what_running_trials_need_is_refused_with_both_numbers():
    with pytest.raises(ValueError, match=r"6\.9 kB: 2 trials .* of 1\.0 kB, need 7\.0 kB"):
        Quota(6900).divide(2, 1000)
