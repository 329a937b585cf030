"""Description of the code that has run a study."""

import os
import shutil
import subprocess
import sys

from tests.conftest import ROOT
from tune_cluster.execution.description import git_commit


def test_the_commit_is_that_of_the_checkout_of_this_project_alone(tmp_path):
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert git_commit() == described.stdout.strip()
    # As in an environment that is inside the checkout of another project, ignored by it.
    installed = tmp_path / ".venv"
    for package in ("tune_cluster", "search_spaces"):
        shutil.copytree(ROOT / package, installed / package)
    (tmp_path / ".gitignore").write_text(".venv\n")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "theirs"]):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True)
    asks = "from tune_cluster.execution.description import git_commit; print(repr(git_commit()))"
    done = subprocess.run(
        [sys.executable, "-c", asks],
        env={**os.environ, "PYTHONPATH": str(installed)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "''\n"
