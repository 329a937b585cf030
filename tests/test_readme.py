"""README and docs: what runs from start to end, and the files that they name.

The blocks of all pages are held by `test_pages.py`.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT, journal_of, table_of

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
README = (ROOT / "README.md").read_text()


def blocks(page, *languages):
    """Return the code blocks of a page in these languages."""
    fences = re.findall(r"^```(\w+)\n(.*?)^```", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return [code for language, code in fences if language in languages]


def commands(page):
    """Return the words of each command in the shell blocks of a page."""
    for block in blocks(page, "sh", "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            if words := shlex.split(line, comments=True):
                yield words


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 160


@pytest.mark.long
def test_the_documented_job_for_a_users_trainable_runs(run_job, tmp_path):
    found = blocks(ROOT / "docs" / "own_models.md", "python")
    (block,) = (block for block in found if "def job(" in block)
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
    assert "none: no trial has saved one" in output


def runnable(words):
    """Return a command for this Python with a Ray of its own, None for a mere pattern of one."""
    if not any(word.startswith(("examples/", "results/")) for word in words):
        return None
    words = [sys.executable if word == "python" else word for word in words]
    if words[0] == sys.executable:
        return words
    assert words[0] == "tune-cluster", words
    local = ["--address", "local"] if words[1] in ("run", "resume") else []
    end = words.index("--") if "--" in words else len(words)
    return [sys.executable, "-m", "tune_cluster", *words[1:end], *local, *words[end:]]


@pytest.mark.long
@pytest.mark.parametrize(
    ("page", "studies"), [("tutorial", {"digits": 24}), ("command_lines", {"command": 8})]
)
def test_commands_of_a_page_run_one_after_the_other(page, studies, tmp_path):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    shown = [runnable(words) for words in commands(ROOT / "docs" / f"{page}.md")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for command in filter(None, shown):
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    assert {name: len(table_of(tmp_path / "results" / name)) for name in studies} == studies


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_existing_files(page):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    missing = [
        link
        for link in links
        if not re.match(r"https?:", link) and not (page.parent / link).exists()
    ]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_name_existing_files(page):
    for words in commands(page):
        for word in words:
            if re.fullmatch(r"(examples|tune_jobs|benchmarks|clusters)/[\w/]+\.\w+", word):
                assert (ROOT / word).is_file(), words


@pytest.mark.parametrize("target", re.findall(r"(?<!`)`make (\w+)`", README))
def test_every_make_target_of_the_readme_exists(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
