"""cluster.yaml on a stand-in for AWS, whose instances are the data centre's nodes.

A moto server answers what `ray up` and the autoscaler ask of AWS, and starts nothing. What it says
to be running is given a node here, with the instance's address, and its key.
"""

import json
import time

import pytest
import yaml

from tests.cluster.data_center import CLIENT_ADDRESS, DataCenter, missing
from tests.conftest import ROOT, journal_of

REGION = "eu-central-1"
PORT = 5000
AWS = {
    "AWS_ENDPOINT_URL": f"http://{CLIENT_ADDRESS}:{PORT}",
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "nothing",
    # The credentials are looked for nowhere else.
    "AWS_EC2_METADATA_DISABLED": "true",
}
SERVER = "MOTO_IAM_LOAD_MANAGED_POLICIES=true exec python -m moto.server"
ROUTER = "172.31.255.1/16"
"""In the network that every AWS account has from its beginning."""

CALL = """
import boto3, json, sys
service, method, arguments = sys.argv[1:]
answer = getattr(boto3.client(service, region_name="%s"), method)(**json.loads(arguments))
print(json.dumps(answer, default=str))
"""


class Account:
    """An AWS account whose instances are nodes of a data centre."""

    def __init__(self, center):
        self.person = center.client
        self.storage = center.storage
        self.free = list(center.nodes)
        log = f"{SERVER} -H {CLIENT_ADDRESS} -p {PORT} > /tmp/moto.log 2>&1"
        self.server = self.person.start("bash", "-c", log)
        self.person.run("ip", "addr", "add", ROUTER, "dev", "br0")
        wait_for(lambda: (CLIENT_ADDRESS, PORT) in self.person.listening())

    def close(self):
        self.server.kill()
        self.server.communicate()

    def start(self, *command):
        """Starts `command` on the person's machine, with the credentials."""
        return self.person.start(
            "env", *(f"{name}={value}" for name, value in AWS.items()), *command
        )

    def run(self, *command):
        """Runs `command` there to its end; its output."""
        process = self.start(*command)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
        return output

    def call(self, service, method, **arguments):
        """What AWS answers."""
        output = self.run("python", "-c", CALL % REGION, service, method, json.dumps(arguments))
        return json.loads(output.splitlines()[-1])

    def instances(self):
        """All that there have been, the oldest first."""
        reservations = self.call("ec2", "describe_instances")["Reservations"]
        found = [instance for each in reservations for instance in each["Instances"]]
        return sorted(found, key=lambda instance: instance["LaunchTime"])

    def give_node(self, instance):
        """A node that answers at the instance's address, and lets in who has its key."""
        node = self.free.pop(0)
        node.run("ip", "addr", "add", f"{instance['PrivateIpAddress']}/16", "dev", "eth0")
        made = f"ssh-keygen -y -f ~/.ssh/{instance['KeyName']}.pem"
        key = self.person.run("bash", "-c", made).stdout.strip()
        node.run("bash", "-c", f"echo '{key}' >> ~/.ssh/authorized_keys")
        return node


def wait_for(condition, seconds=120):
    """What `condition()` returns, once it is something."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.5)
    return found


@pytest.fixture
def account():
    if (reason := missing()) is not None:
        pytest.skip(f"no data centre here: it {reason}")
    with DataCenter(2, AWS) as center:
        account = Account(center)
        # What a person does once in an account, and once for a cluster (docs/cluster.md).
        template = (ROOT / "clusters" / "aws_account.yaml").read_text()
        account.call(
            "cloudformation", "create_stack", StackName="tune-cluster", TemplateBody=template
        )
        token = "umask 077; mkdir -p ~/.ray; openssl rand -hex 32 > ~/.ray/tune-cluster.token"
        account.run("bash", "-c", token)
        (center.storage / "cluster.yaml").write_text(yaml.safe_dump(as_tested()))
        yield account
        account.close()


def as_tested():
    """cluster.yaml with what a node here has and an instance has not, and the other way round."""
    config = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    config["auth"]["ssh_user"] = "root"
    config["provider"]["use_internal_ips"] = True
    commands = config["setup_commands"]
    # The environment is there, and nothing can be fetched.
    (install,) = (command for command in commands if "pip install --quiet -r" in command)
    commands.remove(install)
    return config


@pytest.mark.long
def test_a_cluster_comes_up_grows_when_a_trial_waits_and_is_gone_after_ray_down(account):
    file = "/mnt/shared/cluster.yaml"
    up = account.start("ray", "up", "--yes", file)
    (asked,) = wait_for(account.instances)
    head = account.give_node(asked)
    output, _ = up.communicate(timeout=300)
    assert up.returncode == 0, output
    assert asked["InstanceType"] == "m7i.large"
    assert "InstanceLifecycle" not in asked
    assert asked["IamInstanceProfile"]["Arn"].endswith("/tune-cluster-head")
    assert {address for address, port in head.listening() if port == 8265} == {"127.0.0.1"}

    (group,) = asked["SecurityGroups"]
    (opened,) = account.call("ec2", "describe_security_groups", GroupIds=[group["GroupId"]])[
        "SecurityGroups"
    ]
    outside = [rule for rule in opened["IpPermissions"] if rule["IpRanges"] or rule["Ipv6Ranges"]]
    assert [(rule["FromPort"], rule["ToPort"]) for rule in outside] == [(22, 22)]
    (inside,) = (rule for rule in opened["IpPermissions"] if rule not in outside)
    assert [pair["GroupId"] for pair in inside["UserIdGroupPairs"]] == [group["GroupId"]]

    job = account.start(
        *("ray", "submit", file, "tune_jobs/asha_lr_batch.py", "--", "--name", "on-aws"),
        *("--dataset", "digits", "--trials", "4", "--max-epochs", "3"),
        *("--gpus-per-trial", "0.25", "--storage-path", "/mnt/shared/results"),
    )
    _, asked = wait_for(lambda: len(found := account.instances()) == 2 and found)
    worker = account.give_node(asked)
    assert asked["InstanceLifecycle"] == "spot"
    assert asked["InstanceType"] == "g5.xlarge"
    assert asked["IamInstanceProfile"]["Arn"].endswith("/tune-cluster-worker")
    output, _ = job.communicate(timeout=300)
    assert job.returncode == 0, output
    assert "4, 16 at once, each with 1 CPU and 0.25 GPU" in output
    events = journal_of(account.storage / "results" / "on-aws")
    # A trial ends once more where it was stopped and may go on after all.
    assert {event["trial"] for event in events if event["event"] == "ended"} == {0, 1, 2, 3}
    look = ("bash", "-c", "stat --format %a ~/.ray/auth_token; cat ~/.ray/auth_token")
    (token,) = {node.run(*look).stdout for node in (head, worker)}
    mode, secret = token.split()
    assert mode == "600"
    assert len(secret) == 64

    account.run("ray", "down", "--yes", file)
    assert {instance["State"]["Name"] for instance in account.instances()} == {"terminated"}
    assert account.call("ec2", "describe_volumes")["Volumes"] == []
