"""Number of trials at once: never more than fit, and none that would wait forever."""

import json
import os
import shutil
import ssl
import subprocess
import sys
import threading
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import ROOT
from tune_cluster.cluster.capacity import (
    SECONDS_BETWEEN_LOOKS,
    Autoscaler,
    Cluster,
    NodeType,
    TrialSlots,
    autoscaler_of,
    read_autoscaler,
)
from tune_cluster.cluster.compat import HEAD

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
def test_the_slots_are_the_trials_that_fit_and_no_share_of_a_gpu_spans_two(nodes, cpus, gpus):
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
def test_two_gpus_have_slots_for_whole_trials_only(gpus, slots):
    assert Cluster(({"CPU": 16.0, "GPU": 2.0},)).slots(1, gpus) == slots


def test_a_trial_does_not_span_the_cores_of_two_nodes():
    cluster = Cluster(({"CPU": 3.0}, {"CPU": 3.0}))
    assert cluster.slots(2, 0) == 2
    with pytest.raises(ValueError, match=r"4 CPU and 0 GPU fits on no node.*3 CPU and 0 GPU"):
        cluster.slots(4, 0)


def test_a_node_without_cpus_and_gpus_has_no_slots():
    assert Cluster(({"memory": 1e9}, {"CPU": 2.0})).slots(1, 0) == 2


def test_gpus_per_trial_on_a_cluster_without_a_gpu_is_refused_with_the_flag():
    with pytest.raises(ValueError, match=r"--gpus-per-trial 0\.5: the cluster has no GPU"):
        Cluster(({"CPU": 64.0},)).slots(1, 0.5)


SMALL = ({"CPU": 2.0},)
GPU_NODES = Autoscaler((NodeType("gpu", {"CPU": 16.0, "GPU": 1.0}, 4),), 4)


def test_slots_include_the_nodes_that_an_autoscaler_may_start():
    """Only trials that wait make it start nodes."""
    assert Cluster(SMALL, GPU_NODES).slots(8, 1) == 4
    assert Cluster(SMALL, GPU_NODES).slots(1, 0.25) == 16
    assert Cluster((), GPU_NODES).slots(8, 0) == 8


def test_the_head_counts_beside_the_autoscaler_nodes_and_a_started_worker_counts_once():
    head, worker = {"CPU": 2.0, HEAD: 1.0}, {"CPU": 16.0, "GPU": 1.0}
    assert Cluster((head,), GPU_NODES).slots(1, 0) == 2 + 4 * 16
    assert Cluster((head, worker), GPU_NODES).slots(1, 0) == 2 + 4 * 16


def test_a_trial_does_not_span_the_nodes_that_an_autoscaler_may_start():
    expected = (
        r"17 CPU and 1 GPU fits on no node: those that are up have 2 CPU and 0 GPU, "
        r"those that the autoscaler may start have 16 CPU and 1 GPU"
    )
    with pytest.raises(ValueError, match=expected):
        Cluster(SMALL, GPU_NODES).slots(17, 1)
    with pytest.raises(ValueError, match="fits on no node"):
        Cluster(SMALL, GPU_NODES).slots(1, 2)
    with pytest.raises(ValueError, match="no GPU, and none that it may start"):
        Cluster(SMALL, Autoscaler((NodeType("cpu", {"CPU": 64.0}, 2),), 2)).slots(8, 1)


def test_a_trial_that_fits_no_node_names_the_machines_that_may_still_join():
    own = Autoscaler((NodeType("local.cluster.node", {}, 2),), 2)
    with pytest.raises(ValueError, match=r"Up to 2 nodes may still join.*when they are up"):
        Cluster(SMALL, own).slots(1, 0.25)


class Nodes:
    """A cluster that a test changes, and a clock that it winds."""

    def __init__(self, **nodes):
        self.up, self.now, self.looks = nodes, 0.0, 0

    def look(self):
        self.looks += 1
        return dict(self.up)

    def slots(self, cpus=1, gpus=0, autoscaler=None):
        cluster = Cluster(tuple(self.up.values()), autoscaler or Autoscaler())
        self.changes = []
        return TrialSlots(
            cluster,
            cpus,
            gpus,
            on_change=lambda before, now: self.changes.append(now),
            look=self.look,
            clock=lambda: self.now,
        )

    def wait(self):
        self.now += SECONDS_BETWEEN_LOOKS


def test_slots_grow_with_a_node_that_joins_and_shrink_with_one_that_leaves():
    nodes = Nodes(a={"CPU": 2.0, HEAD: 1.0})
    slots = nodes.slots()
    assert slots() == 2
    nodes.up["b"] = {"CPU": 4.0}
    nodes.wait()
    assert slots() == 6
    del nodes.up["b"]
    nodes.wait()
    assert [slots(), slots()] == [2, 2]
    assert nodes.changes == [6, 2]


def test_the_nodes_are_not_listed_at_every_step():
    nodes = Nodes(a={"CPU": 2.0})
    slots = nodes.slots()
    for _ in range(100):
        nodes.now += SECONDS_BETWEEN_LOOKS / 50
        slots()
    assert nodes.looks == 2


def test_with_no_node_left_one_slot_waits_for_the_next_node():
    nodes = Nodes(a={"CPU": 2.0})
    slots = nodes.slots(cpus=2)
    nodes.up.clear()
    nodes.wait()
    assert slots() == 1
    nodes.up.update(b={"CPU": 8.0})
    nodes.wait()
    assert slots() == 4


