"""`clusters/on_prem.yaml` over real sshd on three nodes, with the commands of docs/cluster.md.

The tests are one story, in this order: the nodes join, studies run, all of it ends.
"""

import re
import shlex
import time

import pytest
import ray
import yaml

from tests.clusters.data_center import CHECKOUT, wait_until
from tests.conftest import PATIENCE, journal_of, table_of

pytestmark = pytest.mark.long

CLUSTER_FILE = "clusters/on_prem.yaml"
PAGE = (CHECKOUT / "docs" / "cluster.md").read_text()
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", PAGE.split("\n## On AWS")[0], flags=re.DOTALL)
    for line in block.splitlines()
]
TINY = "--dataset digits --yes"
"""Added to the page's studies: data that needs no download, and no question."""


def documented(part):
    """The page's one command that begins with `part`."""
    (command,) = [command for command in COMMANDS if command.startswith(part)]
    return command


def on_laptop(center, command, timeout=120):
    """Run a command line on the client, in the checkout; return its output. It must succeed."""
    done = center.client.run("bash", "-c", command, timeout=timeout)
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


def started_on_laptop(center, command):
    """Run a command line on the client in the background."""
    return center.client.start("bash", "-c", f"exec {command}")


def close_the_laptop(center, process):
    """Kills all that runs on it; `process` was started there."""
    # All but process 1 and the shell itself.
    center.client.run("bash", "-c", "kill -9 -1")
    return process.communicate(timeout=20)[0]


@pytest.fixture(scope="module")
def on_prem(data_center):
    """The data centre after `ray up`, its three nodes joined."""
    text = (CHECKOUT / CLUSTER_FILE).read_text()
    config = yaml.safe_load(text)
    machines = [config["provider"]["head_ip"], *config["provider"]["worker_ips"]]
    for written, node in zip(machines, data_center.nodes, strict=True):
        text = text.replace(written, node.address)
    text = text.replace(f"ssh_user: {config['auth']['ssh_user']}", "ssh_user: root")
    # The person has filled in the file, in a checkout that no machine can write to.
    (data_center.storage / "filled_in.yaml").write_text(text)
    on_laptop(data_center, f"mount --bind /mnt/shared/filled_in.yaml {CLUSTER_FILE}")
    on_laptop(data_center, f"{documented('ray up')} --yes", timeout=300)
    status = documented("ray exec clusters/on_prem.yaml 'ray status'")
    joined = "3 local.cluster.node"
    wait_until(lambda: joined in on_laptop(data_center, status), "three nodes", seconds=PATIENCE)
    return data_center


def test_every_node_has_a_private_copy_of_the_token_and_the_ray_version_of_the_project(on_prem):
    on_laptop(on_prem, documented("mkdir -p ~/.ray"))
    mode, token = on_laptop(
        on_prem, "stat -c %a ~/.ray/on-prem.token; cat ~/.ray/on-prem.token"
    ).split()
    assert mode == "600"
    assert re.fullmatch("[0-9a-f]{64}", token)
    for node in on_prem.nodes:
        look = "stat -c %a ~/.ray/auth_token; cat ~/.ray/auth_token; ray --version; env"
        said = node.run("bash", "-ic", look).stdout
        assert f"600\n{token}\n" in said
        assert f"ray, version {ray.__version__}\n" in said
        assert "RAY_AUTH_MODE=token" in said


def test_preflight_checks_every_node_and_reports_room_for_six_trials(on_prem):
    said = on_laptop(on_prem, documented("ray exec clusters/on_prem.yaml 'tune-cluster"))
    (answer,) = re.findall(r"room for 6 trials at once; asked in .*", said)
    for node in on_prem.nodes:
        assert node.name in said or node.address in said
    print(f"preflight on three nodes: {answer}")


