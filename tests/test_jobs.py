"""Every job, as a person types it."""

import importlib
import inspect
import signal
from typing import get_args

import pytest
import torch

from tests.conftest import JOB, PATIENCE, ROOT, journal_of, table_of
from tests.test_resume import wait_for_lines
from trainables.image.config import ImageConfig
from trainables.image.models import build_model
from tune_cluster.execution.command_line import parse
from tune_jobs import compare_strategies

JOBS = sorted(
    path.name
    for path in (ROOT / "tune_jobs").glob("*.py")
    if path.stem
    not in (
        *("__init__", "__main__", "compare_strategies"),
        *("search_script", "search_command", "sobol_fine_tuning", "look_at_data"),
        "export_model",
    )
)


@pytest.mark.parametrize("name", JOBS)
def test_a_job_fits_on_a_screen_and_says_what_to_look_at(name):
    text = (ROOT / "tune_jobs" / name).read_text()
    assert len(text.splitlines()) <= 66
    assert text.startswith('"""')


@pytest.fixture
def files(tmp_path):
    """Flags of the jobs that need a file."""
    weights, texts = tmp_path / "weights.pt", tmp_path / "texts.csv"
    torch.save(build_model(ImageConfig(), (1, 8, 8), 10).state_dict(), weights)
    rows = [f"{'good' if n % 2 else 'bad'} word {n},{n % 2}" for n in range(60)]
    texts.write_text("\n".join(["text,label", *rows]))
    return {
        "sobol_fine_tuning.py": ("--pretrained", str(weights)),
        "text_lstm.py": ("--dataset", str(texts)),
    }


KNOBS = {
    "compare_strategies.py": ("--strategy", "sobol"),
    "grid_optimizer.py": ("--grid-points", "3"),
    "table_regression.py": ("--dataset", "diabetes", "--metric", "val_mae"),
}
"""Flags that some jobs need beside those of all."""


@pytest.mark.parametrize("name", sorted([*JOBS, "compare_strategies.py", "sobol_fine_tuning.py"]))
def test_every_job_fixes_and_searches_any_hyperparameter_by_any_metric(name, files):
    module = importlib.import_module(f"tune_jobs.{name.removesuffix('.py')}")
    argv = ["--dataset", "digits", "--max-epochs", "9", "--metric", "val_auroc"]
    argv += ["--fix", "patience=6", "--fix=train_ratio=0.6", "folds=0"]
    measured = "batch" in inspect.signature(module.job).parameters
    argv += ["--batch-size", "16"] if measured else ["--fix", "batch_size=16"]
    argv += ["--search", "min_delta=0.0,0.01", *{**KNOBS, **files}.get(name, ())]
    command = parse(module.job, argv)
    tuner = module.job(command.options, **command.own)
    found, data = tuner.tune_config, tuner.dataset.search
    expected = ("val_auroc", "max") if data.classes else ("val_mae", "min")
    assert (found.metric, found.mode) == expected
    space = found.search_alg.space
    assert (dict(space.fixed)["patience"], dict(space.fixed)["batch_size"]) == (6, 16)
    assert [p.values for p in space.parameters if p.name == "min_delta"] == [(0.0, 0.01)]
    assert data.train_ratio == dict(space.fixed)["train_ratio"] == 0.6
    for config in space.samples():
        tuner.trainable.check_config(config, data)
    known = "f1" if data.classes else "rmse"
    for words, said in {
        ("--metric", known): rf"--metric {known}: unknown \(did you mean val_{known}\?\).*val_loss",
        ("--fix", "epochs=3"): "--fix epochs=3: give --max-epochs",
        ("--search", "seed=1,2"): "--search seed=1,2",
        (
            "--batch-size",
            "32",
            "--fix",
            "batch_size=64",
        ): "--batch-size 32 and --fix batch_size=64:",
        (
            "--batch-size",
            "auto",
            "--search",
            "batch_size=8,16",
        ): "--batch-size auto and --search ba",
    }.items():
        if words[0] == "--batch-size" and not measured:
            assert "`--batch-size`: each study" in module.job.__doc__
            continue
        other = parse(module.job, [*argv, *words])
        with pytest.raises(ValueError, match=said):
            module.job(other.options, **other.own)


