"""Error messages, on terminals and in files of any encoding."""

import io
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tune_cluster.errors import message_of

TELL = """
from rich.console import Console
from rich.table import Table
from tune_cluster.errors import accept_all_characters, print_error
accept_all_characters()
Console().print("4 of 8 \\u00b7 0.5 \\u00b1 0.1 \\u2026 gr\\u00fcn \\u4e2d \\udcff")
table = Table("a")
table.add_row("\\u00b7")
Console().print(table)
with Console(force_terminal=True).status("\\u00b7"):
    pass
print_error("gr\\u00fcn \\udcff")
"""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_no_character_ends_a_process_whose_output_cannot_encode_it(encoding):
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", TELL]
    done = subprocess.run(command, capture_output=True, env=environment, check=True)
    said = done.stdout.decode(encoding)
    shown = {
        "ascii": r"4 of 8 - 0.5 +- 0.1 ... gr\xfcn \u4e2d \udcff",
        "latin-1": r"4 of 8 · 0.5 ± 0.1 ... grün \u4e2d \udcff",
        "utf-8": r"4 of 8 · 0.5 ± 0.1 … grün 中 \udcff",
    }[encoding]
    assert shown in said
    assert done.stderr.decode(encoding).startswith("error: gr")


def test_an_error_of_the_system_is_reported_with_its_path(tmp_path):
    with pytest.raises(FileNotFoundError) as found:
        (tmp_path / "missing").read_text()
    assert message_of(found.value) == f"{tmp_path / 'missing'}: No such file or directory"
    assert message_of(io.UnsupportedOperation("fileno")) == "fileno"


PRINTS = """
from tune_cluster.errors import exit_on_error
with exit_on_error():
    print("x" * 100_000)
"""


@pytest.mark.parametrize("command", [("tune_jobs/asha_lr_batch.py", "--help"), ("-c", PRINTS)])
def test_a_closed_standard_output_is_no_error(command):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stdout:
        done = subprocess.run(
            [sys.executable, *command],
            stdout=stdout,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, b"")


def test_another_broken_pipe_is_an_error():
    code = """
import os
from tune_cluster.errors import exit_on_error
reader, writer = os.pipe()
os.close(reader)
with exit_on_error():
    os.write(writer, b"x")
"""
    command = [sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"error: ")