def test_trials_of_a_submitted_job_run_on_all_nodes_and_share_the_results(on_prem):
    code = "import ray; ray.init('auto'); print('HEAD', ray.get_runtime_context().get_node_id())"
    said = on_prem.nodes[0].run("bash", "-ic", f"python -c {shlex.quote(code)}").stdout
    head = re.search("HEAD ([0-9a-f]{8})", said)[1]
    # Long enough for the processes of all nodes to have started before all trials are done.
    flags = f"{TINY} --trials 40 --grace-period 27 --name submitted"
    began = time.time()
    said = on_laptop(on_prem, f"{documented('ray submit')} {flags}", timeout=300)
    assert "6 at once, each with 1 CPU and 0.25 GPU" in said
    study = on_prem.storage / "results" / "submitted"
    assert len(table_of(study)) == 40
    results = [event for event in journal_of(study) if event["event"] == "result"]
    assert len({event["node"] for event in results}) == 3
    assert all(list(trial.glob("events.out.tfevents.*")) for trial in (study / "trials").iterdir())
    assert (study / "best" / "state.pt").exists()
    first = min(event["time"] for event in results if event["node"] != head)
    print(f"{first - began:.1f} s from `ray submit` to the first reported epoch on a worker")


@pytest.fixture(scope="module")
def handed_over(on_prem):
    """Return the directory of a study that was submitted to the head and has begun, and the process
    on the laptop that shows its output."""
    command = documented("ray exec clusters/on_prem.yaml 'ray job submit")
    flags = f"{TINY} --trials 48 --grace-period 27 --name handed-over"
    process = started_on_laptop(on_prem, command[:-1] + f" {flags}'")
    study = on_prem.storage / "results" / "handed-over"

    def reported():
        assert process.poll() is None, process.communicate()[0]
        return epochs_of(study)

    wait_until(reported, "its first epoch", seconds=PATIENCE)
    return study, process


def test_a_study_continues_when_the_laptop_that_submitted_it_closes(on_prem, handed_over):
    study, process = handed_over
    assert process.poll() is None
    close_the_laptop(on_prem, process)
    wait_until(lambda: on_prem.client.processes() == [], "the laptop is closed")
    before = journal_of(study)
    assert before[-1]["event"] != "closed", "the study was over already"
    wait_until(lambda: len(journal_of(study)) > len(before), "its next line")


def test_only_the_ports_of_the_cluster_file_are_listening(on_prem, handed_over):
    config = yaml.safe_load((CHECKOUT / CLUSTER_FILE).read_text())
    for node, role in zip(on_prem.nodes, ("head", "worker", "worker"), strict=True):
        start = config[f"{role}_start_ray_commands"][1]
        said = {int(port) for port in re.findall(r"(?:port|PORT)[=:](\d+)", start)}
        low, high = (
            int(re.search(rf"--{end}-worker-port=(\d+)", start)[1]) for end in ("min", "max")
        )
        trials = set(range(low, high + 1))
        wait_until(lambda node=node, trials=trials: reachable(node) & trials, "a trial's process")  # type: ignore[misc]
        assert reachable(node) - trials <= said | {22}
    assert ("127.0.0.1", 8265) in on_prem.nodes[0].listening()


def reachable(node):
    """The ports of it that another machine can reach."""
    loopback = ("127.", "[::1]", "[::ffff:127.")
    return {port for address, port in node.listening() if not address.startswith(loopback)}


def test_the_study_of_the_closed_laptop_finishes_all_its_trials(handed_over):
    study, _ = handed_over
    wait_until(lambda: (study / "trials.csv").exists(), "the study's end", seconds=PATIENCE)
    assert [row["status"] for row in table_of(study)] == ["finished"] * 48
    assert not any(event["event"] == "restored" for event in journal_of(study))


