"""Check of every node before the first trial: problems are reported with what to do."""

import os
import re
import secrets
from dataclasses import replace
from typing import Any

import pytest
import ray
from ray.experimental.internal_kv import _initialize_internal_kv

from tests.cluster.test_facts import DRIVER, STORAGE
from tune_cluster.cluster.facts import SeenGpus, facts_here, seen_gpus
from tune_cluster.cluster.nodes import Admission, Inspection, Node, inspect

GOOD = Node("a" * 56, "10.0.0.1 (aaaaaaaa)", {"CPU": 4.0}, DRIVER)


def test_a_node_that_is_up_reports_its_facts_and_leaves_no_file(cluster_address, tmp_path):
    inspection = inspect(str(tmp_path / "not" / "there" / "yet"))
    (node,) = inspection.nodes
    assert node.facts.versions == inspection.driver.versions
    assert node.facts.code == inspection.driver.code
    assert node.facts.shared
    inspection.check(1, 0)
    assert inspection.notes() == []
    assert not list(tmp_path.iterdir())


def test_a_node_that_does_not_answer_in_time_is_named(cluster_address, tmp_path):
    inspection = inspect(str(tmp_path), within=0)
    (node,) = inspection.nodes
    said = f"node {node.name} has not answered within 0 s: see `ray status`"
    with pytest.raises(ValueError, match=re.escape(said)):
        inspection.check(1, 0)


def test_a_node_that_answers_just_after_its_time_is_accepted(cluster_address, tmp_path):
    class Answered:
        def options(self, **_):
            return self

        def remote(self, meeting_point, name, *, gpus):
            return ray.put(facts_here(meeting_point, name, gpus=gpus))

    inspection = inspect(str(tmp_path), within=0, remote=lambda ask: Answered())
    inspection.check(1, 0)


def test_a_storage_that_the_driver_cannot_write_to_is_its_own_error(cluster_address, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"--storage-path .*/file: cannot be written"):
        inspect(str(tmp_path / "file"))


def test_each_bad_node_gives_one_line_and_a_good_one_gives_none():
    other = replace(DRIVER, versions={**DRIVER.versions, "torch": "2.14.0"})
    bad = replace(GOOD, name="10.0.0.2 (bbbbbbbb)", facts=other)
    blind = replace(GOOD, name="10.0.0.3 (cccccccc)", facts=replace(DRIVER, shared=False))
    with pytest.raises(ValueError, match="torch") as raised:
        Inspection((GOOD, bad, blind), DRIVER, STORAGE).check(1, 0)
    lines = str(raised.value).splitlines()
    assert [line.split()[1] for line in lines] == ["10.0.0.2", "10.0.0.3"]
    assert "torch 2.14.0, the driver 2.15.0: install" in lines[0]
    assert "/storage/results" in lines[1]


def test_a_node_on_which_no_trial_fits_is_not_checked():
    head = replace(GOOD, resources={"memory": 1e9}, facts=replace(DRIVER, shared=False))
    silent = replace(head, facts=None, silence="has not answered within 30 s")
    inspection = Inspection((head, silent, GOOD), DRIVER, STORAGE)
    inspection.check(1, 0)
    assert inspection.for_trials(1, 0) == [GOOD]
    assert inspection.for_trials(8, 0) == []


def test_broken_gpus_of_a_node_for_trials_are_an_error_and_other_nodes_are_not_checked():
    def node(name, gpus, declared=1.0):
        has = {"CPU": 4.0, "GPU": declared}
        return replace(GOOD, name=name, resources=has, facts=replace(DRIVER, gpus=gpus))

    broken = SeenGpus(("nvidia0",), 0, "the driver is too old")
    real, only_declared = node("a", SeenGpus(("nvidia0",), 1)), node("b", SeenGpus((), 0))
    idle = node("c", broken, declared=0.0)
    inspection = Inspection((real, only_declared, idle), DRIVER, STORAGE)
    inspection.check(1, 0.5)
    assert "b has none" in inspection.gpu_notice(1, 0.5)
    assert Inspection((real, idle), DRIVER, STORAGE).gpu_notice(1, 0.5) == ""
    with pytest.raises(ValueError, match=r"node d has nvidia0, but its torch sees no GPU"):
        Inspection((real, node("d", broken)), DRIVER, STORAGE).check(1, 0.5)


def test_gpus_are_looked_for_on_the_nodes_if_asked_for_and_never_on_the_driver(
    cluster_address, tmp_path
):
    inspection = inspect(str(tmp_path), gpus=True)
    (node,) = inspection.nodes
    assert node.facts is not None, node.silence
    assert node.facts.gpus == seen_gpus()
    assert inspection.driver.gpus is None
    assert inspect(str(tmp_path)).nodes[0].facts.gpus is None


@pytest.mark.parametrize(
    ("skew", "said"), [(-90.0, "90 s behind"), (7.0, "7 s ahead of"), (4.0, None)]
)
def test_a_clock_that_is_wrong_gives_a_note(skew, said):
    inspection = Inspection((replace(GOOD, skew=skew),), DRIVER, STORAGE)
    inspection.check(1, 0)
    assert [said in note for note in inspection.notes()] == [True] * (said is not None)


@pytest.fixture
def admission(cluster_address, tmp_path):
    """Return the facts of a joining node that equals the driver's."""
    # A cluster of another test has taken Ray's store of keys from this process as it ended.
    worker: Any = ray._private.worker.global_worker
    _initialize_internal_kv(worker.gcs_client)
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


def test_a_joining_node_equal_to_the_driver_is_admitted(admission):
    assert admission.problems() == []


def test_a_joining_node_that_differs_from_the_driver_is_refused(admission):
    (problem,) = of_another_python(admission).problems()
    assert "the driver 3.1" in problem


def test_a_node_that_was_checked_before_is_not_checked_again(admission):
    here = ray.get_runtime_context().get_node_id()
    assert replace(of_another_python(admission), asked=frozenset([here])).problems() == []


def test_a_node_admitted_by_one_process_is_checked_by_no_other_of_that_session(admission):
    assert admission.problems() == []
    bad = of_another_python(admission)
    assert bad.problems() == []
    assert len(replace(bad, session="the next one").problems()) == 1


def test_storage_away_from_the_driver_too_admits_a_node_but_leaves_it_unchecked(
    admission,
):
    assert away(admission).problems() == []
    bad = of_another_python(admission)
    assert len(away(bad).problems()) == len(bad.problems()) == 1


def test_a_joining_node_that_does_not_see_the_storage_of_the_driver_is_refused(
    admission, tmp_path, monkeypatch
):
    # From where this process looks, a relative path leads nowhere; Ray's look from where it began.
    path = os.path.relpath(admission.meeting_point)
    deeper = tmp_path.joinpath(*"abcdefgh")
    deeper.mkdir(parents=True)
    monkeypatch.chdir(deeper)
    (problem,) = replace(admission, meeting_point=path).problems()
    assert "does not see" in problem
    assert str(tmp_path) in problem
