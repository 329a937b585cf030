"""The machines of the data centre are apart, but for network and storage, and leave nothing."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.clusters.data_center import CHECKOUT, wait_until

SSH = ("ssh", "-o", "StrictHostKeyChecking=no")


def test_the_client_logs_in_on_every_node_and_no_node_sees_the_checkout(data_center):
    for node in data_center.nodes:
        look = f"hostname; cat /mnt/shared/greeting; ls {CHECKOUT}/tests; ~/venv/bin/python -V"
        (data_center.storage / "greeting").write_text("hello\n")
        said = data_center.client.run(*SSH, node.address, look).stdout
        assert f"{node.name}\nhello\n" in said
        assert "No such file" in said
        assert f"Python {sys.version.split()[0]}" in said
    assert data_center.client.run("ls", "tests/clusters").returncode == 0


def test_nodes_share_no_processes_and_no_files_of_their_own(data_center):
    first, second, _ = data_center.nodes
    server = first.start("python", "-m", "http.server", "--bind", "127.0.0.1", "8000")
    try:
        wait_until(lambda: ("127.0.0.1", 8000) in first.listening(), "its server listens")
        assert any("http.server" in command for command in first.processes())
        assert not any("http.server" in command for command in second.processes())
        assert ("127.0.0.1", 8000) not in second.listening()
        first.run("touch", "/tmp/mine", "/root/mine", "/dev/shm/mine")
        seen = second.run("ls", "/tmp", "/root", "/dev/shm")
        assert seen.returncode == 0
        assert "mine" not in seen.stdout
    finally:
        server.kill()
        server.communicate()


def test_no_machine_can_change_the_shared_python_environment(data_center):
    for machine in (data_center.client, *data_center.nodes):
        tried = machine.run("touch", f"{sys.prefix}/changed")
        assert "Read-only" in tried.stdout


def test_a_data_center_ends_with_its_process(data_center, tmp_path):
    code = (
        "from tests.clusters.data_center import DataCenter\n"
        "center = DataCenter(1)\n"
        "print(center.folder, center.client.pid, center.nodes[0].pid, flush=True)\n"
        "input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=CHECKOUT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    folder, *pids = process.stdout.readline().split()
    assert Path(folder).parent == tmp_path
    assert all(Path("/proc", pid).exists() for pid in pids)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_until(lambda: not any(Path("/proc", pid).exists() for pid in pids), "its end")
