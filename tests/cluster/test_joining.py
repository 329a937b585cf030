"""Whether a process may run a trial where it is: asked on nodes that nobody has asked before."""

import os
import secrets
from dataclasses import replace

import pytest
import ray
from ray.experimental.internal_kv import _initialize_internal_kv

from tune_cluster.cluster.facts import facts_here
from tune_cluster.cluster.joining import Admission


@pytest.fixture
def admission(cluster_address, tmp_path):
    """Of a node that joins, and has what the driver has."""
    # A cluster of another test has taken Ray's store of keys from this process as it ended.
    _initialize_internal_kv(ray._private.worker.global_worker.gcs_client)
    meeting_point = tmp_path / "meeting"
    meeting_point.mkdir()
    return Admission(
        frozenset(),
        facts_here(str(meeting_point), "driver"),
        driver_node=ray.get_runtime_context().get_node_id(),
        session=secrets.token_hex(8),
        storage=str(tmp_path),
        meeting_point=str(meeting_point),
        gpus=0,
    )


def of_another_python(admission):
    versions = {**admission.driver.versions, "Python": "3.1"}
    return replace(admission, driver=replace(admission.driver, versions=versions))


def away(admission):
    return replace(admission, meeting_point=f"{admission.meeting_point}/nowhere")


def test_a_node_that_has_what_the_driver_has_takes_trials(admission):
    assert admission.harms() == []


def test_one_that_has_not_says_so(admission):
    (harm,) = of_another_python(admission).harms()
    assert "the driver 3.1" in harm


def test_one_that_was_asked_before_is_not_asked_again(admission):
    here = ray.get_runtime_context().get_node_id()
    assert replace(of_another_python(admission), asked=frozenset([here])).harms() == []


def test_one_that_a_process_has_found_good_is_asked_by_no_other_of_that_session(admission):
    assert admission.harms() == []
    bad = of_another_python(admission)
    assert bad.harms() == []
    assert len(replace(bad, session="the next one").harms()) == 1


def test_storage_that_is_away_from_the_driver_too_is_waited_for_and_nobody_is_known_by_that(
    admission,
):
    assert away(admission).harms() == []
    bad = of_another_python(admission)
    assert len(away(bad).harms()) == len(bad.harms()) == 1


def test_one_that_does_not_see_what_the_drivers_node_sees_says_so(admission, tmp_path, monkeypatch):
    # From where this process looks, a relative path leads nowhere; Ray's look from where it began.
    path = os.path.relpath(admission.meeting_point)
    deeper = tmp_path.joinpath(*"abcdefgh")
    deeper.mkdir(parents=True)
    monkeypatch.chdir(deeper)
    (harm,) = replace(admission, meeting_point=path).harms()
    assert "does not see" in harm
    assert str(tmp_path) in harm
