"""Examples of the README have the shown results."""

import re

import pytest

from tests.conftest import ROOT, journal_of, table_of

README = (ROOT / "README.md").read_text()


@pytest.mark.slow
def test_the_readmes_job_for_a_persons_own_trainable_runs(run_job, tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    (block,) = (block for block in blocks if "def job(" in block)
    assert len([line for line in block.splitlines() if line]) <= 20, "short enough to be copied"
    script = tmp_path / "own.py"
    script.write_text(block)
    code, output = run_job("--trials", "3", "--name", "own", script=script)
    assert code == 0, output
    study = tmp_path / "results" / "own"
    assert [(row["status"], row["epochs_run"]) for row in table_of(study)] == [
        ("finished", "27")
    ] * 3
    results = [event for event in journal_of(study) if event["event"] == "result"]
    assert set(results[0]["metrics"]) == {"val_loss", "epoch"}
    assert "none: the trainable saves none" in output


@pytest.mark.parametrize("target", re.findall(r"(?<!`)`make (\w+)`", README))
def test_what_the_readme_says_to_make_can_be_made(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
