"""What a cluster holds: never more trials than fit, and none that would wait for ever."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import pytest
import ray
from hypothesis import given
from hypothesis import strategies as st

from tune_cluster.cluster.connect import HEAD, Cluster, cluster, running
from tune_cluster.cluster.growth import Growth, NodeType
from tune_cluster.execution.flags import Flags

cores = st.integers(0, 64)
devices = st.integers(0, 8)
nodes = st.lists(st.builds(lambda c, g: {"CPU": float(c), "GPU": float(g)}, cores, devices))
cpu_shares = st.sampled_from(["1/10", "1/4", "3/10", "1/2", "1", "3/2", "2", "3", "16"]).map(
    Fraction
)
gpu_shares = st.sampled_from(
    ["0", "1/10", "1/4", "3/10", "1/3", "2/5", "1/2", "3/5", "9/10", "1", "2", "3", "8"]
).map(Fraction)


def fitting(node, cpus, gpus):
    """Trials on one node in exact arithmetic, filling one GPU after the other."""
    by_cpu = Fraction(node["CPU"]) // cpus
    if gpus == 0:
        return by_cpu
    have = int(node["GPU"])
    by_gpu = have * (1 // gpus) if gpus < 1 else have // gpus
    return min(by_cpu, by_gpu)


@given(nodes, cpu_shares, gpu_shares)
def test_the_slots_are_the_trials_that_fit_and_no_gpu_is_shared_out_over_two(nodes, cpus, gpus):
    expected = sum(fitting(node, cpus, gpus) for node in nodes)
    cluster = Cluster(tuple(nodes))
    if expected == 0:
        with pytest.raises(ValueError, match=r"no GPU|fits on no node"):
            cluster.slots(float(cpus), float(gpus))
    else:
        assert cluster.slots(float(cpus), float(gpus)) == expected


@pytest.mark.parametrize(
    ("gpus", "slots"), [(0.25, 8), (0.3, 6), (0.4, 4), (0.5, 4), (0.6, 2), (1, 2), (2, 1)]
)
def test_two_gpus_hold_whole_trials_only(gpus, slots):
    assert Cluster(({"CPU": 16.0, "GPU": 2.0},)).slots(1, gpus) == slots


def test_cores_that_lie_on_two_nodes_are_not_one_trials():
    cluster = Cluster(({"CPU": 3.0}, {"CPU": 3.0}))
    assert cluster.slots(2, 0) == 2
    with pytest.raises(ValueError, match=r"4 CPU and 0 GPU fits on no node.*3 CPU and 0 GPU"):
        cluster.slots(4, 0)


def test_a_node_that_has_nothing_to_give_does_not_count():
    assert Cluster(({"memory": 1e9}, {"CPU": 2.0})).slots(1, 0) == 2


def test_a_trial_that_wants_a_gpu_of_a_cluster_without_is_told_the_flag():
    with pytest.raises(ValueError, match=r"--gpus-per-trial 0\.5: the cluster has no GPU"):
        Cluster(({"CPU": 64.0},)).slots(1, 0.5)


SMALL = ({"CPU": 2.0},)
GPU_NODES = Growth((NodeType("gpu", {"CPU": 16.0, "GPU": 1.0}, 4),), 4)


def test_what_an_autoscaler_may_bring_is_waited_for():
    """Only trials that wait make it start nodes."""
    assert Cluster(SMALL, GPU_NODES).slots(8, 1) == 4
    assert Cluster(SMALL, GPU_NODES).slots(1, 0.25) == 16
    assert Cluster((), GPU_NODES).slots(8, 0) == 8


def test_the_head_counts_beside_what_may_come_and_a_worker_that_came_only_once():
    head, worker = {"CPU": 2.0, HEAD: 1.0}, {"CPU": 16.0, "GPU": 1.0}
    assert Cluster((head,), GPU_NODES).slots(1, 0) == 2 + 4 * 16
    assert Cluster((head, worker), GPU_NODES).slots(1, 0) == 2 + 4 * 16


def test_a_trial_is_not_spread_over_nodes_that_may_come():
    expected = (
        r"17 CPU and 1 GPU fits on no node: those that are up have 2 CPU and 0 GPU, "
        r"those that the autoscaler may start have 16 CPU and 1 GPU"
    )
    with pytest.raises(ValueError, match=expected):
        Cluster(SMALL, GPU_NODES).slots(17, 1)
    with pytest.raises(ValueError, match="fits on no node"):
        Cluster(SMALL, GPU_NODES).slots(1, 2)
    with pytest.raises(ValueError, match="no GPU, and none that it may start"):
        Cluster(SMALL, Growth((NodeType("cpu", {"CPU": 64.0}, 2),), 2)).slots(8, 1)


def test_machines_that_have_not_joined_are_to_be_waited_for():
    own = Growth((NodeType("local.cluster.node", {}, 2),), 2)
    with pytest.raises(ValueError, match=r"Up to 2 nodes may still join.*when they are up"):
        Cluster(SMALL, own).slots(1, 0.25)


PROCESSES = """
import json, os, sys, time
from contextlib import suppress
import psutil
import torch
from ray import tune
from tune_cluster.cluster.connect import cluster
from tune_cluster.execution.flags import Flags

class Trial(tune.Trainable):
    def step(self):
        return {"pid": os.getpid(), "imported": "torch" in sys.modules, "done": True}

def ours(look):
    # Of this Ray alone: beside it run those of other tests. Some end meanwhile.
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            yield process.pid, look(process)

def listening():
    sockets = [c for _, found in ours(psutil.Process.net_connections) for c in found]
    return sorted({c.laddr.ip for c in sockets if c.status == "LISTEN"})

