"""One driver at a time has a study in a bucket."""

import time

import pytest

from tune_cluster.storage.lease import DRIVER_FILE, AtWork
from tune_cluster.storage.store import S3Store

PERIOD = 0.1


def at_work(bucket, watch=0.5):
    return AtWork(S3Store(f"{bucket}/study"), period=PERIOD, watch=watch)


def wait_for(what):
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_second_driver_is_refused_while_the_first_is_at_work(bucket, capsys):
    # Longer than the first could need for a change on a busy machine.
    with at_work(bucket), pytest.raises(ValueError, match="is at work on the study s3://"):
        at_work(bucket, watch=20).__enter__()
    assert "has not signed off" in capsys.readouterr().err


def test_who_signs_off_leaves_the_study_to_the_next_at_once(bucket, capsys):
    with at_work(bucket):
        pass
    assert S3Store(f"{bucket}/study").files() == {}
    with at_work(bucket, watch=1e9):
        pass
    assert capsys.readouterr().err == ""


def test_a_dead_driver_is_watched_and_followed(bucket, capsys):
    dead = at_work(bucket)
    dead._change()
    with at_work(bucket) as alive:
        assert not alive.taken
    assert "has not signed off" in capsys.readouterr().err


def test_a_driver_that_was_followed_hears_of_it_and_leaves_the_sign_alone(bucket):
    told = []
    with at_work(bucket) as cut_off:
        cut_off.hear(told.append)
        other = at_work(bucket)
        wait_for(lambda: other._change() or cut_off.taken)
        wait_for(lambda: told)
    assert "has taken over the study" in told[0]
    assert len(told) == 1
    assert DRIVER_FILE in S3Store(f"{bucket}/study").files()


def test_of_two_that_begin_together_the_one_that_is_followed_before_it_listens_is_refused(bucket):
    with at_work(bucket) as first:
        other = at_work(bucket)
        wait_for(lambda: other._change() or first.taken)
        with pytest.raises(ValueError, match=r"has taken over the study s3://.*; wait for it"):
            first.hear(lambda taken: None)
