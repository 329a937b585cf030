"""The packages point one way."""

import subprocess
import sys

import pytest

from benchmarks import structure


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("search_spaces.schedulers.asha", {"trainables"}),
        ("search_spaces.schedulers.pbt", {"trainables"}),
        ("search_spaces.searchers.random_search", {"trainables"}),
        ("search_spaces.schedulers.rungs", {"ray"}),
        ("tune_cluster.study.journal", {"ray", "torch"}),
        ("tune_cluster.execution.launcher", {"trainables", "torch", "scipy.stats"}),
        ("tune_cluster.trial.runner", {"ray", "torch"}),
        # The facts of a node, in the process that its first trial uses.
        ("tune_cluster.cluster.facts", {"ray", "torch"}),
        # `list` would take as long for their imports as for its study.
        ("tune_cluster.cli", {"ray", "torch", "numpy", "pyarrow"}),
        ("tune_cluster.reports.audit", {"ray", "torch"}),
        ("tune_cluster.reports.confirm", {"ray", "torch"}),
        ("tune_cluster.reports.plots", {"ray", "torch"}),
        ("trainables.image.task", {"ray"}),
        # 2.7 s and 840 MB that no trial is to pay for.
        ("trainables.image.image_classifier", {"torchvision", "sklearn"}),
        ("trainables.table.task", {"ray"}),
        ("trainables.text.task", {"ray"}),
        ("trainables.text.text_classifier", {"tokenizers", "nltk", "ftfy", "sklearn"}),
        ("trainables.table.table_network", {"torchvision", "sklearn"}),
    ],
)
def test_a_module_does_not_import_its_forbidden_packages(module, forbidden):
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not forbidden & set(done.stdout.split())


KNOWS = {
    "search_spaces": set(),
    "trainables.data": set(),
    "trainables.training": {"trainables.data"},
    "trainables.prediction": {"trainables.data", "trainables.training"},
    "trainables.trainable": {"trainables.data", "trainables.prediction", "trainables.training"},
    "trainables.image": {
        "trainables.data",
        "trainables.prediction",
        "trainables.trainable",
        "trainables.training",
    },
    "trainables.table": {
        "trainables.data",
        "trainables.prediction",
        "trainables.trainable",
        "trainables.training",
    },
    "trainables.text": {
        "trainables.data",
        "trainables.prediction",
        "trainables.trainable",
        "trainables.training",
    },
    "tune_cluster.storage": {"search_spaces"},
    "tune_cluster.study": {"search_spaces", "tune_cluster.storage"},
    "tune_cluster.trial": {"search_spaces", "tune_cluster.storage"},
    "tune_cluster.integrations": {"search_spaces", "tune_cluster.storage", "tune_cluster.trial"},
    "tune_cluster.cluster": {"tune_cluster.storage"},
    "tune_cluster.ensembles": {"search_spaces"},
    "tune_cluster.callbacks": {"search_spaces", "tune_cluster.storage", "tune_cluster.study"},
    "tune_cluster.reports": {"search_spaces", "tune_cluster.storage", "tune_cluster.study"},
}
"""Packages that a package may import; one that is not listed may import all."""

AT_THE_TOP = {
    "tune_cluster.command_words",
    "tune_cluster.duration",
    "tune_cluster.errors",
    "tune_cluster.plain_text",
    "tune_cluster.python_script",
}
"""Modules that all packages may import, and that import only each other."""

COMPAT = {
    "tune_cluster/cluster/compat.py": "Ray itself",
    "tune_cluster/execution/ray_tune/compat.py": "ray.tune, ray.train and ray.air",
}


def package_of(module):
    """`tune_cluster.study` for `tune_cluster.study.journal`, `tune_jobs` for one of its jobs."""
    parts = module.split(".")
    return ".".join(parts[:2] if parts[0] in ("tune_cluster", "trainables") else parts[:1])


def arrows():
    """`(file, package)` for each package of ours that a file of another package imports."""
    found = set()
    for path in structure.files():
        package = package_of(".".join(path.with_suffix("").parts))
        for module, _ in structure.imported(path):
            target = package_of(module)
            if target.split(".")[0] in structure.PRODUCT and target not in (package, *AT_THE_TOP):
                found.add((str(path), package, target))
    return found


def test_packages_import_only_packages_below_them():
    back = {
        (path, target)
        for path, package, target in arrows()
        if target not in ({} if package in AT_THE_TOP else KNOWS.get(package, {target}))
    }
    assert not back


def test_shared_code_does_not_check_the_type_of_a_strategy():
    asking = {str(path): structure.strategy_checks(path) for path in structure.shared()}
    assert not {path: checks for path, checks in asking.items() if checks}


def test_private_names_of_ray_are_in_two_files_alone():
    found = {str(path): names for path in structure.files() if (names := structure.private(path))}
    assert found.keys() == COMPAT.keys(), found