def idle():
    return [pid for pid, line in ours(psutil.Process.cmdline) if line[:1] == ["ray::IDLE"]]

with cluster(Flags(address="local", max_concurrent=1)) as found:
    while not idle():
        time.sleep(0.1)
    ready = idle()
    config = tune.TuneConfig(num_samples=1, metric="pid", mode="max")
    run = tune.RunConfig(storage_path=sys.argv[1], verbose=0)
    (result,) = tune.Tuner(Trial, tune_config=config, run_config=run).fit()
    trial = result.metrics
    told = [found.nodes[0]["CPU"], trial["pid"] in ready, trial["imported"], listening()]
    print(json.dumps(told))
"""


@pytest.mark.long
def test_a_ray_for_one_job_has_processes_ready_which_know_torch_and_lets_in_no_one_else(
    temporary, tmp_path
):
    done = subprocess.run(
        [sys.executable, "-c", PROCESSES, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        # Of a person who has had no Ray yet.
        env={**os.environ, "RAY_TMPDIR": str(temporary), "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    cpus, was_ready, imported, listening = json.loads(done.stdout.splitlines()[-1])
    assert cpus == 1, "no more than its trials take"
    assert was_ready
    assert imported
    assert listening
    assert set(listening) <= {"127.0.0.1", "::ffff:127.0.0.1"}, "other machines could reach it"
    token = tmp_path / ".ray" / "auth_token"
    assert token.stat().st_mode & 0o777 == 0o600, "other people could use it"


def test_a_ray_that_another_job_has_for_itself_is_joined_by_its_address_alone(
    cluster_address, monkeypatch
):
    # That of these tests is one, and ends with them.
    assert running(None) is None
    assert running("local") is None
    assert running(cluster_address) == cluster_address
    monkeypatch.setenv("RAY_ADDRESS", cluster_address)
    assert running(None) == cluster_address


JOINED = """
import subprocess, sys
import ray
from tune_cluster.cluster.connect import join, start
from tune_cluster.execution.flags import Flags

if len(sys.argv) > 1:
    join(sys.argv[1])
    print("joined", ray.get_runtime_context().gcs_address == sys.argv[1])
else:
    start(Flags(max_concurrent=1))
    subprocess.run([sys.executable, __file__, ray.get_runtime_context().gcs_address], timeout=60)
    ray.shutdown()
"""


@pytest.mark.long
def test_a_ray_on_the_loopback_is_joined_where_it_listens(tmp_path):
    script = tmp_path / "joined.py"
    script.write_text(JOINED)
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False
    )
    assert "joined True" in done.stdout, done.stderr


def test_the_address_that_a_killed_cluster_has_left_is_not_joined(temporary, monkeypatch):
    with socket.socket() as unheard, tempfile.TemporaryDirectory(dir=temporary) as folder:
        host = ray.util.get_node_ip_address()
        unheard.bind((host, 0))
        left = Path(folder, "ray", "ray_current_cluster")
        left.parent.mkdir()
        address = f"{host}:{unheard.getsockname()[1]}"
        left.write_text(address)
        monkeypatch.setenv("RAY_TMPDIR", folder)
        assert running(None) is None
        unheard.listen()
        assert running(None) == address


JOINS = """
import sys
from tune_cluster.cluster.connect import cluster
from tune_cluster.execution.flags import Flags
try:
    with cluster(Flags(address=(sys.argv[1:] or [None])[0])):
        pass
except ValueError as error:
    print(error)
"""


def test_a_driver_without_the_token_that_its_cluster_asks_for_is_told_in_one_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        environment = {name: value for name, value in os.environ.items() if "RAY_AUTH" not in name}
        done = subprocess.run(
            [sys.executable, "-c", JOINS, address],
            capture_output=True,
            text=True,
            check=False,
            env={**environment, "RAY_AUTH_MODE": "token", "HOME": str(tmp_path)},
        )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"--address {address}: ")
    assert "no authentication token was found: give RAY_AUTH_TOKEN_PATH" in line


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"RAY_ADDRESS": "UNHEARD"}, "RAY_ADDRESS=UNHEARD: no cluster answers there"),
        ({"RAY_ADDRESS": "http://127.0.0.1:8265"}, "RAY_ADDRESS=http://127.0.0.1:8265: an address"),
        ({"RAY_ADDRESS": "local", "RAY_TMPDIR": "LONG"}, "RAY_TMPDIR LONG is too long for"),
        ({"RAY_ADDRESS": "local", "RAY_TMPDIR": "/proc"}, "Ray cannot be started, whose files"),
    ],
)
def test_what_the_environment_says_and_cannot_be_is_told_in_one_line(tmp_path, variables, said):
    long = tmp_path / ("a" * 80)
    long.mkdir()
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        places = {"UNHEARD": f"127.0.0.1:{unheard.getsockname()[1]}", "LONG": str(long)}
        done = subprocess.run(
            [sys.executable, "-c", JOINS],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **{name: places.get(v, v) for name, v in variables.items()}},
        )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    for name, place in places.items():
        said = said.replace(name, place)
    assert line.startswith(said)


def test_a_ray_that_the_script_has_started_is_used_and_left_to_it(cluster_address):
    for address in (None, "local", "auto", cluster_address):
        with cluster(Flags(address=address)) as found:
            assert found.own
            assert found.slots(1, 0) == 2
        assert ray.is_initialized()
    other = cluster(Flags(address="10.0.0.7:6379"))
    with (
        pytest.raises(ValueError, match=r"10\.0\.0\.7:6379: the script has called ray\.init"),
        other,
    ):
        pass