def test_a_node_that_an_autoscaler_may_start_counts_before_it_is_up():
    nodes = Nodes(head={HEAD: 1.0})
    slots = nodes.slots(autoscaler=Autoscaler((NodeType("cpu", {"CPU": 4.0}, 2),), 2))
    assert slots() == 8
    nodes.up.update(b={"CPU": 4.0})
    nodes.wait()
    assert slots() == 8
    assert nodes.changes == []


def test_a_trial_that_fits_nowhere_is_an_error_from_the_start():
    with pytest.raises(ValueError, match="fits on no node"):
        Nodes(a={"CPU": 2.0}).slots(cpus=4)


SMALL_NODES = NodeType("small", {"CPU": 4.0, "GPU": 1.0}, 4)
LARGE_NODES = NodeType("large", {"CPU": 96.0, "GPU": 8.0}, 2)


def gpus(node):
    return int(node.get("GPU", 0))


def test_nodes_of_all_types_are_bounded_by_the_limit_of_the_cluster():
    assert Autoscaler((SMALL_NODES, LARGE_NODES), 6).slots(gpus) == 2 * 8 + 4 * 1
    assert Autoscaler((SMALL_NODES, LARGE_NODES), 3).slots(gpus) == 2 * 8 + 1
    assert Autoscaler((SMALL_NODES, LARGE_NODES), 1).slots(gpus) == 8
    assert Autoscaler().slots(gpus) == 0


def test_the_head_is_not_among_the_nodes_that_may_start():
    types = {
        "head": {"resources": {"CPU": 0}, "max_workers": 0},
        "small": {"resources": dict(SMALL_NODES.resources), "max_workers": 4},
    }
    assert autoscaler_of({"available_node_types": types, "max_workers": 3}) == Autoscaler(
        (SMALL_NODES,), 3
    )
    assert autoscaler_of({}) == Autoscaler()


def test_on_prem_machines_have_an_unknown_size_until_they_join():
    from ray.autoscaler._private.local.config import prepare_local

    provider = {"type": "local", "head_ip": "10.0.0.1", "worker_ips": ["10.0.0.2", "10.0.0.3"]}
    prepared, _ = prepare_local({"cluster_name": "own", "provider": provider})
    autoscaler = autoscaler_of(prepared)
    assert [kind.max_workers for kind in autoscaler.types if not kind.resources] == [2]
    assert autoscaler.slots(gpus) == 0


@pytest.fixture
def monitor(tmp_path):
    """A process with the command line of the head's autoscaler, for the cluster 10.0.0.1:6379."""
    config = tmp_path / "ray_bootstrap_config.yaml"
    types = {"large": {"resources": {"CPU": 96, "GPU": 8}, "max_workers": 2}}
    config.write_text(yaml.safe_dump({"available_node_types": types, "max_workers": 2}))
    # It reports when it is visible with its command line.
    code = "import time; print('ready', flush=True); time.sleep(60)"
    options = ("--gcs-address=10.0.0.1:6379", f"--autoscaling-config={config}")
    process = subprocess.Popen([sys.executable, "-c", code, *options], stdout=subprocess.PIPE)
    process.stdout.readline()
    yield
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_configuration_file_is_found_from_the_command_line_of_the_autoscaler(monitor):
    assert read_autoscaler("10.0.0.1:6379").types == (LARGE_NODES,)
    assert read_autoscaler("10.0.0.2:6379") == Autoscaler(), "another cluster's"


IN_A_POD = """
import sys
from pathlib import Path
from tune_cluster.cluster import capacity

capacity.SERVICE_ACCOUNT = Path(sys.argv[1])
print(capacity.read_autoscaler("10.0.0.1:6379"))
"""


class Kubernetes(BaseHTTPRequestHandler):
    """Answers like the API of Kubernetes to a request for this one cluster."""

    spec = yaml.safe_load((ROOT / "clusters" / "kuberay.yaml").read_text())["spec"]

    def do_GET(self):
        known = self.path == "/apis/ray.io/v1/namespaces/studies/rayclusters/mine"
        self.send_response(200 if known else 403)
        self.end_headers()
        metadata = {"name": "mine", "namespace": "studies"}
        answer = {"metadata": metadata, "spec": self.spec["rayClusterSpec"]} if known else {}
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def kubernetes(tmp_path):
    """Return the environment variables of a pod."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl, for a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost")
    names = ("-addext", "subjectAltName=DNS:localhost")
    subprocess.run(
        [*make, *names, "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    server = ThreadingHTTPServer(("localhost", 0), Kubernetes)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {
        "KUBERNETES_SERVICE_HOST": "localhost",
        "KUBERNETES_SERVICE_PORT_HTTPS": str(server.server_port),
        "RAY_KUBERAY_CA_CERT_PATH": str(certificate),
        "RAY_KUBERAY_CLIENT_CERT_PATH": str(certificate),
        "RAY_KUBERAY_CLIENT_KEY_PATH": str(key),
    }
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("cluster", "types"), [("mine", 1), ("another", 0)])
def test_in_a_pod_the_types_of_nodes_are_read_from_kubernetes_for_the_cluster_of_the_pod(
    kubernetes, tmp_path, cluster, types
):
    (tmp_path / "namespace").write_text("studies")
    done = subprocess.run(
        [sys.executable, "-c", IN_A_POD, str(tmp_path / "namespace")],
        env={**os.environ, **kubernetes, "RAY_CLUSTER_NAME": cluster},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("NodeType(name='gpu', resources={'CPU': 4, 'GPU': 1,") == types
