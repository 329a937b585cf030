"""Facts that a node reports, and the problems that would harm a trial."""

import os
import re
from dataclasses import replace

import pytest
import ray
import yaml

from tests.callbacks.test_tensorboard import texts_in
from tests.conftest import ROOT, TINY, journal_of
from tune_cluster.cluster.facts import (
    PACKAGES,
    Facts,
    SeenGpus,
    facts_here,
    fingerprint,
    gpu_notice,
    installed,
    problems_of,
    seen_gpus,
)
from tune_cluster.storage.s3 import S3Store

STORAGE = "/storage/results"

DRIVER = Facts(
    versions={"Python": "3.11.7", "Ray": "2.60.0", "torch": "2.15.0"},
    code=dict.fromkeys(PACKAGES, "0123456789ab"),
    shared=True,
    unwritable="",
    free_bytes=10**12,
    clock=0.0,
)

BROKEN = SeenGpus(("nvidia0",), 0, "too old")


def test_a_node_equal_to_the_driver_has_no_problems():
    assert problems_of(DRIVER, DRIVER, STORAGE) == []
    assert problems_of(replace(DRIVER, gpus=SeenGpus((), 0)), DRIVER, STORAGE) == []
    assert problems_of(replace(DRIVER, clock=1e6, free_bytes=1), DRIVER, STORAGE) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"versions": {**DRIVER.versions, "Python": "3.12.1"}}, "Python 3.12.1, the driver 3.11.7"),
        ({"versions": {**DRIVER.versions, "Ray": "2.59.0"}}, "Ray 2.59.0, the driver 2.60.0"),
        ({"versions": {**DRIVER.versions, "torch": "none"}}, "torch none, the driver 2.15.0"),
        ({"code": {**DRIVER.code, "trainables": "none"}}, "another trainables.*none.*PYTHONPATH"),
        ({"shared": False, "free_bytes": None}, "does not see .*/storage/results.*that all nodes"),
        ({"unwritable": "Read-only file system"}, r"cannot write .*\(Read-only file system\)"),
        ({"gpus": BROKEN}, r"has nvidia0, .* no GPU \(too old\): install .* --gpus-per-trial 0"),
    ],
)
def test_each_difference_from_the_driver_is_one_line_with_the_fix(changed, said):
    (problem,) = problems_of(replace(DRIVER, **changed), DRIVER, STORAGE)
    assert "\n" not in problem
    assert re.search(said, problem)


def test_a_node_sees_the_meeting_point_and_leaves_its_file_there(tmp_path):
    facts = facts_here(str(tmp_path), "node")
    assert (facts.shared, facts.unwritable) == (True, "")
    assert facts.free_bytes > 0
    assert [path.name for path in tmp_path.iterdir()] == ["node"]


def test_a_node_looks_for_gpus_only_where_trials_need_them(tmp_path):
    assert facts_here(str(tmp_path), "node").gpus is None
    assert facts_here(str(tmp_path), "node", gpus=True).gpus == seen_gpus()


def test_a_folder_that_a_node_does_not_see_is_reported_as_not_shared(tmp_path):
    facts = facts_here(str(tmp_path / "elsewhere"), "node")
    assert (facts.shared, facts.unwritable, facts.free_bytes) == (False, "", None)
    assert not list(tmp_path.iterdir())


def test_a_file_that_a_node_cannot_write_is_reported_with_the_reason(tmp_path):
    facts = facts_here(str(tmp_path), "n" * 300)
    assert (facts.shared, facts.unwritable) == (True, "File name too long")


def test_an_error_on_looking_for_the_storage_is_reported_with_the_reason(tmp_path):
    facts = facts_here(str(tmp_path / ("n" * 300)), "node")
    assert (facts.shared, facts.unwritable, facts.cut_off) == (True, "File name too long", True)


def test_a_bucket_is_tried_from_the_node_and_left_empty(bucket):
    facts = facts_here(f"{bucket}/results", "node")
    assert (facts.shared, facts.unwritable, facts.free_bytes) == (True, "", None)
    assert S3Store(bucket).files() == {}


