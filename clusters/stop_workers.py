"""Stop Ray on every machine of an on-premises cluster, and print what still runs on each.

    python clusters/stop_workers.py clusters/on_prem.yaml

Run it after `ray down`, which with `provider: {type: local}` stops the head alone, although it
reports that no node remains. Not before: the head would restart the workers. Exit code 1 if a
process of Ray still runs, or a machine does not answer.
"""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

STOP = (
    "~/venv/bin/ray stop >/dev/null 2>&1; "
    # The brackets keep the pattern from matching its own shell.
    "pgrep -u $USER -af '[r]ay::|[r]ay-dashboard|site-packages/[r]ay/|[r]ay[.](util|dashboard)'; "
    "test $? = 1"
)
"""Command that fails, and prints the processes, if any process of Ray runs."""


def main(path: str) -> int:
    """Stop the machines of the cluster file at `path`; return the exit code."""
    config = yaml.safe_load(Path(path).read_text())
    provider = config["provider"]
    if provider["type"] != "local":
        print(f"{path}: `ray down` ends all machines of a cluster on {provider['type']}")
        return 2
    head = provider.get("external_head_ip", provider["head_ip"])
    with ThreadPoolExecutor() as pool:
        workers = pool.map(
            lambda worker: stop(config["auth"], worker, head), provider["worker_ips"]
        )
        # The head last, since the workers are reached through it.
        clean = [*workers, stop(config["auth"], head)]
    return 0 if all(clean) else 1


def stop(auth: dict[str, Any], machine: str, by_way_of: str | None = None) -> bool:
    """Stop Ray on `machine`, and print the result; return whether no process of it is left."""
    ssh = ["ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=accept-new"]
    ssh += ["-o", "ConnectTimeout=10"]
    if "ssh_private_key" in auth:
        ssh += ["-i", str(Path(auth["ssh_private_key"]).expanduser())]
    user = auth["ssh_user"]
    command = [*ssh, f"{user}@{machine}", STOP]
    if by_way_of is not None:
        command[1:1] = ["-o", f"ProxyCommand={' '.join(ssh)} -W %h:%p {user}@{by_way_of}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    told = "nothing of Ray runs" if done.returncode == 0 else (done.stdout + done.stderr).strip()
    print(f"{machine}: {told}", flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python clusters/stop_workers.py CLUSTER.yaml")
    sys.exit(main(sys.argv[1]))
