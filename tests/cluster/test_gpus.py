"""What is said of GPUs before the first trial: those that are only declared, and broken ones."""

import os

import pytest

from tests.callbacks.test_curves import texts_in
from tests.conftest import TINY, journal_of
from tune_cluster.cluster.gpus import SeenGpus, notice_of, seen_gpus

REAL = SeenGpus(("nvidia0",), 1)
DECLARED = SeenGpus((), 0)
BROKEN = SeenGpus(("nvidia0", "nvidia1"), 0, "RuntimeError: the driver is too old")


def test_without_a_device_file_nothing_is_started_to_look(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.executable", str(tmp_path / "there is none"))
    assert seen_gpus(tmp_path) == SeenGpus((), 0)


@pytest.mark.skipif(seen_gpus().by_torch > 0, reason="torch sees a GPU here")
def test_a_device_that_torch_does_not_see_is_told_with_what_torch_says(tmp_path, monkeypatch):
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
    assert notice in notice_of(seen)
    assert bool(notice_of(seen)) is bool(notice)


def test_a_gpu_that_torch_does_not_see_is_an_error_that_names_node_device_and_reason():
    expected = r"node b has nvidia0, nvidia1, .* driver is too old.* --gpus-per-trial 0"
    with pytest.raises(ValueError, match=expected):
        notice_of({"a": REAL, "c": DECLARED, "b": BROKEN})


@pytest.mark.long
@pytest.mark.skipif(seen_gpus().by_torch > 0, reason="torch sees a GPU here")
def test_a_study_on_declared_gpus_says_loudly_that_it_runs_on_the_cpu(run_job, tmp_path):
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
