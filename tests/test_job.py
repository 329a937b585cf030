"""The first job as a user runs it: its output, its files, its errors for bad input."""

import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import PATIENCE, TINY, journal_of, table_of
from tests.extras import EXTRAS, environment_without

SYSTEM_COPY = Path("/usr/share/datasets/fashion-mnist")


@pytest.mark.slow
def test_the_smoke_test_prints_the_summary_of_its_study(smoke_test):
    _, output = smoke_test
    assert "ended by       all trials" in output
    pairs = (re.split(r" {2,}", line.strip(), maxsplit=1) for line in output.splitlines())
    lines = {pair[0]: pair[1] for pair in pairs if len(pair) == 2}
    assert "digits" in lines["data"]
    assert lines["trials"].startswith("4 of 4")
    assert re.search(r"^rungs +epoch +1 +3$", output, re.MULTILINE)
    assert re.search(r"^ +trials that get there +4 +4$", output, re.MULTILINE)
    assert "of all trials together, of 12 if none were stopped" in lines["epochs"]
    assert re.search("a step, at the dearest of 8 tried: learning_rate=", lines["epoch"])
    assert re.fullmatch(r"expected .+, took .+", lines["time"])
    assert re.fullmatch(r"\d.* MB a checkpoint, up to \d.* MB for all that are kept", lines["disk"])
    assert "small batch means more updates" in lines["note"]
    assert re.match(r"trial \d: .*learning_rate=.*batch_size=", lines["best"])
    assert re.fullmatch(r"[123] of [123]", lines["best epoch"])
    assert 0 <= float(lines["val_accuracy"]) <= 1
    assert 0 <= float(lines["test_accuracy"].split()[0]) <= 1
    assert lines["checkpoint"] == "results/smoke/best"
    assert lines["curves"].endswith("tensorboard --logdir results/smoke")
    assert "asha_lr_batch.py --smoke-test" in lines["repeat"]
    # It ran without the extra, which changes nothing but this line.
    assert lines["report"].startswith("plotly is not installed")
    assert "tune-cluster[report]" in lines["report"]
    assert lines["report"].endswith("tune-cluster report results/smoke")
    assert "\x1b" not in output, "no colours in a pipe"