def test_a_bucket_that_a_node_cannot_use_is_reported_with_the_reason(bucket):
    storage = "s3://nobodys-bucket/results"
    facts = facts_here(storage, "node")
    (problem,) = problems_of(replace(DRIVER, unwritable=facts.unwritable), DRIVER, storage)
    assert problem.startswith(f"cannot use {storage}: there is no bucket of that name")


def test_the_fingerprint_is_of_every_line_and_of_no_compiled_file(tmp_path, monkeypatch):
    package = tmp_path / "some_package"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    inner = package / "inner" / "module.py"
    inner.write_text("A = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    first = fingerprint("some_package")
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "module.pyc").write_bytes(b"1")
    assert fingerprint("some_package") == first
    inner.write_text("A = 2\n")
    assert fingerprint("some_package") != first
    inner.rename(package / "module.py")
    (package / "module.py").write_text("A = 1\n")
    assert fingerprint("some_package") != first
    assert fingerprint("no_such_package") == "none"


@pytest.mark.parametrize("cluster_file", ["cluster.yaml", "clusters/on_prem.yaml"])
def test_the_cluster_files_copy_every_package_of_the_project_to_the_head(cluster_file):
    mounts = yaml.safe_load((ROOT / cluster_file).read_text())["file_mounts"]
    assert {f"~/tune-cluster/{package}" for package in PACKAGES} <= mounts.keys()


def test_the_version_of_an_installed_package_is_read_without_importing_it():
    assert installed("ray") == ray.__version__
    assert installed("no-such-distribution") == "none"


REAL = SeenGpus(("nvidia0",), 1)
DECLARED = SeenGpus((), 0)
BROKEN_GPUS = SeenGpus(("nvidia0", "nvidia1"), 0, "RuntimeError: the driver is too old")


def test_without_a_device_file_no_process_is_started_to_look_for_gpus(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.executable", str(tmp_path / "there is none"))
    assert seen_gpus(tmp_path) == SeenGpus((), 0)


@pytest.mark.skipif(seen_gpus().by_torch > 0, reason="torch sees a GPU here")
def test_a_device_that_torch_does_not_see_is_reported_with_the_error_of_torch(
    tmp_path, monkeypatch
):
    for name in ("nvidia1", "nvidia0", "nvidiactl", "null"):
        (tmp_path / name).touch()
    # As Ray sets it for a process that has asked for no GPU: that alone must not hide one.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    seen = seen_gpus(tmp_path)
    assert (seen.device_files, seen.by_torch) == (("nvidia0", "nvidia1"), 0)
    assert seen.reason
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


@pytest.mark.parametrize(
    ("seen", "notice"),
    [
        ({}, ""),
        ({"a": REAL}, ""),
        ({"a": DECLARED}, "no node has one"),
        ({"a": REAL, "b": DECLARED}, "b has none"),
    ],
)
def test_declared_gpus_are_a_notice_that_names_the_nodes(seen, notice):
    assert notice in gpu_notice(seen)
    assert bool(gpu_notice(seen)) is bool(notice)


def test_a_gpu_that_torch_does_not_see_is_an_error_that_names_node_device_and_reason():
    expected = r"node b has nvidia0, nvidia1, .* driver is too old.* --gpus-per-trial 0"
    with pytest.raises(ValueError, match=expected):
        gpu_notice({"a": REAL, "c": DECLARED, "b": BROKEN_GPUS})


@pytest.mark.long
@pytest.mark.skipif(seen_gpus().by_torch > 0, reason="torch sees a GPU here")
def test_a_study_on_declared_gpus_prints_a_notice_that_it_runs_on_the_cpu(run_job, tmp_path):
    arguments = (*TINY, "--trials", "2", "--gpus-per-trial", "0.5", "--name", "declared")
    code, output = run_job(*arguments)
    assert code == 0, output
    said = "GPUs are declared, but no node has one that torch sees: trials run on the CPU"
    assert f"NOTICE    {said}" in output
    study = tmp_path / "results" / "declared"
    assert said in (study / "study.json").read_text()
    assert said in journal_of(study)[0]["notices"][0]
    for trial in (study / "trials").iterdir():
        (text,) = texts_in(trial, "notice")
        assert said in text
