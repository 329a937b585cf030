"""Every code block of the pages: Python runs, commands are read by the parser that takes them.

A command of this project and of Ray is parsed, by the code that runs it, as its own tests run it.
`test_readme.py` runs those of the tutorial and of command-line scripts from start to end, and the
job of `own_models.md`. What is only shown is in `ELSEWHERE` and `SHOWN`, with the reason.
"""

import os
import re
import runpy
import shlex
import subprocess
import sys
from itertools import groupby

import click
import pytest
import tomlkit
from markdown_it import MarkdownIt
from ray.scripts.scripts import cli as ray_cli

import tune_cluster
from tests.conftest import ROOT, table_of
from tune_cluster.cli import COMMANDS, run
from tune_cluster.execution.command_line import bound, parse
from tune_cluster.execution.launcher import built_by

PAGES = [
    ROOT / name
    for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
    if (ROOT / name).exists()
] + sorted((ROOT / "docs").glob("*.md"))

ELSEWHERE = {
    "aws": "needs an account; tests/clusters/test_aws.py has a stand-in for what `ray up` asks",
    "docker": "needs a daemon and half an hour",
    "git": "packs the commit for docker",
    "kubectl": "needs a cluster; tests/clusters/test_kuberay.py reads the file by its schema",
    "mkdir": "makes a folder of the reader's home",
    "python3": "makes the environment that this test runs in",
    "sky": "needs a cloud; tests/test_requeue_examples.py reads its file",
    "source": "enters that environment",
    "tensorboard": "serves until it is ended; tests/test_tensorboard_pages.py opens it",
}
"""Programs of blocks that are not run or parsed here."""

SHOWN = {
    "judged     rung 1 is left out": "a line of output, whose figures are those of one study",
    "results/<name>/": "a tree of files",
    "data      texts are in column": "lines of a plan; test_study.py of texts runs such a study",
    "data      cars": "lines of a plan; tests/execution/test_baselines.py runs such a study",
}
"""Blocks without a language, by their beginning."""

LOOP = """
import argparse
import torch
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=2)
model = torch.nn.Linear(1, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
loss = accuracy = 0.5
"""

TRAIN = """
import tune_cluster as tc
space = {"lr": tc.log(1e-4, 1e-1)}
def train(config):
    for _ in tc.epochs(1):
        tc.report(val_loss=config["lr"])
"""

BEST = """
from pathlib import Path
from tests.trainables.text.made_up import made_up
from tests.trainables.text.test_predictor import best_of
folder = Path("results/reviews/best")
folder.mkdir(parents=True)
best_of(folder, made_up())
"""

GIVEN = {"README.md": LOOP, "own_models.md": LOOP, "requeue.md": TRAIN, "text.md": BEST}
"""What the Python of a page takes from its reader."""

IN_A_KERNEL = "notebooks.md"
"""Page whose Python `test_notebook.py` runs, cell by cell."""

BLOCKS = [
    (page.name, token.map[0] + 1, token.info.strip(), token.content)
    for page in PAGES
    for token in MarkdownIt().parse(page.read_text())
    if token.type == "fence"
]


def place(block):
    return "{}:{}".format(*block[:2])


def of(*languages):
    return [block for block in BLOCKS if block[2] in languages]


def without_indentation(text):
    return "\n".join(line.strip() for line in text.strip().splitlines())


EXAMPLES = [without_indentation(path.read_text()) for path in (ROOT / "examples").glob("*.py")]


def is_part_of_an_example(code):
    return any(without_indentation(code) in example for example in EXAMPLES)


def scripts():
    """Return the Python of each page as one script, without what tests of examples and jobs run."""
    here = [block for block in of("python", "diff") if block[0] != IN_A_KERNEL]
    for page, blocks in groupby(here, key=lambda block: block[0]):
        run_here = [
            "\n".join(re.findall(r"^\+(.*)", code, flags=re.MULTILINE)) if kind == "diff" else code
            for _, _, kind, code in blocks
            if not is_part_of_an_example(code) and "def job(" not in code
        ]
        if run_here:
            script = "\n".join([GIVEN.get(page, ""), *run_here])
            marks = pytest.mark.long if "tc.search(" in script else pytest.mark.slow
            yield pytest.param(script, id=page, marks=marks)