@pytest.mark.slow
def test_a_job_needs_no_extra(smoke_test, tmp_path):
    # It was run to its end in an environment of which each is gone.
    environment = environment_without(EXTRAS, tmp_path)
    for name in EXTRAS:
        done = subprocess.run(
            [sys.executable, "-c", f"import {name}"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, f"No module named '{name}'" in done.stderr) == (1, True)


@pytest.mark.slow
def test_the_directory_of_a_study_describes_it(smoke_test):
    folder, _ = smoke_test
    study = folder / "results" / "smoke"
    about = json.loads((study / "study.json").read_text())
    assert about["schema_version"] == 1
    assert (about["job"], about["seed"], about["metric"]) == ("asha_lr_batch", 0, "val_accuracy")
    assert about["strategy"]["rungs"] == [1]
    assert about["dataset"]["name"] == "digits"
    assert {"tune-cluster", "ray", "torch", "python"} <= set(about["versions"])
    price = about["price"]
    assert price["epochs"] <= 12
    assert price["seconds"] > 0
    checkpoint = (study / "best" / "state.pt").stat().st_size
    assert price["checkpoint_bytes"] == pytest.approx(checkpoint, rel=0.01)
    assert len(table_of(study)) == 4
    best = json.loads((study / "best" / "best.json").read_text())
    assert best["metrics"]["val_accuracy"] == best["val_accuracy"]
    assert set(best["test"]) >= {"test_accuracy", "test_loss"}
    kinds = {event["event"] for event in journal_of(study)}
    # The four trials show whether the rung ranks: none of them is stopped.
    assert kinds == {
        *("session", "suggested", "started", "result", "checkpoint"),
        *("decision", "rung_judged", "ended", "closed"),
    }
    assert not list(study.rglob("*.pkl"))


@pytest.mark.slow
def test_the_best_checkpoint_reproduces_its_test_score(smoke_test):
    import torch

    from trainables.image.datasets import load_dataset
    from trainables.image.image_classifier import ImageClassifier

    folder, _ = smoke_test
    best_folder = folder / "results" / "smoke" / "best"
    best = json.loads((best_folder / "best.json").read_text())
    torch.set_num_threads(1)
    dataset = load_dataset("digits", folder / "data", seed=0)
    again = ImageClassifier.evaluate(best["config"], str(best_folder), dataset)
    assert again == pytest.approx(best["test"])


def get(port, path, **query):
    url = f"http://127.0.0.1:{port}/{path}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.load(answer)


@pytest.mark.slow
def test_a_tensorboard_server_has_the_curves_of_every_trial(smoke_test):
    folder, _ = smoke_test
    study = folder / "results" / "smoke"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = [sys.executable, "-m", "tensorboard.main", "--logdir", str(study)]
    address = ["--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(
        [*program, *address],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        results = {}
        for event in journal_of(study):
            if event["event"] == "result":
                results.setdefault(f"trials/{event['trial']:04d}", {})[event["epoch"]] = event
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                tags = get(port, "data/plugin/scalars/tags")
                if set(tags) == {*results, "course"}:
                    break
            except OSError:
                tags = {}
            assert time.monotonic() < deadline, tags
            time.sleep(0.2)
        for run, epochs in results.items():
            assert set(tags[run]) >= {
                *("loss/train", "loss/validation", "accuracy/train", "accuracy/validation"),
                *("learning_rate", "throughput/samples_per_second"),
            }
            points = get(port, "data/plugin/scalars/scalars", run=run, tag="accuracy/validation")
            assert [step for _, step, _ in points] == sorted(epochs)
            for _, step, value in points:
                assert value == pytest.approx(epochs[step]["metrics"]["val_accuracy"])
    finally:
        server.terminate()
        server.wait()


@pytest.mark.long
def test_two_runs_with_one_seed_have_the_same_table(run_job, whole_study, tmp_path):
    code, output = run_job(*TINY, "--max-concurrent", "1", "--name", "again")
    assert code == 0, output
    assert table_of(tmp_path / "results" / "again") == table_of(whole_study)


def damaged_fashion_mnist(folder):
    raw = folder / "data" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for file in SYSTEM_COPY.iterdir():
        shutil.copy(file, raw)
    damaged = raw / "train-labels-idx1-ubyte.gz"
    content = bytearray(damaged.read_bytes())
    content[1000] ^= 1
    damaged.write_bytes(content)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--dataset", "imagenet"], "unknown dataset 'imagenet'.*fashion_mnist"),
        pytest.param(
            ["--dataset", "digits", "--model", "vgg"],
            "model must be one of mlp, cnn, resnet, lin",
            marks=pytest.mark.long,
        ),
        pytest.param(
            ["--gpus-per-trial", "2"], "1 CPU and 2 GPU fits on no node", marks=pytest.mark.long
        ),
        pytest.param(
            ["--cpus-per-trial", "64"], "64 CPU and 0 GPU fits on no node", marks=pytest.mark.long
        ),
        pytest.param(
            ["--dataset", "digits", "--grace-period", "40"],
            "grace_period must be from 1 to the 27",
            marks=pytest.mark.long,
        ),
    ],
)
def test_bad_input_is_a_short_error_before_anything_is_scheduled(
    run_job, tmp_path, arguments, said
):
    code, output = run_job(*arguments)
    assert code == 2, output
    assert re.search(said, output)
    assert output.startswith("error: ")
    assert len(output.splitlines()) == 1
    assert not list((tmp_path / "results").glob("*"))


@pytest.mark.slow
@pytest.mark.skipif(not SYSTEM_COPY.is_dir(), reason="Debian's dataset-fashion-mnist is not here")
def test_a_corrupt_data_file_is_named_with_its_checksums(run_job, tmp_path):
    damaged_fashion_mnist(tmp_path)
    code, output = run_job("--dataset", "fashion_mnist")
    assert code == 2, output
    assert re.search(r"train-labels-idx1-ubyte.gz.*[0-9a-f]{32}.*[0-9a-f]{32}", output, re.DOTALL)
    assert "Traceback" not in output