def test_a_submitted_study_ends_in_order_with_its_connection_or_ctrl_c_and_resumes(on_prem):
    submit = documented("ray submit").partition(" --gpus")[0]
    study = on_prem.storage / "results" / "broken-off"
    flags = f"{TINY} --trials 24 --grace-period 27 --name broken-off"
    process = started_on_laptop(on_prem, f"{documented('ray submit')} {flags}")
    wait_until(lambda: epochs_of(study), "its first epoch", seconds=100)
    close_the_laptop(on_prem, process)
    wait_until(lambda: journal_of(study)[-1]["event"] == "closed", "its end")
    assert journal_of(study)[-1]["why"] == "terminated"

    resume = f"{submit} --resume /mnt/shared/results/broken-off"
    before = epochs_of(study)
    # A terminal, in which Ctrl-C is a character.
    process = started_on_laptop(on_prem, f"script --quiet --command '{resume}' /dev/null")
    wait_until(lambda: epochs_of(study) > before, "its next epoch", seconds=100)
    process.stdin.write("\x03")
    process.stdin.flush()
    said, _ = process.communicate(timeout=60)
    assert journal_of(study)[-1]["why"] == "interrupted", said

    on_laptop(on_prem, resume, timeout=200)
    assert [row["status"] for row in table_of(study)] == ["finished"] * 24
    results = [(e["trial"], e["epoch"]) for e in journal_of(study) if e["event"] == "result"]
    assert len(results) == len(set(results)) == 24 * 27


def epochs_of(study):
    """Return the number of epochs in the journal of a study, which may not have begun."""
    if not (study / "journal.jsonl").exists():
        return 0
    return sum(event["event"] == "result" for event in journal_of(study))


def test_a_client_without_the_token_is_refused(on_prem):
    tunnel = started_on_laptop(on_prem, documented("ray dashboard"))
    dashboard = ("127.0.0.1", 8265)
    wait_until(lambda: dashboard in on_prem.client.listening(), "the tunnel")
    submit, _, _ = documented("RAY_AUTH_MODE=token").partition(" -- ")
    mark = "-- touch /mnt/shared/let-in"
    without = on_prem.client.run("bash", "-c", f"{submit.partition('.token ')[2]} {mark}")
    assert without.returncode != 0
    assert "Unauthorized" in without.stdout
    wrong = on_prem.client.run(
        "bash",
        "-c",
        f"RAY_AUTH_MODE=token RAY_AUTH_TOKEN={'0' * 64} {submit.partition('.token ')[2]} {mark}",
    )
    assert wrong.returncode != 0
    assert not (on_prem.storage / "let-in").exists()
    on_laptop(on_prem, f"{submit} {mark}")
    assert (on_prem.storage / "let-in").exists()
    close_the_laptop(on_prem, tunnel)
    # Past ssh and dashboard, from a machine of the same network.
    past = f"RAY_AUTH_MODE=disabled ray status --address {on_prem.nodes[0].address}:6379"
    assert "InvalidAuthToken" in on_prem.client.run("bash", "-c", past).stdout


def test_tensorboard_on_the_head_is_reached_through_ssh_alone(on_prem):
    tunnel = started_on_laptop(on_prem, documented("ray exec clusters/on_prem.yaml 'tensorboard"))
    runs = "import urllib.request as u; print(u.urlopen('http://localhost:6006/data/runs').read())"

    def shown():
        return "submitted/trials/0000" in on_prem.client.run("python", "-c", runs).stdout

    wait_until(shown, "TensorBoard's runs", seconds=60)
    assert {address for address, port in on_prem.nodes[0].listening() if port == 6006} <= {
        "127.0.0.1",
        "[::1]",
    }
    close_the_laptop(on_prem, tunnel)


def test_after_ray_down_and_the_documented_next_commands_no_node_runs_a_process(on_prem):
    on_laptop(on_prem, f"{documented('ray down')} --yes")
    workers = on_prem.nodes[1:]
    assert all(worker.processes() for worker in workers), "ray down stops workers: say so, then"
    said = on_laptop(on_prem, documented("python clusters/stop_workers.py"))
    for node in on_prem.nodes:
        assert f"{node.address}: nothing of Ray runs\n" in said
        wait_until(lambda node=node: node.processes() == [], f"{node.name} is empty")  # type: ignore[misc]
        assert {port for _, port in node.listening()} == {22}
    assert len(table_of(on_prem.storage / "results" / "submitted")) == 40
