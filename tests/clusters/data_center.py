"""A throw-away data centre on one machine: a client and some nodes, each a machine of its own.

Each has PID, network, mount, IPC and UTS namespaces of its own: its own address on a bridge, its
own processes, /tmp, home folder and, except on the client, sshd. So `ray stop` on a node ends the
processes of that node alone, and the ports that are listened on there can be listed. All of them
see this environment's Python, read-only, and one folder under /mnt/shared as storage. The kernel
ends everything in it with the process that started it, however that one ends, and it leaves nothing
on the disk but keys and storage, in one folder.

Tested on Debian 12 as root; `missing()` lists what is needed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
BOOT = Path(__file__).with_name("boot.sh")
NAMESPACES = ("--net", "--mount", "--pid", "--ipc", "--uts")
PROGRAMS = {
    "ip": "iproute2",
    "/usr/sbin/sshd": "openssh-server",
    "ssh": "openssh-client",
    "rsync": "rsync",
    "script": "bsdutils",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
}
"""Programs that are run, and the Debian package of each."""

CLIENT_ADDRESS = "10.77.0.1"
STORAGE = "/mnt/shared"
"""Path at which every machine sees the storage."""


def missing() -> str | None:
    """Why no data centre can be built here, or None."""
    if os.geteuid() != 0:
        return "needs root"
    packages = {package for program, package in PROGRAMS.items() if not shutil.which(program)}
    if packages:
        return f"needs Debian's {', '.join(sorted(packages))}"
    bridge = ["ip", "link", "add", "br0", "type", "bridge"]
    tried = subprocess.run(
        ["unshare", *NAMESPACES, "--fork", *bridge], capture_output=True, text=True, check=False
    )
    return f"needs namespaces and a bridge: {tried.stderr.strip()}" if tried.returncode else None


def wait_until(condition: Callable[[], object], what: str, seconds: float = 30) -> None:
    """Returns as soon as `condition()` holds.

    Raises:
        AssertionError: it does not hold after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.2)


