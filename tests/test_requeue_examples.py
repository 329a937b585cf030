"""Commands that a requeuing system repeats, in examples and in docs/requeue.md: each is one that
the project takes, and that resumes or starts a study."""

import os
import re
import runpy
import shlex
from string import Template

import kubernetes_validate
import pytest
import yaml

from tests.clusters.test_kuberay import KUBERNETES
from tests.conftest import ROOT
from tune_cluster.cli import run
from tune_cluster.execution.command_line import parse

EXAMPLES = ROOT / "examples"
SKYPILOT = yaml.safe_load((EXAMPLES / "skypilot" / "study.yaml").read_text())
JOB = yaml.safe_load((EXAMPLES / "kubernetes" / "study.yaml").read_text())
PAGE = (ROOT / "docs" / "requeue.md").read_text()


def commands():
    head = (EXAMPLES / "slurm" / "study.sbatch").read_text().split("\n#\n")[1]
    yield re.sub(r"\\?\n?#  +", "", head)
    yield Template(SKYPILOT["run"].replace("\\\n", "")).substitute(SKYPILOT["envs"])
    (container,) = JOB["spec"]["template"]["spec"]["containers"]
    yield shlex.join([*container["command"], *container["args"]])
    for block in re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL):
        yield from (line for line in block.splitlines() if not line.startswith("sky "))


@pytest.mark.parametrize("command", commands())
def test_a_command_of_a_requeued_job_resumes_or_starts(command, tmp_path, monkeypatch):
    for folder in ("examples", "tune_jobs"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    (tmp_path / "train.py").touch()
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command)
    if words[0] == "sbatch":
        assert os.access(words[1], os.R_OK)
        words = words[2:]
    assert words[:2] == ["tune-cluster", "run"] or words[0] == "python"
    script, *flags = run(*words[2:]) if words[0] == "tune-cluster" else words[1:]
    read = parse(runpy.run_path(script)["job"], flags)
    assert read.options.resume_or_start
    assert read.options.name
    assert read.options.storage_path != "results", "a place that every node sees"


def test_the_commands_of_all_places_are_found():
    assert len([*commands()]) == 7


def test_the_job_of_kubernetes_is_valid():
    kubernetes_validate.validate(JOB, KUBERNETES, strict=True)
