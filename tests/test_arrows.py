"""The packages point one way."""

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
        ("tune_cluster.cluster.node_check", {"ray", "torch"}),
        ("tune_cluster.cluster.check", {"ray", "torch"}),
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
