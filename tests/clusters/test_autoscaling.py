"""GPU nodes that come when trials wait and go when they idle: from none to two and back to none."""

import json
import os
import socket
import subprocess
import sys
from contextlib import suppress

import psutil
import pytest
import ray
import yaml

from tests.conftest import JOB, PATIENCE, journal_of

HEAD_ID = "f" * 51 + "00000"
"""Node id that Ray's fake provider expects for the head."""

COMMANDS = (
    *("initialization", "setup", "head_setup", "worker_setup"),
    *("head_start_ray", "worker_start_ray"),
)

SCRIPT = '''
import json, subprocess, sys, time
import ray
from ray.cluster_utils import Cluster

config, port, *job = sys.argv[1:]
small = 100 * 1024**2
head = {"num_cpus": 0, "object_store_memory": small, "include_dashboard": False}
cluster = Cluster(
    initialize_head=True,
    head_node_args={**head, "gcs_server_port": int(port), "autoscaling_config": config},
)
ray.init(cluster.address, log_to_driver=False)

def gpu_nodes():
    """Those that are up, and how many of them have a trial."""
    free = ray._private.state.available_resources_per_node()
    up = [n["NodeID"] for n in ray.nodes() if n["Alive"] and "GPU" in n["Resources"]]
    return len(up), sum(free.get(node, {}).get("GPU", 0) < 1 for node in up)

counted = [gpu_nodes()]
process = subprocess.Popen([sys.executable, *job, "--address", cluster.address])
while process.poll() is None:
    counted.append(gpu_nodes())
    time.sleep(0.2)
patience = time.monotonic() + 60
while gpu_nodes()[0] and time.monotonic() < patience:
    time.sleep(0.2)
counted.append(gpu_nodes())
ray.shutdown()
cluster.shutdown()
print(json.dumps(counted))
sys.exit(process.returncode)
'''


def autoscaling_config(gcs_address):
    """Two nodes at most, each with a GPU that is declared and not there."""
    worker = {"CPU": 2, "GPU": 1, "object_store_memory": 100 * 1024**2}
    return {
        "cluster_name": "fake",
        "max_workers": 2,
        "idle_timeout_minutes": 0.05,
        "upscaling_speed": 10,
        "provider": {
            "type": "external",
            "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
            "gcs_address": gcs_address,
            "head_node_id": HEAD_ID,
            "launch_multiple": True,
        },
        "head_node_type": "ray.head.default",
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "gpu": {"resources": worker, "node_config": {}, "min_workers": 0, "max_workers": 2},
        },
        # Ray fills in defaults for `ray up`, not for its autoscaler.
        **{"auth": {}, "file_mounts": {}, "cluster_synced_files": []},
        **{f"{when}_commands": [] for when in COMMANDS},
    }


def run_to_its_end(command, gcs_address, **options):
    """Exit code and output; all that it has started is ended with it, however it ends."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    try:
        output, _ = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
        # The fake provider leaves a log monitor of each node that it ends, and all of a node if its
        # autoscaler is killed. Nobody else's are of this address.
        for other in psutil.process_iter(["cmdline"]):
            if any(
                word.endswith(f"-address={gcs_address}") for word in other.info["cmdline"] or ()
            ):
                with suppress(psutil.NoSuchProcess):
                    other.kill()
    return process.returncode, output


@pytest.mark.long
def test_trials_that_need_gpus_start_two_nodes_that_are_removed_when_idle(temporary, tmp_path):
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    gcs_address = f"{ray.util.get_node_ip_address()}:{port}"
    config = tmp_path / "autoscaling.yaml"
    config.write_text(yaml.safe_dump(autoscaling_config(gcs_address)))
    code, output = run_to_its_end(
        [
            *(sys.executable, "-c", SCRIPT, str(config), str(port), str(JOB)),
            *("--dataset", "digits", "--trials", "12", "--grace-period", "27"),
            *("--gpus-per-trial", "0.5", "--name", "grows"),
        ],
        gcs_address,
        text=True,
        cwd=tmp_path,
        env={
            **os.environ,
            "RAY_TMPDIR": str(temporary),
            "RAY_FAKE_CLUSTER": "1",
            "RAY_enable_autoscaler_v2": "1",
            "RAY_CLOUD_INSTANCE_ID": HEAD_ID,
            "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD_ID,
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        },
    )
    assert code == 0, output
    counted = json.loads(output.splitlines()[-1])
    up, busy = zip(*counted, strict=True)
    assert (up[0], max(up), up[-1]) == (0, 2, 0)
    # The journal names a node by eight digits of its id, which are equal for all fake ones.
    assert max(busy) == 2
    assert "12, 4 at once, each with 1 CPU and 0.5 GPU" in output
    events = journal_of(tmp_path / "results" / "grows")
    assert {event["trial"] for event in events if event["event"] == "ended"} == set(range(12))