@pytest.mark.long
# That of the first job is in `tests/test_job.py`.
@pytest.mark.parametrize("name", sorted({*JOBS} - {JOB.name}))
def test_the_smoke_test_of_a_job_ends_with_four_trials_and_a_best_one(run_job, tmp_path, name):
    job = ROOT / "tune_jobs" / name
    code, output = run_job("--smoke-test", "--name", "smoke", script=job)
    assert code == 0, output
    rows = table_of(tmp_path / "results" / "smoke")
    assert len(rows) == 4
    assert {row["status"] for row in rows} <= {"finished", "stopped"}
    assert (tmp_path / "results" / "smoke" / "best" / "best.json").exists()
    assert "ended by       all trials" in output


@pytest.mark.long
def test_a_grid_that_is_too_large_is_refused_before_anything_is_scheduled(run_job, tmp_path):
    job = ROOT / "tune_jobs" / "grid_optimizer.py"
    code, output = run_job("--dataset", "digits", "--grid-points", "6000", script=job)
    assert code == 2
    assert output.startswith("error: the grid has 54,000 points (optimizer 5 × learning_rate")
    assert "or give --yes" in output
    assert not (tmp_path / "results").exists() or not list((tmp_path / "results").iterdir())
    code, output = run_job(
        *("--dataset", "digits", "--grid-points", "6000", "--yes", "--epoch-budget", "2"),
        *("--max-epochs", "1", "--name", "large"),
        script=job,
    )
    assert code == 0, output
    assert "54001" in output
    assert "ended by       epoch budget" in output
    assert journal_of(tmp_path / "results" / "large")[-1]["why"] == "epoch budget"
    code, output = run_job("--resume", "results/large", script=job)
    assert code == 0, "who has said yes to a grid need not say it again"


def test_each_strategy_that_is_compared_has_a_searcher():
    assert {*get_args(compare_strategies.Strategy)} == {*compare_strategies.SEARCHERS}


COMPARISON = """
from tune_cluster.execution.compare import compare
from tune_jobs.compare_strategies import job

compare(job, ["random", "sobol", "gp_asha"], epoch_budget=540)
"""


@pytest.mark.long
def test_strategies_are_compared_and_a_comparison_resumes(start_job, run_job, tmp_path):
    job = tmp_path / "compare_three.py"
    job.write_text(COMPARISON)
    tiny = ("--dataset", "digits", "--max-epochs", "2", "--epoch-budget", "4", "--seeds", "1")
    folder = tmp_path / "results" / "compared"
    process = start_job(*tiny, "--name", "compared", script=job)
    # Interrupted in the second study.
    wait_for_lines(process, folder / "sobol-0", 4)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, output
    before = len(journal_of(folder / "random-0"))
    code, output = run_job(*tiny, "--name", "compared", script=job)
    assert code == 0, output
    studies = sorted(path.name for path in folder.iterdir() if path.is_dir())
    assert studies == ["gp_asha-0", "random-0", "sobol-0"]
    assert "after 4 epochs" in output or "after 5 epochs" in output
    assert (folder / "comparison.png").stat().st_size > 10_000
    results = [e for e in journal_of(folder / "random-0")[before:] if e["event"] == "result"]
    assert results == [], "its budget had been spent"


@pytest.mark.long
def test_a_trained_network_is_fine_tuned(run_job, smoke_test, tmp_path):
    folder, _ = smoke_test
    job = ROOT / "tune_jobs" / "sobol_fine_tuning.py"
    best = folder / "results" / "smoke" / "best"
    code, output = run_job(
        "--smoke-test", "--pretrained", str(best), "--name", "second", script=job
    )
    assert code == 0, output
    rows = table_of(tmp_path / "results" / "second")
    assert {row["pretrained"] for row in rows} == {str(best)}
    start = min(
        event["metrics"]["val_loss"]
        for event in journal_of(tmp_path / "results" / "second")
        if event["event"] == "result" and event["epoch"] == 1
    )
    assert start < 1.0, "it knows what the first study has learned"
    code, output = run_job("--smoke-test", "--pretrained", "nowhere", script=job)
    assert code == 2
    assert "pretrained" in output
    assert "no such file" in output
