"""The cluster that a driver connects to, and its errors if it cannot."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import ray
from ray._private import services

from tune_cluster.cluster.connect import connected, running
from tune_cluster.cluster.head import check_reachable

PROCESSES = """
import json, os, sys, time
from contextlib import suppress
import psutil
import torch
from ray import tune
from ray.util.placement_group import placement_group, remove_placement_group
from tune_cluster.execution.ray_tune import compat
from tune_cluster.cluster.connect import connected

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

os.environ.update(compat.TRIAL_ENVIRONMENT)
with connected("local", max_concurrent=1) as found:
    compat.let_trials_inherit_environment()
    while not idle():
        time.sleep(0.1)
    ready = idle()
    # On a busy machine the CPUs are reserved for some time before the trial starts.
    group = placement_group([{"CPU": 1}])
    assert group.wait(60)
    time.sleep(3)
    remove_placement_group(group)
    config = tune.TuneConfig(num_samples=1, metric="pid", mode="max")
    run = tune.RunConfig(storage_path=sys.argv[1], verbose=0)
    (result,) = tune.Tuner(Trial, tune_config=config, run_config=run).fit()
    trial = result.metrics
    seen = [found.nodes[0]["CPU"], trial["pid"] in ready, trial["imported"], listening()]
    print(json.dumps(seen))
"""


BOUND = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from tune_cluster.cluster.connect import connected

with connected("local") as found:
    print(found.nodes[0]["CPU"])
"""


@pytest.mark.long
def test_a_local_ray_has_the_cpus_that_its_process_is_bound_to(temporary):
    # As Slurm binds a job that has a part of a node.
    done = subprocess.run(
        [sys.executable, "-c", BOUND], capture_output=True, text=True, check=False
    )
    assert done.stdout.split()[-1:] == ["1.0"], done.stderr


SLOW = """
import sys
from ray._private import services
from tune_cluster.cluster.connect import connected

services.RAYLET_EXECUTABLE = sys.argv[1]
with connected("local", max_concurrent=1) as found:
    print(found.nodes[0]["CPU"])
"""


@pytest.mark.long
def test_a_local_ray_whose_node_takes_more_than_half_a_minute_is_waited_for(temporary, tmp_path):
    # As on a machine with other work.
    raylet = tmp_path / "raylet"
    raylet.write_text(f'#!/bin/sh\nsleep 40\nexec {services.RAYLET_EXECUTABLE} "$@"\n')
    raylet.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", SLOW, raylet], capture_output=True, text=True, check=False
    )
    assert done.stdout.split()[-1:] == ["1.0"], done.stderr


@pytest.mark.long
def test_a_local_ray_has_workers_with_torch_imported_and_accepts_no_other_connection(
    temporary, tmp_path
):
    done = subprocess.run(
        [sys.executable, "-c", PROCESSES, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        # A user without any Ray so far.
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


def test_the_local_ray_of_another_job_is_joined_by_its_address_alone(cluster_address, monkeypatch):
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

if len(sys.argv) > 1:
    join(sys.argv[1])
    print("joined", ray.get_runtime_context().gcs_address == sys.argv[1])
else:
    start(1.0, 0.0, 1)
    subprocess.run([sys.executable, __file__, ray.get_runtime_context().gcs_address], timeout=60)
    ray.shutdown()
"""


@pytest.mark.long
def test_a_ray_on_the_loopback_is_joined_at_its_own_address(tmp_path):
    script = tmp_path / "joined.py"
    script.write_text(JOINED)
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False
    )
    assert "joined True" in done.stdout, done.stderr


def test_the_address_file_of_a_killed_cluster_is_ignored(temporary, monkeypatch):
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
from tune_cluster.cluster.connect import connected
try:
    with connected((sys.argv[1:] or [None])[0]):
        pass
except ValueError as error:
    print(error)
"""


def test_a_driver_without_the_token_of_its_cluster_fails_with_one_line(tmp_path):
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
def test_an_invalid_environment_variable_of_ray_fails_with_one_line(tmp_path, variables, said):
    long = tmp_path / ("a" * 80)
    long.mkdir()
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        addresses = {"UNHEARD": f"127.0.0.1:{unheard.getsockname()[1]}", "LONG": str(long)}
        done = subprocess.run(
            [sys.executable, "-c", JOINS],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **{name: addresses.get(v, v) for name, v in variables.items()}},
        )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    for name, address in addresses.items():
        said = said.replace(name, address)
    assert line.startswith(said)


def test_a_ray_started_by_the_script_is_used_and_not_shut_down(cluster_address):
    for address in (None, "local", "auto", cluster_address):
        with connected(address) as found:
            assert found.own
            assert found.slots(1, 0) == 2
        assert ray.is_initialized()
    other = connected("10.0.0.7:6379")
    with (
        pytest.raises(ValueError, match=r"10\.0\.0\.7:6379: the script has called ray\.init"),
        other,
    ):
        pass


@pytest.mark.parametrize(
    ("family", "host", "spelled"),
    [(socket.AF_INET, "127.0.0.1", "127.0.0.1"), (socket.AF_INET6, "::1", "[::1]")],
)
def test_a_listening_address_is_reachable_with_and_without_brackets(family, host, spelled):
    with socket.socket(family) as listening:
        try:
            listening.bind((host, 0))
        except OSError:
            pytest.skip(f"this machine has no {host}")
        listening.listen()
        check_reachable(f"{spelled}:{listening.getsockname()[1]}")


def test_an_address_where_nobody_listens_is_an_error_at_once():
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            check_reachable(f"127.0.0.1:{unheard.getsockname()[1]}")


@pytest.mark.parametrize("address", ["ray://host:10001", "host:port", "host:70000", ":6379", "x"])
def test_an_invalid_address_is_refused_with_the_allowed_forms(address):
    with pytest.raises(ValueError, match="host:port, auto or local"):
        check_reachable(address)
