"""Make golden studies by the code of this checkout: `python tests/golden/make.py [CASE ...]`.

Each is in `schema_<version>/<case>/`: `study` is the content of a study's folder when its last
session ended or was killed, without files that a resume rewrites (event files, `best`, tables), and
`expected.json` the result of this code from there with the command that it names.
"""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import boto3
import ray
from moto.server import ThreadedMotoServer
from ray.util.state import list_actors

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SCHEMA = HERE / "schema_1"

CLOCKED = ("epoch_seconds", "samples_per_second")
NOT_COMPARED = (*CLOCKED, "log")
"""Fields with measured times; and tracebacks, which have the paths of the code."""

KEPT = ("study.json", "journal.jsonl", "driver.json")
"""Files of a study's folder, besides those of its trials."""

BUCKET = "studies"

DESCENT = "tests/golden/descent.py"
ASHA = "tune_jobs/asha_lr_batch.py"
DIGITS = ("--dataset", "digits", "--model", "linear", "--max-epochs", "9")


@dataclass(frozen=True)
class Case:
    """A study: how it began, what ended its session, and how it continues."""

    script: str
    arguments: tuple[str, ...]
    go_on: tuple[str, ...] = ()
    killed_at: str = ""
    """Event for a `kill -9` once the journal has it that many times: "result 20"."""
    bucket: bool = False
    resumable: bool = True


CASES = {
    "grid": Case(
        DESCENT, ("--strategy", "grid", "--max-epochs", "3", "--trials", "6"), ("--trials", "12")
    ),
    "random": Case(
        DESCENT, ("--strategy", "random", "--max-epochs", "3", "--trials", "3"), ("--trials", "5")
    ),
    "sobol": Case(
        DESCENT, ("--strategy", "sobol", "--max-epochs", "3", "--trials", "6"), ("--trials", "10")
    ),
    "tpe": Case(
        DESCENT, ("--strategy", "tpe", "--max-epochs", "4", "--trials", "12"), ("--trials", "18")
    ),
    "optuna": Case(
        DESCENT, ("--strategy", "optuna", "--max-epochs", "4", "--trials", "12"), ("--trials", "18")
    ),
    "warm_start": Case(
        DESCENT,
        ("--strategy", "tpe", "--max-epochs", "4", "--trials", "4", "--warm-start", "results/tpe"),
        ("--trials", "8"),
    ),
    "faults": Case(
        DESCENT, ("--strategy", "faults", "--max-epochs", "4", "--trials", "8"), ("--trials", "12")
    ),
    "asha_promotion": Case(
        ASHA, (*DIGITS, "--grace-period", "1", "--trials", "9"), ("--trials", "15")
    ),
    "asha_top": Case(
        ASHA,
        (*DIGITS, "--grace-period", "1", "--rung-rule", "top", "--trials", "9"),
        ("--trials", "15"),
    ),
    "asha_grace_period": Case(
        ASHA, (*DIGITS, "--trials", "9"), ("--trials", "15"), killed_at="rung_judged 1"
    ),
    "killed": Case(ASHA, (*DIGITS, "--trials", "12"), killed_at="result 20"),
    "audit": Case(
        ASHA,
        (*DIGITS, "--audit", "0.6", "--trials", "8"),
        ("--trials", "10"),
        killed_at="control 12",
    ),
    "bucket": Case(
        ASHA,
        (*DIGITS, "--max-epochs", "27", "--trials", "24"),
        killed_at="result 20",
        bucket=True,
    ),
    "pbt": Case("tune_jobs/pbt_schedule.py", (*DIGITS, "--trials", "4"), resumable=False),
}