@dataclass(frozen=True)
class Machine:
    """One machine of the data centre."""

    name: str
    address: str
    folder: str
    """Prefix of commands on it."""
    keeper: subprocess.Popen[str]
    """The parent of its process 1, which ends with it."""
    pid: int
    """Process id of its process 1, as seen from outside."""

    def argv(self, *command: str) -> list[str]:
        """`command` to be run on it, past ssh, with the environment of a fresh login."""
        path = (
            f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/bin"
        )
        return [
            *("nsenter", "--target", str(self.pid)),
            *NAMESPACES,
            f"--wdns={self.folder}",
            *("env", "-i", "HOME=/root", "USER=root", "SHELL=/bin/bash", "TERM=dumb"),
            *("LANG=C.UTF-8", f"PATH={path}"),
            # The command is nsenter's child: a signal to nsenter is meant for the command.
            *("setpriv", "--pdeathsig", "KILL"),
            *command,
        ]

    def run(self, *command: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Runs `command` on it to its end, with its two outputs as one.

        Raises:
            subprocess.TimeoutExpired: it took over `timeout` seconds.
        """
        return subprocess.run(
            self.argv(*command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Starts `command` on it, with a pipe to its input and its two outputs as another."""
        return subprocess.Popen(
            self.argv(*command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def processes(self) -> list[str]:
        """The command lines of all that runs on it, but for process 1."""
        own = Path(f"/proc/{self.pid}/ns/pid").readlink()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if process.name != str(self.pid) and (process / "ns/pid").readlink() == own:
                    command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    # One that has ended and waits for its parent has none.
                    found += [command.strip()] if command else []
            except OSError:
                # It has ended meanwhile.
                continue
        return sorted(found)

    def listening(self) -> dict[tuple[str, int], str]:
        """Return the programs that listen for TCP on it, by (address, port)."""
        found = {}
        for line in self.run("ss", "--listening", "--tcp", "--numeric", "-Hp").stdout.splitlines():
            address, _, port = line.split()[3].rpartition(":")
            found[address, int(port)] = line.partition('users:(("')[2].partition('"')[0]
        return found

    def kill(self) -> None:
        """Ends it and all that runs on it, as if its power were cut."""
        os.kill(self.pid, signal.SIGKILL)
        self.keeper.wait()


class DataCenter:
    """A client at 10.77.0.1 that has the checkout, and nodes at 10.77.0.11 and up that have not.

    The client's key opens root's account on every node.

    Args:
        nodes: how many.
        environment: variables that the owner of the nodes has set in their ~/.bashrc.

    Raises:
        RuntimeError: a machine did not come up.
    """

    def __init__(self, nodes: int, environment: dict[str, str] | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="data-center-"))
        self.storage = self.folder / "storage"
        """Folder that the machines see as /mnt/shared."""
        self._machines: list[Machine] = []
        addresses = [f"10.77.0.{11 + number}" for number in range(nodes)]
        try:
            self._prepare(addresses, environment or {})
            self.client = self._boot("client", "client", CLIENT_ADDRESS)
            self._ip(self.client, "link", "add", "br0", "type", "bridge")
            self._ip(self.client, "addr", "add", f"{CLIENT_ADDRESS}/24", "dev", "br0")
            self._ip(self.client, "link", "set", "br0", "up")
            self.nodes = [
                self._boot("node", f"node{number}", address)
                for number, address in enumerate(addresses)
            ]
            for node in self.nodes:
                self._connect(node)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> DataCenter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends every machine; the kernel takes their mounts and networks with them."""
        for machine in self._machines:
            if machine.keeper.poll() is None:
                machine.kill()
            assert machine.keeper.stdout is not None
            machine.keeper.stdout.close()
        shutil.rmtree(self.folder)

    def _prepare(self, addresses: Sequence[str], environment: dict[str, str]) -> None:
        """Keys, home folders and configuration, which each machine takes a copy of."""
        setup = self.folder / "setup"
        client_ssh, node_ssh = setup / "client-home/.ssh", setup / "node-home/.ssh"
        for folder in (self.storage, client_ssh, node_ssh):
            folder.mkdir(parents=True)
            folder.chmod(0o700)
        for key in (client_ssh / "id_ed25519", setup / "host_key"):
            subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", str(key)], check=True)
        shutil.copy(client_ssh / "id_ed25519.pub", node_ssh / "authorized_keys")
        # Installations of the node's owner: this environment and its Python.
        (setup / "node-home/venv").symlink_to(sys.prefix)
        (setup / "node-home/.bashrc").write_text(
            f"export PATH=$PATH:{sys.base_prefix}/bin\n"
            + "".join(f"export {name}='{value}'\n" for name, value in environment.items())
        )
        names = {CLIENT_ADDRESS: "client", "127.0.0.1": "localhost"}
        names.update({address: f"node{number}" for number, address in enumerate(addresses)})
        (setup / "hosts").write_text("".join(f"{a} {name}\n" for a, name in names.items()))
        (setup / "sshd_config").write_text(
            "HostKey /mnt/setup/host_key\n"
            "PasswordAuthentication no\n"
            "PermitRootLogin prohibit-password\n"
            "UsePAM no\n"
            # Ray opens many at once; the default refuses some of 10 that have not logged in yet.
            "MaxStartups 50\n"
            "MaxSessions 50\n"
        )

    def _boot(self, role: str, name: str, address: str) -> Machine:
        """Starts process 1 of a machine."""
        kept = [sys.base_prefix, sys.prefix]
        if role == "client":
            kept.insert(0, str(CHECKOUT))
        keeper = subprocess.Popen(
            # The keeper ends with this process, and the machine with its keeper.
            [
                *("setpriv", "--pdeathsig", "KILL"),
                *("unshare", *NAMESPACES, "--fork", "--kill-child", "--mount-proc"),
                *("--propagation", "private", "bash", str(BOOT), role, name),
                *(str(self.folder / "setup"), str(self.storage), *kept),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "CHECKOUT": str(CHECKOUT)},
        )
        assert keeper.stdout is not None
        said = keeper.stdout.readline()
        if said != "ready\n":
            said += keeper.stdout.read()
            keeper.wait()
            keeper.stdout.close()
            raise RuntimeError(f"{name} did not come up: {said}")
        (pid,) = Path(f"/proc/{keeper.pid}/task/{keeper.pid}/children").read_text().split()
        folder = str(CHECKOUT) if role == "client" else "/root"
        machine = Machine(name, address, folder, keeper, int(pid))
        self._machines.append(machine)
        return machine

    def _connect(self, node: Machine) -> None:
        """Plugs a node into the client's bridge, and waits for its sshd."""
        port = f"to-{node.name}"
        peer = ("peer", "name", "eth0", "netns", str(node.pid))
        self._ip(self.client, "link", "add", port, "type", "veth", *peer)
        self._ip(self.client, "link", "set", port, "master", "br0", "up")
        self._ip(node, "addr", "add", f"{node.address}/24", "dev", "eth0")
        self._ip(node, "link", "set", "eth0", "up")
        # By its default route Ray finds out which address is the node's.
        self._ip(node, "route", "add", "default", "via", CLIENT_ADDRESS)
        knock = ("bash", "-c", f": < /dev/tcp/{node.address}/22")
        wait_until(lambda: self.client.run(*knock).returncode == 0, f"sshd of {node.name}")

    @staticmethod
    def _ip(machine: Machine, *arguments: str) -> None:
        # In its network alone: `netns` names a process of the outside.
        enter = ("nsenter", "--target", str(machine.pid), "--net")
        subprocess.run([*enter, "ip", *arguments], check=True)
