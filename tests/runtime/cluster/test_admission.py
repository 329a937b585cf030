"""Whether a process may run a trial where it is: asked on nodes that nobody has asked before."""

import secrets
from dataclasses import replace

import pytest
import ray

from tests.runtime.cluster.test_node_check import DRIVER
from tune_jobs.runtime.cluster.admission import Admission
from tune_jobs.runtime.cluster.node_check import tell
from tune_jobs.runtime.storage.places import FULL_BYTES


@pytest.fixture
def admission(cluster_address, tmp_path):
    """Of a node that joins, and has what the driver has."""
    meeting_point = tmp_path / "meeting"
    meeting_point.mkdir()
    driver = tell(str(meeting_point), "driver")
    return Admission(frozenset(), driver, str(tmp_path), str(meeting_point), gpus=0)


def test_a_node_that_has_what_the_driver_has_takes_trials(admission):
    assert admission.harms() == []


def test_one_that_does_not_see_the_storage_says_so(admission, tmp_path):
    elsewhere = replace(admission, meeting_point=str(tmp_path / secrets.token_hex(8)))
    (harm,) = elsewhere.harms()
    assert "does not see" in harm
    assert str(tmp_path) in harm


def test_one_that_was_asked_before_is_not_asked_again(admission, tmp_path):
    here = ray.get_runtime_context().get_node_id()
    asked = replace(admission, asked=frozenset([here]), meeting_point=str(tmp_path / "nowhere"))
    assert asked.harms() == []


@pytest.mark.parametrize(("free", "full"), [(None, False), (FULL_BYTES, False), (0, True)])
def test_storage_without_room_is_full(free, full):
    assert replace(DRIVER, free_bytes=free).full is full
