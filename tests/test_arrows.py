"""The packages point one way."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("search_spaces.asha", {"trainables"}),
        ("search_spaces.pbt", {"trainables"}),
        ("search_spaces.random_search", {"trainables"}),
        ("search_spaces.rungs", {"ray"}),
        ("tune_jobs.runtime.journal", {"ray", "torch"}),
        ("tune_jobs.runtime.launch", {"trainables", "torch"}),
        # What a node says of itself, in the process that its first trial takes over.
        ("tune_jobs.runtime.node_check", {"ray", "torch"}),
        ("tune_jobs.runtime.check_cluster", {"ray", "torch"}),
        ("tune_jobs.findings.audit", {"ray", "torch"}),
        ("tune_jobs.findings.curves", {"ray", "torch"}),
        # 2.7 s and 840 MB that no trial is to pay for.
        ("trainables.image_classifier", {"torchvision"}),
    ],
)
def test_a_module_does_not_import_what_it_must_not_know(module, forbidden):
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not forbidden & set(done.stdout.split())