def run(script, *arguments, folder):
    """Run a job to its end."""
    done = subprocess.run(
        [sys.executable, script, *arguments, "--address", os.environ["CLUSTER"]],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{script} {arguments}: {done.stdout}{done.stderr}")


def events_in(journal):
    """The events of the whole lines of a journal."""
    lines = journal.splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


def kill_when(script, *arguments, folder, at, journal):
    """Start a job, and kill it when its journal has an event `count` times.

    Args:
        journal: function that returns its bytes.
    """
    kind, times = at.split()
    process = subprocess.Popen(
        [sys.executable, script, *arguments, "--address", os.environ["CLUSTER"]], cwd=folder
    )
    while sum(event["event"] == kind for event in events_in(journal())) < int(times):
        if process.poll() is not None:
            sys.exit(f"{script} ended before it could be killed")
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    while any(actor.state == "ALIVE" for actor in list_actors(address=os.environ["CLUSTER"])):
        time.sleep(0.1)


def keep(study, kept):
    """Copy what a resume reads: the journal, `study.json` and the checkpoints."""
    shutil.rmtree(kept, ignore_errors=True)
    for path in sorted(study.rglob("*")):
        parts = path.relative_to(study).parts
        of_trial = parts[0] == "trials" and not parts[-1].startswith("events.")
        if path.is_file() and (str(path.relative_to(study)) in KEPT or of_trial):
            (kept / path.relative_to(study)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, kept / path.relative_to(study))


def expected(study):
    """Return what must be reproduced: table, results and audit, without measured times."""
    with (study / "trials.csv").open() as file:
        table = [
            {name: value for name, value in row.items() if name not in NOT_COMPARED}
            for row in csv.DictReader(file)
        ]
    results = [
        [event["trial"], event["epoch"], without_clock(event["metrics"])]
        for event in events_in((study / "journal.jsonl").read_bytes())
        if event["event"] == "result"
    ]
    audit = study / "audit.json"
    audited = {"audit": json.loads(audit.read_text())} if audit.exists() else {}
    return {"table": table, "results": results, **audited}


def without_clock(metrics):
    """Metrics that a repetition has too."""
    return {name: value for name, value in metrics.items() if name not in CLOCKED}


def make(name, case, folder):
    """Run a case, and store it.

    Args:
        folder: folder of all cases, with the scripts as in the checkout.
    """
    seed = ("--seed", "1", "--max-concurrent", "1", "--yes")
    begin = (*case.arguments, *seed, "--name", name)
    kept = SCHEMA / name
    if case.bucket:
        study, address = in_bucket(name, case, begin, folder, kept)
    else:
        study = folder / "results" / name
        address = f"results/{name}"
        if case.killed_at:
            path = study / "journal.jsonl"
            kill_when(
                case.script,
                *begin,
                folder=folder,
                at=case.killed_at,
                journal=lambda: path.read_bytes() if path.exists() else b"",
            )
        else:
            run(case.script, *begin, folder=folder)
        keep(study, kept / "study")
        shutil.rmtree(study)
        shutil.copytree(kept / "study", study)
    repeat = list(begin)
    if case.resumable:
        repeat = ["--resume", address, *case.go_on]
        run(case.script, *repeat, folder=folder)
    else:
        run(case.script, *begin[:-1], f"{name}-again", folder=folder)
        study = folder / "results" / f"{name}-again"
    wanted = {"script": case.script, "arguments": repeat, **expected(study)}
    (kept / "expected.json").write_text(
        "{\n"
        + ",\n".join(
            f'"{key}": {json.dumps(value)}'
            if key not in ("table", "results")
            else f'"{key}": [\n' + ",\n".join(map(json.dumps, value)) + "\n]"
            for key, value in wanted.items()
        )
        + "\n}\n"
    )


def in_bucket(name, case, begin, folder, kept):
    """Run a case in a bucket until its head is killed; the driver's copy, and the address."""
    server = boto3.resource("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    bucket = server.create_bucket(Bucket=BUCKET)
    prefix = f"results/{name}/"

    def journal():
        keys = {entry.key for entry in bucket.objects.filter(Prefix=prefix)}
        if f"{prefix}journal.jsonl" not in keys:
            return b""
        return bucket.Object(f"{prefix}journal.jsonl").get()["Body"].read()

    arguments = (*begin, "--storage-path", f"s3://{BUCKET}/results")
    kill_when(case.script, *arguments, folder=folder, at=case.killed_at, journal=journal)
    with tempfile.TemporaryDirectory() as copy:
        entries = bucket.objects.filter(Prefix=prefix)
        for entry in (entry for entry in entries if not entry.key.endswith("/")):
            path = Path(copy, entry.key.removeprefix(prefix))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(entry.get()["Body"].read())
        keep(Path(copy), kept / "study")
    # The next head has no file of this one, and the bucket only what is stored.
    cache = Path(os.environ["XDG_CACHE_HOME"])
    shutil.rmtree(cache, ignore_errors=True)
    bucket.objects.all().delete()
    for path in (path for path in (kept / "study").rglob("*") if path.is_file()):
        key = prefix + str(path.relative_to(kept / "study"))
        bucket.put_object(Key=key, Body=path.read_bytes())
    return cache / "tune-cluster" / BUCKET / "results" / name, f"s3://{BUCKET}/results/{name}"


def main():
    """Make the named cases, or all."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with tempfile.TemporaryDirectory(prefix="golden-") as temporary:
        folder = Path(temporary)
        for scripts in ("tune_jobs", "tests/golden"):
            (folder / scripts).mkdir(parents=True)
            for path in (ROOT / scripts).glob("*.py"):
                shutil.copyfile(path, folder / scripts / path.name)
        os.environ.update(
            PYTHONPATH=str(ROOT),
            XDG_CACHE_HOME=str(folder / "cache"),
            AWS_ENDPOINT_URL=f"http://{host}:{port}",
            AWS_ACCESS_KEY_ID="key",
            AWS_SECRET_ACCESS_KEY="secret",
            AWS_EC2_METADATA_DISABLED="true",
            AWS_DEFAULT_REGION="us-east-1",
        )
        ray.init(
            address="local", num_cpus=2, object_store_memory=200 * 1024**2, log_to_driver=False
        )
        os.environ["CLUSTER"] = ray.get_runtime_context().gcs_address
        for name in sys.argv[1:] or CASES:
            print(name, flush=True)
            make(name, CASES[name], folder)
        ray.shutdown()
    server.stop()


if __name__ == "__main__":
    main()
