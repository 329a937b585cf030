"""What an autoscaler may bring, as the head's own files and processes tell it."""

import json
import os
import shutil
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from tests.conftest import ROOT
from tune_cluster.cluster.growth import Growth, NodeType, growth_of, read_growth

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


IN_A_POD = """
import sys
from pathlib import Path
from tune_cluster.cluster import growth

growth.SERVICE_ACCOUNT = Path(sys.argv[1])
print(growth.read_growth("10.0.0.1:6379"))
"""


class Kubernetes(BaseHTTPRequestHandler):
    """Answers as the API of Kubernetes does, to who may ask for this one cluster."""

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
    """What the environment of a pod says of it."""
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
def test_in_a_pod_kubernetes_is_asked_for_this_pods_cluster(kubernetes, tmp_path, cluster, types):
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
