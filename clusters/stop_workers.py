"""Stops Ray on every machine of an on-premises cluster, and says of each what still runs there.

    python clusters/stop_workers.py clusters/on_prem.yaml

For after `ray down`, which with `provider: {type: local}` stops the head alone, though it says that
no node remains. Not before: the head would start the workers again. Exit code 1 where something of
Ray still runs, or a machine does not answer.
"""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

STOP = (
    "~/venv/bin/ray stop >/dev/null 2>&1; "
    # The brackets keep the pattern from finding the shell that it is in.
    "pgrep -u $USER -af '[r]ay::|[r]ay-dashboard|site-packages/[r]ay/|[r]ay[.](util|dashboard)'; "
    "test $? = 1"
)
"""Fails, and says what runs, unless nothing of Ray runs."""


def main(path: str) -> int:
    """Stops what `path`, a cluster file, names; the exit code."""
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
        # The head last: the way to the workers leads over it.
        clean = [*workers, stop(config["auth"], head)]
    return 0 if all(clean) else 1


def stop(auth: dict[str, Any], machine: str, by_way_of: str | None = None) -> bool:
    """Stops Ray on `machine`, and prints what came of it; whether nothing of it is left there."""
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
