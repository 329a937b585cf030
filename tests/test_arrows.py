"""The packages point one way."""

import ast
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("search_spaces.schedulers.asha", {"trainables"}),
        ("search_spaces.schedulers.pbt", {"trainables"}),
        ("search_spaces.searchers.random_search", {"trainables"}),
        ("search_spaces.schedulers.rungs", {"ray"}),
        ("tune_cluster.study.journal", {"ray", "torch"}),
        ("tune_cluster.execution.launch", {"trainables", "torch"}),
        # What a node says of itself, in the process that its first trial takes over.
        ("tune_cluster.cluster.facts", {"ray", "torch"}),
        ("tune_cluster.execution.preflight", {"ray", "torch"}),
        ("tune_cluster.reports.audit", {"ray", "torch"}),
        ("tune_cluster.reports.curves", {"ray", "torch"}),
        # 2.7 s and 840 MB that no trial is to pay for.
        ("trainables.image.image_classifier", {"torchvision"}),
    ],
)
def test_a_module_does_not_import_what_it_must_not_know(module, forbidden):
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not forbidden & set(done.stdout.split())


def test_what_stores_files_knows_no_study():
    storage = ROOT / "tune_cluster" / "storage"
    found = {
        name
        for path in storage.glob("*.py")
        for name in re.findall(r"from tune_cluster\.([a-z_]+)", path.read_text())
    }
    assert found == {"storage"}


COMPAT = {
    "tune_cluster/cluster/compat.py": "Ray itself",
    "tune_cluster/execution/ray_tune/compat.py": "ray.tune, ray.train and ray.air",
}

STILL_IN_THE_TRIAL = {
    "tune_cluster/trial/exits.py",
    "tune_cluster/trial/function_session.py",
    "tune_cluster/trial/tune_storage.py",
    "tune_cluster/trial/wrapper.py",
}
"""To be moved to the trainable of Ray Tune."""


def private_names_of_ray(path):
    """The dotted names in a file that begin with `ray` and have a part that is private."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Attribute):
            names = [ast.unparse(node)]
        for name in names:
            first, *parts = name.split(".")
            if first == "ray" and any(re.match("_[a-z]", part) for part in parts):
                yield name
        # Of the controller that Tune gives a scheduler.
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "controller"
            and node.attr.startswith("_")
        ):
            yield f"controller.{node.attr}"


def test_private_names_of_ray_are_in_two_files_alone():
    packages = ("tune_cluster", "search_spaces", "trainables", "tune_jobs")
    found = {
        str(path.relative_to(ROOT)): sorted(names)
        for package in packages
        for path in (ROOT / package).rglob("*.py")
        if (names := set(private_names_of_ray(path)))
    }
    assert found.keys() - STILL_IN_THE_TRIAL == COMPAT.keys(), found
