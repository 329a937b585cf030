"""What an autoscaler may bring, as the head's own files and processes tell it."""

import subprocess
import sys

import pytest
import yaml

from tune_jobs.runtime.growth import Growth, NodeType, growth_of, read_growth

SMALL = NodeType("small", {"CPU": 4.0, "GPU": 1.0}, 4)
LARGE = NodeType("large", {"CPU": 96.0, "GPU": 8.0}, 2)


def gpus(node):
    return int(node.get("GPU", 0))


def test_all_types_together_are_no_more_nodes_than_the_cluster_may_have():
    assert Growth((SMALL, LARGE), 6).slots(gpus) == 2 * 8 + 4 * 1
    assert Growth((SMALL, LARGE), 3).slots(gpus) == 2 * 8 + 1
    assert Growth((SMALL, LARGE), 1).slots(gpus) == 8
    assert Growth().slots(gpus) == 0


def test_the_head_is_not_what_may_come():
    types = {
        "head": {"resources": {"CPU": 0}, "max_workers": 0},
        "small": {"resources": dict(SMALL.resources), "max_workers": 4},
    }
    assert growth_of({"available_node_types": types, "max_workers": 3}) == Growth((SMALL,), 3)
    assert growth_of({}) == Growth()


def test_machines_of_ones_own_have_a_size_that_is_not_known_before():
    from ray.autoscaler._private.local.config import prepare_local

    provider = {"type": "local", "head_ip": "10.0.0.1", "worker_ips": ["10.0.0.2", "10.0.0.3"]}
    prepared, _ = prepare_local({"cluster_name": "own", "provider": provider})
    growth = growth_of(prepared)
    assert growth.unknown() == 2
    assert growth.slots(gpus) == 0


@pytest.fixture
def monitor(tmp_path):
    """A process with the command line of the head's autoscaler, for the cluster 10.0.0.1:6379."""
    config = tmp_path / "ray_bootstrap_config.yaml"
    types = {"large": {"resources": {"CPU": 96, "GPU": 8}, "max_workers": 2}}
    config.write_text(yaml.safe_dump({"available_node_types": types, "max_workers": 2}))
    # It says when it stands there with its command line.
    code = "import time; print('ready', flush=True); time.sleep(60)"
    options = ("--gcs-address=10.0.0.1:6379", f"--autoscaling-config={config}")
    process = subprocess.Popen([sys.executable, "-c", code, *options], stdout=subprocess.PIPE)
    process.stdout.readline()
    yield
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_autoscalers_own_command_line_names_the_file(monitor):
    assert read_growth("10.0.0.1:6379").types == (LARGE,)
    assert read_growth("10.0.0.2:6379") == Growth(), "another cluster's"