@pytest.mark.parametrize("script", scripts())
def test_the_python_of_a_page_runs(script, temporary, tmp_path):
    (tmp_path / "page.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "page.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    studies = [*(tmp_path / "results").glob("*/trials.csv")]
    assert len(studies) == script.count("tc.search(")
    for study in studies:
        rows = table_of(study.parent)
        assert rows
        assert {row["status"] for row in rows} <= {"finished", "stopped"}


def commands(block):
    """Return the words of each command of a block, without variables and comments."""
    for line in block[3].replace("\\\n", " ").splitlines():
        line = re.sub(r"^\w+=\$\((.*)\)$", r"\1", line.removeprefix("$ "))
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;")
        lexer.whitespace_split = True
        for ends, words in groupby(lexer, key=lambda word: set(word) <= set("|&;")):
            found = [*words]
            while found and re.match(r"[A-Z_]+=", found[0]):
                del found[0]
            if found and not ends:
                yield found


def commands_in(blocks):
    return [
        # A script that is searched runs up to its arguments.
        pytest.param(
            words,
            id=f"{place(block)}-{' '.join(words[:3])}",
            marks=pytest.mark.slow if re.search(r"run \S+\.py ", " ".join(words)) else (),
        )
        for block in blocks
        for words in commands(block)
    ]


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder with the files that commands name, and a training script of the reader's own."""
    for path in ROOT.iterdir():
        if not path.name.startswith(".") and path.name != "results":
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "train.py").write_text((ROOT / "examples" / "plain_script.py").read_text())
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("words", commands_in(of("sh", "bash", "console")))
def test_a_command_of_a_page_is_accepted(words, checkout):
    if "examples/lightning_script.py" in words:
        pytest.importorskip("lightning")
    take(words)


def take(words):
    """Parse a command by the code that takes it; an error is raised by what is wrong."""
    program, *rest = words
    if program == "make":
        makefile = (ROOT / "Makefile").read_text()
        for target in (word for word in rest if "=" not in word):
            assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
    elif program == "pip":
        project = tomlkit.parse((ROOT / "pyproject.toml").read_text())["project"]
        extras = re.findall(r"[\w-]+", " ".join(re.findall(r"\[(.*?)\]", " ".join(rest))))
        assert set(extras) <= set(project["optional-dependencies"])
    elif program == "tune-cluster":
        take_ours(*rest)
    elif program == "python":
        take_job(re.sub(r"^(~/)?tune-cluster/", "", rest[0]), rest[1:])
    elif program == "sbatch":
        assert (ROOT / rest[0]).is_file()
        take(rest[1:])
    elif program == "ray":
        take_rays(rest)
    elif program.endswith("pre-commit"):
        assert (ROOT / ".pre-commit-config.yaml").is_file()
    else:
        assert program in ELSEWHERE, f"{program}: run or parse it here, or say why not"


def take_ours(name, *argv):
    """Parse a command of `tune-cluster`; flags and space of `run` are built as for a study."""
    if name == "run":
        script, *flags = run(*argv)
        take_job(script, flags)
    else:
        bound(COMMANDS[name], argv, prog=name)


def take_job(script, flags):
    """Parse the flags of a job; a space of the command line is built too."""
    assert (ROOT / script).is_file(), script
    if "tune_jobs/" not in script:
        return
    job = runpy.run_path(str(ROOT / script))["job"]
    command = parse(job, flags)
    if "--search" in flags:
        built_by(job, command)


def take_rays(words):
    """Parse a command of Ray, and the command of ours in it."""
    command = ray_cli
    while isinstance(command, click.Group):
        name, *words = words
        command = command.commands[name]
    read = command.make_context(name, [*words]).params
    if file := read.get("cluster_config_file"):
        assert (ROOT / file).is_file()
    if "script_args" in read:
        take(["python", read["script"], *read["script_args"]])
    elif read.get("cmd"):
        take(shlex.split(read["cmd"]))
    elif read.get("entrypoint"):
        take([*read["entrypoint"]])


@pytest.mark.parametrize("block", BLOCKS, ids=place)
def test_a_block_is_python_commands_or_listed_as_shown_only(block):
    _, _, language, code = block
    if language not in ("python", "diff", "sh", "bash", "console"):
        assert any(code.startswith(beginning) for beginning in SHOWN)


def test_every_listed_exception_occurs_on_a_page():
    programs = {words.values[0][0] for words in commands_in(of("sh", "bash", "console"))}
    inner = {"tensorboard"}  # in a command of `ray exec`
    assert set(ELSEWHERE) <= programs | inner
    assert all(any(code.startswith(start) for *_, code in BLOCKS) for start in SHOWN)
    assert set(GIVEN) <= {page for page, *_ in of("python")}


def test_the_api_page_has_every_public_name_and_no_other():
    listed = re.findall(r"^::: (\S+)$", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE)
    named = {f"{module}.{name}" for name, module in tune_cluster._OURS.items()}
    assert {path for path in listed if path.startswith("tune_cluster.")} == named
