"""Studies on several nodes, some of which are no good, and some of which join later."""

import os
import re
import subprocess
import sys
import time

import pytest
from ray.cluster_utils import Cluster

from tests.conftest import ROOT, journal_of
from tests.joining import SMALL, joined, own_mounts


@pytest.fixture(scope="module")
def cluster(temporary):
    """A head that only drives, and a node that is as it should be."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **SMALL})
    with joined(cluster):
        yield cluster
    cluster.shutdown()


def preflight(folder, *arguments):
    """`(exit code, output, errors)`."""
    done = subprocess.run(
        [sys.executable, "-m", "tune_jobs", "preflight", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
    )
    return done.returncode, done.stdout, done.stderr


def with_another_torch(folder):
    """What a node's environment has whose torch is not the driver's."""
    installed = folder / "torch-1.0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 1.0\n")
    return {"PYTHONPATH": str(folder)}


@pytest.mark.long
def test_nodes_that_would_harm_a_trial_are_named_before_it_and_nothing_is_left(
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


STUDY = """
import time
from ray import tune
from search_spaces.catalogue import LEARNING_RATE
from search_spaces.random_search import RandomSearch
from search_spaces.space import Space
from tune_jobs.runtime.launch import launch

class Sleeps(tune.Trainable):
    def step(self):
        time.sleep(0.5)
        return {"val_loss": self.config["learning_rate"]}

    def reset_config(self, config):
        self.config = config
        return True

def job(study):
    strategy = RandomSearch(Space("own", (LEARNING_RATE,)), seed=study.flags.seed)
    return tune.Tuner(
        study.trainable(Sleeps),
        tune_config=study.tune_config(strategy),
        run_config=study.run_config(),
    )

launch(job, metric="val_loss", mode="min")
"""


@pytest.fixture
def study(cluster, start_job, tmp_path):
    """Starts a study of 16 trials, 2 s each; returns once its first trial has reported."""
    script = tmp_path / "study.py"
    script.write_text(STUDY)

    def start(*arguments):
        arguments = ("--trials", "16", "--max-epochs", "4", "--name", "study", *arguments)
        process = start_job(*arguments, address=cluster.address, script=script)
        directory = tmp_path / "results" / "study"
        deadline = time.monotonic() + 120
        while not any(event["event"] == "result" for event in events_of(directory)):
            assert process.poll() is None, process.stdout.read()
            assert time.monotonic() < deadline, "no trial has reported"
            time.sleep(0.2)
        return process, directory

    return start


def events_of(directory):
    """What a study that may not have begun has written."""
    return journal_of(directory) if (directory / "journal.jsonl").exists() else []


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
def test_a_node_that_joins_lets_more_trials_run_at_once(cluster, study):
    process, directory = study()
    assert most_at_once(events_of(directory)) == 1
    with joined(cluster, cpus=2) as node:
        output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    events = journal_of(directory)
    ended = [event for event in events if event["event"] == "ended"]
    assert sorted(event["trial"] for event in ended) == list(range(16))
    assert {event["status"] for event in ended} == {"finished"}
    assert most_at_once(events) == 3
    assert node in {event["node"] for event in events if event["event"] == "result"}
    assert [event["trials"] for event in events if event["event"] == "width"] == [3]
    assert output.count("width      3 trials at once, 1 before") == 1


@pytest.mark.long
def test_a_node_that_joins_without_the_storage_gets_no_trial_and_nobody_is_blamed(cluster, study):
    own_mounts()
    process, directory = study()
    with joined(cluster, cpus=2, hidden=directory.parent) as node:
        output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    events = journal_of(directory)
    assert {event["status"] for event in events if event["event"] == "ended"} == {"finished"}
    assert len({event["trial"] for event in events if event["event"] == "ended"}) == 16
    assert node not in {event["node"] for event in events if event["event"] == "result"}
    kinds = {event["event"] for event in events}
    assert not kinds & {"retried", "restored"}, "it is no fault of the trials"
    (refused,) = (event for event in events if event["event"] == "node_refused")
    assert refused["node"] == node
    assert str(directory.parent) in refused["reasons"][0]
    assert output.count(f"refused    node {node}, which has joined: it does not see") == 1
    assert not list(directory.rglob("nodes-*")), "nothing of the question is left"


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
