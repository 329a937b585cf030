"""`cluster.yaml` on a stand-in for AWS, with the commands of docs/cluster.md.

A moto server answers the requests of `ray up` and the autoscaler to AWS, and starts nothing. For
each instance that it reports as running, a node is started here, with its address and its key.
"""

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.clusters.data_center import CHECKOUT, CLIENT_ADDRESS, DataCenter, missing, wait_until

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
"""Id in the network that every AWS account has by default."""

PAGE = (CHECKOUT / "docs" / "cluster.md").read_text()
SECTION = PAGE.partition("\n## On AWS")[2].partition("\n## ")[0]
COMMANDS = "".join(re.findall(r"```sh\n(.*?)```", SECTION, flags=re.DOTALL)).splitlines()

CALL = """
import boto3, json, sys
service, method, arguments = sys.argv[1:]
answer = getattr(boto3.client(service, region_name="%s"), method)(**json.loads(arguments))
print(json.dumps(answer, default=str))
"""

ASK = """
from tune_cluster.cluster.connect import connected
with connected("auto") as found:
    print(found.autoscaler)
"""


def documented(part):
    """The page's one command that begins with `part`."""
    (command,) = [command for command in COMMANDS if command.startswith(part)]
    return command


class Account:
    """An AWS account whose instances are nodes of a data centre."""

    def __init__(self, center):
        self.person = center.client
        self.free = list(center.nodes)
        command = f"{SERVER} -H {CLIENT_ADDRESS} -p {PORT} > /tmp/moto.log 2>&1"
        self.server = self.person.start("bash", "-c", command)
        self.person.run("ip", "addr", "add", ROUTER, "dev", "br0")
        listens = (CLIENT_ADDRESS, PORT)
        wait_until(lambda: listens in self.person.listening(), "the stand-in for AWS")

    def close(self):
        self.server.kill()
        self.server.communicate()

    def start(self, *command):
        """Starts `command` on the person's machine, with the credentials."""
        given = (f"{name}={value}" for name, value in AWS.items())
        return self.person.start("env", *given, *command)

    def run(self, *command):
        """Run `command` there to its end; return its output."""
        return ended(self.start(*command))

    def call(self, service, method, **arguments):
        """Return AWS's answer."""
        output = self.run("python", "-c", CALL % REGION, service, method, json.dumps(arguments))
        return json.loads(output.splitlines()[-1])

    def instances(self, filters=()):
        """Return the instances that AWS lists, the oldest first."""
        answer = self.call("ec2", "describe_instances", Filters=list(filters))
        found = [instance for each in answer["Reservations"] for instance in each["Instances"]]
        return sorted(found, key=lambda instance: instance["LaunchTime"])

    def wait_for_instance(self, number):
        """Return the instance with that number, counted from 1, once it exists."""
        wait_until(lambda: len(self.instances()) >= number, f"instance {number}", seconds=200)
        return self.instances()[number - 1]

    def give_node(self, instance):
        """Start a node that answers at the instance's address, and admits holders of its key."""
        node = self.free.pop(0)
        node.run("ip", "addr", "add", f"{instance['PrivateIpAddress']}/16", "dev", "eth0")
        made = f"ssh-keygen -y -f ~/.ssh/{instance['KeyName']}.pem"
        key = self.person.run("bash", "-c", made).stdout.strip()
        node.run("bash", "-c", f"echo '{key}' >> ~/.ssh/authorized_keys")
        return node


def ended(process):
    """Return the output at its end. It must succeed."""
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


@pytest.fixture
def account():
    """Folder with the page's preparations, and `cluster.yaml` adapted to the test."""
    if (reason := missing()) is not None:
        pytest.skip(f"no data centre here: it {reason}")
    with DataCenter(2, AWS) as center:
        account = Account(center)
        template = re.search(r"--template-file (\S+)", documented("aws cloudformation"))[1]
        body = (CHECKOUT / template).read_text()
        account.call("cloudformation", "create_stack", StackName="tune-cluster", TemplateBody=body)
        (center.storage / "filled_in.yaml").write_text(yaml.safe_dump(filled_in()))
        account.run("mount", "--bind", "/mnt/shared/filled_in.yaml", "cluster.yaml")
        yield account
        account.close()


