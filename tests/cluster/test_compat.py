"""Contract with Ray: these tests fail when Ray changes a private name that is used."""

import os
import subprocess
import sys
from typing import Any

import pytest
import ray
from ray.experimental.internal_kv import _initialize_internal_kv

from tests.conftest import ROOT, journal_of
from tune_cluster.cluster import compat


def test_the_head_and_every_node_are_named_as_ray_names_them(cluster_address):
    (node,) = ray.nodes()
    assert compat.HEAD in node["Resources"], "no head is found that knows the autoscaler"
    assert node["Labels"][compat.NODE_ID] == node["NodeID"], "no bad node is kept from trials"


def test_free_resources_are_reported_by_node(cluster_address):
    (free,) = compat.free_resources_by_node().values()
    assert free["CPU"] <= 2


def test_a_ray_that_this_process_has_started_is_known_with_its_processes(cluster_address):
    assert compat.started_here()
    node = ray._private.worker._global_node
    assert node is not None
    processes = node.all_processes
    for kind in ("gcs_server", "raylet"):
        (info,) = processes[kind]
        assert info.process.poll() is None, "nobody sees that it was killed"
    assert compat.ended_process() == ""
    assert not compat.client_is_connected()


def test_without_ray_running_no_ray_counts_as_started_by_this_process():
    code = """
from tune_cluster.cluster import compat
print(compat.started_here(), repr(compat.ended_process()), compat.client_is_connected())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False '' False\n"


def test_the_temporary_folder_of_ray_comes_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert compat.temporary_folder() == str(tmp_path)


def test_the_store_of_the_head_returns_texts_once_and_in_the_order_of_their_keys(
    cluster_address,
):
    # A cluster of another test has taken Ray's store of keys from this process as it ended.
    worker: Any = ray._private.worker.global_worker
    _initialize_internal_kv(worker.gcs_client)
    store, other = compat.HeadStore("one"), compat.HeadStore("another")
    for key in ("a:2", "a:1", "b:1"):
        store.put(key, f"text {key}")
    assert (store.has("a:1"), store.has("a"), other.has("a:1")) == (True, False, False)
    assert other.take("a:") == []
    assert store.take("a:") == ["text a:1", "text a:2"]
    assert (store.take("a:"), store.has("b:1")) == ([], True)


def test_a_function_larger_than_the_limit_of_ray_is_refused_by_ray(cluster_address):
    within, too_large = b"0" * (compat.LARGEST_FUNCTION - 10**6), b"0" * compat.LARGEST_FUNCTION
    assert ray.get(ray.remote(lambda: len(within)).remote()) == len(within)
    with pytest.raises(ValueError, match="too large"):
        ray.remote(lambda: len(too_large)).remote()


# In a folder where files are called as modules, and which is not the script's.
JOB = """
import threading

import helper
from ray import tune
from search_spaces.catalogue import LEARNING_RATE
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from tune_cluster import TuneConfig, Tuner, main


def train(config):
    import random
    import trainables.image.config
    tune.report({"score": helper.SCORE + 0 * random.random()})


def job(options):
    strategy = RandomSearch(Space("own", (LEARNING_RATE,)), seed=options.seed)
    return Tuner(
        train,
        tune_config=TuneConfig(metric="score", mode="max", search_alg=strategy),
    )


# As a notebook's or a server's: Python lets only the main thread hear signals.
thread = threading.Thread(target=main, args=(job,))
thread.start()
thread.join()
"""


@pytest.mark.long
def test_trials_import_the_modules_of_the_driver_and_not_those_of_the_working_directory(
    temporary, tmp_path
):
    script, cwd = tmp_path / "scripts" / "job.py", tmp_path / "cwd"
    script.parent.mkdir()
    cwd.mkdir()
    script.write_text(JOB)
    (script.parent / "helper.py").write_text("SCORE = 7")
    for name in ("helper", "search_spaces", "tune_jobs", "trainables", "torch", "ray", "random"):
        (cwd / f"{name}.py").write_text("raise RuntimeError('not this one')")
    flags = ("--address", "local", "--trials", "1", "--max-epochs", "1", "--max-concurrent", "1")
    done = subprocess.run(
        [sys.executable, str(script), *flags, "--name", "study"],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    events = journal_of(cwd / "results" / "study")
    assert [e["metrics"]["score"] for e in events if e["event"] == "result"] == [7], done.stdout
    assert not [e for e in events if e["event"] == "retried"]
