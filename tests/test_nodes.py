"""Studies on several nodes, some of which are no good, and some of which join later."""

import os
import re
import subprocess
import sys

import pytest
from ray.cluster_utils import Cluster

from tests.conftest import PATIENCE, ROOT, journal_of
from tests.gate import TRIALS, Gated
from tests.joining import SMALL, joined, own_mounts
from tune_cluster.execution.ray_tune.settings import TUNE_FOLDER


@pytest.fixture(scope="module")
def cluster(temporary):
    """A head that only drives, and a node that is as it should be."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **SMALL})
    try:
        with joined(cluster):
            yield cluster
    finally:
        cluster.shutdown()


def preflight(folder, *arguments):
    """`(exit code, output, errors)`."""
    done = subprocess.run(
        [sys.executable, "-m", "tune_cluster", "preflight", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
    )
    return done.returncode, done.stdout, done.stderr


def with_another_torch(folder):
    """Environment of a node whose torch differs from the driver's."""
    installed = folder / "torch-1.0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 1.0\n")
    return {"PYTHONPATH": str(folder)}


@pytest.mark.long
def test_nodes_that_would_harm_a_trial_are_named_before_it_starts_and_no_file_is_left(
    cluster, run_job, tmp_path
):
    own_mounts()
    storage = tmp_path / "results"
    storage.mkdir()
    code, output, errors = preflight(tmp_path, "--address", cluster.address)
    assert code == 0, output + errors
    assert "room for 1 trials at once" in output
    verdicts = [line.split()[-1] for line in output.splitlines()[1:-1]]
    assert sorted(verdicts) == ["fits", "yes"], "none fits on the head"

    environment = with_another_torch(tmp_path / "other")
    with (
        joined(cluster, hidden=storage) as hidden,
        joined(cluster, environment=environment) as other,
    ):
        code, output, errors = preflight(tmp_path, "--address", cluster.address)
        assert code == 2, output + errors
        verdicts = [line.split()[-1] for line in output.splitlines()[1:]]
        assert sorted(verdicts) == ["fits", "no", "no", "yes"]
        refused = sorted(errors.splitlines())
        code, output = run_job("--smoke-test", "--name", "refused", address=cluster.address)
        assert code == 2, output
        assert sorted(output.splitlines()) == refused
    assert len(refused) == 2
    assert any(re.search(rf"node .*{other}.* has torch 1.0", line) for line in refused)
    assert any(f"{hidden}) does not see" in line and str(storage) in line for line in refused)
    assert not list(storage.iterdir()), "nor is the name taken"


def most_at_once(events):
    """The most trials that ran at the same time."""
    running, most = set(), 0
    for event in events:
        if event["event"] == "started":
            running.add(event["trial"])
        elif event["event"] == "ended":
            running.discard(event["trial"])
        most = max(most, len(running))
    return most


@pytest.mark.long
def test_a_node_that_joins_lets_more_trials_run_at_once(cluster, start_job, tmp_path):
    study = Gated(start_job, tmp_path, address=cluster.address)
    with joined(cluster, cpus=2) as node:
        study.wait_for("started", times=3)
        study.open()
        output = study.ended()
    events = journal_of(study.directory)
    ended = [event for event in events if event["event"] == "ended"]
    assert sorted(event["trial"] for event in ended) == list(range(TRIALS))
    assert {event["status"] for event in ended} == {"finished"}
    assert most_at_once(events) == 3
    assert node in {event["node"] for event in events if event["event"] == "result"}
    widths = [event["event"] for event in events if event["event"] in ("width", "started")]
    assert widths.index("width") == 1, "until then one at a time"
    assert [event["trials"] for event in events if event["event"] == "width"] == [3]
    assert output.count("width      3 trials at once, 1 before") == 1


@pytest.mark.long
def test_a_node_that_joins_without_the_storage_gets_no_trial_and_fails_none(
    cluster, start_job, tmp_path
):
    own_mounts()
    study = Gated(start_job, tmp_path, address=cluster.address)
    storage = study.directory.parent
    with joined(cluster, cpus=2, hidden=storage) as node:
        study.wait_for("node_refused")
        study.open()
        output = study.ended()
    events = journal_of(study.directory)
    assert {event["status"] for event in events if event["event"] == "ended"} == {"finished"}
    assert len({event["trial"] for event in events if event["event"] == "ended"}) == TRIALS
    assert node not in {event["node"] for event in events if event["event"] == "result"}
    kinds = {event["event"] for event in events}
    assert not kinds & {"retried", "restored"}, "it is no fault of the trials"
    (refused,) = (event for event in events if event["event"] == "node_refused")
    assert refused["node"] == node
    assert str(storage) in refused["reasons"][0]
    assert output.count(f"refused    node {node}, which has joined: it does not see") == 1
    assert not list(study.directory.rglob("nodes-*")), "nothing of the question is left"


@pytest.mark.long
def test_a_node_that_has_joined_stays_admitted_when_the_storage_is_away_later(
    cluster, start_job, tmp_path
):
    # Each trial has a process of its own.
    study = Gated(start_job, tmp_path, "--no-reuse", address=cluster.address)
    with joined(cluster, cpus=2):
        study.wait_for("started", times=3)
        # The folder that a joining node has to see; the whole study would delay the driver.
        (seen,) = (study.directory / TUNE_FOLDER).glob("nodes-*")
        seen.rename(tmp_path / "away")
        study.open()
        study.ended()
    events = journal_of(study.directory)
    assert "node_refused" not in {event["event"] for event in events}
    ended = [event for event in events if event["event"] == "ended"]
    assert sorted(event["trial"] for event in ended) == list(range(TRIALS))
    assert {event["status"] for event in ended} == {"finished"}


@pytest.mark.long
def test_a_study_whose_only_node_is_refused_ends_with_the_reason_and_the_resume_command(
    cluster, start_job, tmp_path
):
    own_mounts()
    with joined(cluster, cpus=2):
        arguments = ("--cpus-per-trial", "2")
        study = Gated(start_job, tmp_path, *arguments, address=cluster.address)
    with joined(cluster, cpus=2, hidden=study.directory.parent) as node:
        output, _ = study.process.communicate(timeout=PATIENCE)
    assert study.process.returncode == 1, output
    why = f"there is no node for trials but node {node}, which has joined: it does not see what"
    last = output.splitlines()[-1]
    assert last.startswith(f"error: {why}")
    assert f" --resume {study.directory.relative_to(tmp_path)}" in last
    assert journal_of(study.directory)[-1]["why"] == "nodes"
    assert not list(study.directory.rglob("nodes-*")), "nothing of the question is left"


@pytest.mark.slow
def test_a_trial_that_fits_nowhere_is_an_error_with_both_sizes(cluster_address, tmp_path):
    code, output, errors = preflight(
        tmp_path, "--address", cluster_address, "--cpus-per-trial", "64"
    )
    assert code == 2
    assert output.splitlines()[1].rstrip().endswith("none fits")
    assert "a trial of 64 CPU and 0 GPU fits on no node" in errors
    assert "those that are up have 2 CPU" in errors
    assert not list(tmp_path.iterdir())