def filled_in():
    """Return cluster.yaml adapted to the differences between a node here and an instance."""
    config = yaml.safe_load((CHECKOUT / "cluster.yaml").read_text())
    config["auth"]["ssh_user"] = "root"
    config["provider"]["use_internal_ips"] = True
    commands = config["setup_commands"]
    # The environment exists already, and nothing can be downloaded.
    (install,) = (command for command in commands if "pip install --quiet -r" in command)
    commands.remove(install)
    return config


@pytest.mark.long
def test_a_cluster_starts_grows_when_a_trial_waits_and_is_gone_after_ray_down(account):
    up = account.start("bash", "-c", f"{documented('ray up')} --yes")
    asked = account.wait_for_instance(1)
    head = account.give_node(asked)
    ended(up)
    assert asked["InstanceType"] == "m7i.large"
    assert "InstanceLifecycle" not in asked
    assert asked["IamInstanceProfile"]["Arn"].endswith("/tune-cluster-head")
    assert {address for address, port in head.listening() if port == 8265} == {"127.0.0.1"}

    (group,) = asked["SecurityGroups"]
    ids = [group["GroupId"]]
    (opened,) = account.call("ec2", "describe_security_groups", GroupIds=ids)["SecurityGroups"]
    outside = [rule for rule in opened["IpPermissions"] if rule["IpRanges"] or rule["Ipv6Ranges"]]
    assert [(rule["FromPort"], rule["ToPort"]) for rule in outside] == [(22, 22)]
    (inside,) = (rule for rule in opened["IpPermissions"] if rule not in outside)
    assert [pair["GroupId"] for pair in inside["UserIdGroupPairs"]] == ids

    (stack,) = account.call("cloudformation", "describe_stacks")["Stacks"]
    storage = stack["Outputs"][0]["OutputValue"]
    flags = "--name on-aws --dataset digits --trials 4 --max-epochs 3 --yes"
    submit = f"storage={storage}; {documented('ray submit')} {flags}"
    job = account.start("bash", "-c", submit)
    asked = account.wait_for_instance(2)
    worker = account.give_node(asked)
    assert asked["InstanceLifecycle"] == "spot"
    assert asked["InstanceType"] == "g5.xlarge"
    assert asked["IamInstanceProfile"]["Arn"].endswith("/tune-cluster-worker")
    output = ended(job)
    assert "4, 16 at once, each with 1 CPU and 0.25 GPU" in output
    assert "4 of 4" in output
    bucket, _, folder = storage.removeprefix("s3://").partition("/")
    objects = account.call("s3", "list_objects_v2", Bucket=bucket, Prefix=f"{folder}/on-aws/")
    written = {entry["Key"].partition("/on-aws/")[2] for entry in objects["Contents"]}
    assert {"journal.jsonl", "trials.csv", "best/state.pt"} <= written
    logs = re.search(r"--logdir ([^'\s]+)", documented("ray exec"))[1]
    curves = head.run("bash", "-c", f"ls {logs}/*/*/on-aws/trials/*/events.out.tfevents.*").stdout
    # A trial that was stopped and promoted has one more file.
    assert len({Path(file).parent for file in curves.split()}) == 4

    # A driver that is not on the head asks it.
    told = worker.run("bash", "-ic", f"python -c '{ASK}'").stdout
    assert "NodeType(name='gpu_worker', resources={'CPU': 4, " in told
    assert "'GPU': 1, " in told

    look = ("bash", "-c", "stat --format %a ~/.ray/auth_token; cat ~/.ray/auth_token")
    (token,) = {node.run(*look).stdout for node in (head, worker)}
    mode, secret = token.split()
    assert mode == "600"
    assert len(secret) == 64

    lists = re.findall(r"Name=(\S+),Values=(\S+)", documented("aws ec2 describe-instances"))
    left = [{"Name": name, "Values": values.split(",")} for name, values in lists]
    assert len(account.instances(left)) == 2
    account.run("bash", "-c", f"{documented('ray down')} --yes")
    assert account.instances(left) == []
    assert {instance["State"]["Name"] for instance in account.instances()} == {"terminated"}
    assert account.call("ec2", "describe_volumes")["Volumes"] == []
