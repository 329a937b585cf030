"""More than one node: fractional GPUs, trials on both, the results shared."""

import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import ray
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from ray.cluster_utils import Cluster

from tests.conftest import ROOT
from tests.gate import TRIALS, Gated
from tests.joining import SMALL

if sys.version_info >= (3, 11):
    import tomllib
else:
    # Comes with pytest.
    import tomli as tomllib

# The first job, in which no trial ends before all processes exist.
JOB_AT_THE_GATE = """
from tune_jobs import asha_lr_batch
from tune_cluster import main

class Waits(asha_lr_batch.ImageClassifier):
    def step(self):
        wait()
        return super().step()

asha_lr_batch.ImageClassifier = Waits
main(asha_lr_batch.job)
"""


@pytest.fixture
def two_nodes(temporary):
    """A cluster of nodes with two cores each, and a GPU that is only declared."""
    node = {"num_cpus": 2, "num_gpus": 1}
    cluster = Cluster(initialize_head=True, head_node_args={**node, **SMALL})
    try:
        cluster.add_node(**node, object_store_memory=SMALL["object_store_memory"])
        cluster.wait_for_nodes()
        yield cluster
    finally:
        cluster.shutdown()


@pytest.mark.long
def test_trials_at_a_quarter_gpu_run_on_both_nodes_and_share_the_results(
    two_nodes, start_job, tmp_path
):
    quarters = ("--gpus-per-trial", "0.25", "--cpus-per-trial", "1")
    study = Gated(
        *(start_job, tmp_path, "--dataset", "digits", "--grace-period", "2", *quarters),
        job=JOB_AT_THE_GATE,
        address=two_nodes.address,
    )
    study.wait_for("started", times=4)
    study.open()
    output = study.ended()
    assert f"{TRIALS}, 4 at once, each with 1 CPU and 0.25 GPU" in output
    events = study.events()
    assert sum(event["event"] == "ended" for event in events) == TRIALS
    assert len({event["node"] for event in events if event["event"] == "result"}) == 2
    assert (study.directory / "best" / "state.pt").exists()


def test_cluster_yaml_is_valid_in_the_schema_of_ray():
    schema = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    config = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    jsonschema.validate(config, json.loads(schema.read_text()))
    for name, node_type in config["available_node_types"].items():
        assert node_type["max_workers"] >= node_type.get("min_workers", 0), name
    assert config["head_node_type"] in config["available_node_types"]


def test_on_prem_yaml_is_valid_in_the_schema_of_ray_and_installs_the_requirements():
    schema = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    config = yaml.safe_load((ROOT / "clusters" / "on_prem.yaml").read_text())
    jsonschema.validate(config, json.loads(schema.read_text()))
    checked = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["python_version"]
    environment, _, packages = config["setup_commands"]
    assert f"python{checked} -m venv" in environment
    # As it runs on a node, with the checkout in place of its copy.
    listing, _, installing = packages.partition(" | ")
    assert installing == "pip install --quiet --disable-pip-version-check -r /dev/stdin"
    command = listing.replace("tune-cluster/", f"{ROOT}/")
    listed = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    brought = [needed for name in ("tpe", "optuna", "plots", "s3") for needed in extras[name]]
    assert listed.stdout.splitlines() == [*project["dependencies"], *brought]


@pytest.mark.parametrize("file", ["cluster.yaml", "clusters/Dockerfile"])
def test_the_nodes_of_a_cluster_get_exact_versions_that_the_project_allows(file):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    allowed = {r.name: r.specifier for r in map(Requirement, project["dependencies"])}
    exact = dict(re.findall(r"(\w+)==([\d.]+)", (ROOT / file).read_text()))
    assert exact.keys() == {"ray", "torch", "torchvision"}
    for name, version in exact.items():
        assert version in allowed[name], name


def test_the_python_of_a_cluster_is_the_version_that_the_project_is_checked_with():
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    checked = config["tool"]["mypy"]["python_version"]
    assert checked in SpecifierSet(config["project"]["requires-python"])
    assert f"uv venv --quiet --seed --python {checked} " in (ROOT / "cluster.yaml").read_text()
    dockerfile = ROOT / "clusters" / "Dockerfile"
    image, installed = re.findall(r"\bray(?::|==)(\d\S+)", dockerfile.read_text())
    assert image == f"{installed}-py{checked.replace('.', '')}"
