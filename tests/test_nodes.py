"""A study, and `python -m tune_jobs preflight`, on several nodes, some of which are no good."""

import os
import re
import subprocess
import sys

import pytest
from ray.cluster_utils import Cluster

from tests.conftest import ROOT
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


@pytest.mark.slow
def test_a_trial_that_fits_nowhere_is_an_error_with_both_sizes(cluster_address, tmp_path):
    code, output, errors = preflight(
        tmp_path, "--address", cluster_address, "--cpus-per-trial", "64"
    )
    assert code == 2
    assert output.splitlines()[1].rstrip().endswith("none fits")
    assert "a trial of 64 CPU and 0 GPU fits on no node" in errors
    assert "those that are up have 2 CPU and 0 GPU" in errors
    assert not list(tmp_path.iterdir())
