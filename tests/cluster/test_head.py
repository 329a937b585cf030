"""A head that is gone ends the process, one that stumbles or a study that ends does not."""

import socket
import subprocess
import sys

import pytest

SCRIPT = """
import sys, time
from tune_cluster.cluster import head
head.PROBE_SECONDS = 0.05
with head.watched(sys.argv[1], print):
    if "over" not in sys.argv:
        time.sleep(float(sys.argv[2]))
time.sleep(1)
"""


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def address_of(server):
    return f"127.0.0.1:{server.getsockname()[1]}"


def run(*arguments):
    done = subprocess.run(
        [sys.executable, "-u", "-c", SCRIPT, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout


def test_a_head_that_does_not_answer_ends_the_process_with_what_to_do(listening):
    address = address_of(listening)
    listening.close()
    code, line = run(address, "60")
    assert code == 75
    assert line.startswith(f"the cluster's head at {address} has not answered")


def test_the_process_continues_while_the_head_answers_and_once_the_study_is_over(listening):
    address = address_of(listening)
    assert run(address, "1") == (0, "")
    listening.close()
    assert run(address, "0", "over") == (0, "")


def test_a_head_that_does_not_answer_ends_the_process_even_if_the_line_cannot_be_printed(listening):
    address = address_of(listening)
    listening.close()
    script = SCRIPT.replace("print)", "lambda line: 1 / 0)")
    command = [sys.executable, "-c", script, address, "60"]
    assert subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 75
