"""`examples/slurm/study.sbatch` on two machines, with stand-ins for `srun` and `scontrol`.

Slurm itself is not here. What its job script does is: it starts Ray on both nodes, runs the study,
ends it in order on Slurm's signal, asks for another run, and resumes in that.
"""

import json
import re
import shutil
import stat
import subprocess

import pytest

from tests.clusters.data_center import CHECKOUT, DataCenter, missing, wait_until
from tests.conftest import PATIENCE, journal_of, table_of
from tests.test_resume import assert_whole

pytestmark = pytest.mark.long

SCRIPT = CHECKOUT / "examples" / "slurm" / "study.sbatch"
PROJECT = ("tune_cluster", "tune_jobs", "search_spaces", "trainables", "examples")

# Runs the command on each node over ssh, with this environment, and ends what is left of it so many
# seconds after the first has ended, as Slurm does.
SRUN = """#!/usr/bin/env bash
while [[ $1 == --* ]]; do
    [[ $1 == --wait=* ]] && wait=${1#--wait=}
    shift
done
there="$(export -p); cd $(printf %q "$PWD"); exec $(printf '%q ' "$@")"
pids=()
for node in $SLURM_JOB_NODELIST; do
    ssh -o StrictHostKeyChecking=no -o LogLevel=ERROR "$node" "$(printf 'bash -c %q' "$there")" &
    pids+=($!)
done
wait -n "${pids[@]}"
code=$?
for ((i = 0; i < wait * 10; i++)); do
    jobs -r | grep -q . || break
    sleep 0.1
done
for node in $SLURM_JOB_NODELIST; do
    [[ $node == "$(hostname)" ]] || ssh -o StrictHostKeyChecking=no "$node" pkill -KILL -x raylet
done
exit "$code"
"""

SCONTROL = """#!/usr/bin/env bash
echo "$@" >>/mnt/shared/scontrol.log
"""

STUDY = (
    *("python", "-m", "tune_cluster", "run", "examples/plain_script.py"),
    *("--search", "lr=log:0.001:1", "--search", "batch-size=16,32,64", "--metric", "val_loss"),
    *("--trials", "30", "--resume-or-start", "--name", "study"),
    *("--storage-path", "/mnt/shared/results", "--", "--epochs", "4"),
)


def test_the_script_passes_bash_and_shellcheck():
    subprocess.run(["bash", "-n", str(SCRIPT)], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", str(SCRIPT)], check=True)


def test_a_command_without_resume_or_start_is_refused(tmp_path):
    done = subprocess.run(
        ["bash", str(SCRIPT), "tune-cluster", "run", "train.py", "--name", "lr"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    assert done.returncode == 2
    assert "give --resume-or-start" in done.stderr
    assert not list(tmp_path.iterdir())


class Job:
    """A job of Slurm on two nodes, the first of which runs the script."""

    def __init__(self, center):
        self.center, self.node = center, center.nodes[0]
        for name in PROJECT:
            shutil.copytree(CHECKOUT / name, center.storage / "project" / name)
        shutil.copy(SCRIPT, center.storage / "study.sbatch")
        for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
            path = center.storage / "bin" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        # The first node logs in on both.
        shutil.copy(center.folder / "setup/client-home/.ssh/id_ed25519", center.storage / "key")
        self.node.run("bash", "-c", "install -m 600 /mnt/shared/key ~/.ssh/id_ed25519")
        (center.storage / "key").unlink()

    def start(self):
        names = " ".join(node.name for node in self.center.nodes)
        environment = {
            **{"SLURM_JOB_ID": "4217", "SLURM_JOB_NUM_NODES": "2", "SLURM_CPUS_PER_TASK": "2"},
            **{"SLURM_JOB_NODELIST": names, "PYTHONPATH": "/mnt/shared/project"},
            "RAY_AUTH_TOKEN_PATH": "/mnt/shared/auth_token",
        }
        setting = " ".join(f"export {name}='{value}';" for name, value in environment.items())
        return self.node.start(
            *("bash", "-c"),
            f"{setting} export PATH=/mnt/shared/bin:$PATH; cd /mnt/shared/project; "
            'echo $$ >/tmp/batch.pid; exec bash /mnt/shared/study.sbatch "$@"',
            *("sbatch", *STUDY),
        )

    def near_the_time_limit(self):
        """Send what `--signal=B:TERM@120` asks for."""
        self.node.run("bash", "-c", "kill -TERM $(cat /tmp/batch.pid)")

    def has_a_driver(self):
        """Return whether the study runs, on the first node."""
        driver = re.compile(r"\S*python\S* -m tune_cluster run ")
        return any(driver.match(line) for line in self.node.processes())


@pytest.fixture(scope="module")
def job():
    reason = missing()
    if reason is not None:
        pytest.skip(f"no data centre here: it {reason}")
    with DataCenter(2) as center:
        yield Job(center)


def test_an_ended_job_requeues_itself_and_the_next_run_resumes_the_study(job):
    study = job.center.storage / "results" / "study"
    first = job.start()

    def reported():
        assert first.poll() is None, first.communicate()[0]
        lines = journal_of(study) if (study / "journal.jsonl").exists() else []
        return len({event.get("node") for event in lines if event["event"] == "result"}) == 2

    wait_until(reported, "an epoch on both nodes", seconds=PATIENCE)
    job.near_the_time_limit()
    output, _ = first.communicate(timeout=PATIENCE)
    assert first.returncode == 143, output
    last = journal_of(study)[-1]
    assert (last["event"], last["why"]) == ("closed", "terminated"), output
    assert (job.center.storage / "scontrol.log").read_text() == "requeue 4217\n"
    assert not ray_on(job.center.nodes)

    again = job.start()
    output, _ = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0, output
    assert len(table_of(study)) == 30
    assert_whole(study, 30)
    assert (job.center.storage / "scontrol.log").read_text() == "requeue 4217\n"
    assert len([event for event in journal_of(study) if event["event"] == "session"]) == 2
    assert json.loads((study / "best" / "best.json").read_text())["metrics"]
    assert not ray_on(job.center.nodes)


def test_a_signal_after_the_end_of_the_study_asks_for_no_other_run(job):
    """Ray takes seconds to stop: a time limit may come near then."""
    log = job.center.storage / "scontrol.log"
    asked = log.read_text() if log.exists() else ""
    run = job.start()
    wait_until(job.has_a_driver, "a study", seconds=PATIENCE)
    wait_until(lambda: not job.has_a_driver(), "its end", seconds=PATIENCE)
    assert run.poll() is None
    job.near_the_time_limit()
    output, _ = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0, output
    assert (log.read_text() if log.exists() else "") == asked


def ray_on(nodes):
    return [line for node in nodes for line in node.processes() if "raylet" in line]
