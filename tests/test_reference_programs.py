"""Programs in the style of others, tuned as they are: no line of them is changed.

Each is stopped early, killed with its study and resumed, has its curves and its line of HPARAMS in
TensorBoard, and a best trial with its files."""

import shlex
import sys

import pytest
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from tests.conftest import ROOT, results_of, table_of
from tests.test_resume import assert_whole, kill_when
from tune_cluster.callbacks.hparams import SESSION_START
from tune_cluster.callbacks.tensorboard import TAGS
from tune_cluster.cli import run

PROGRAMS = ROOT / "tests" / "reference_programs"
EPOCHS, TRIALS = 9, 9

COMMANDS = {
    "mnist": r"""
        --search lr=log:0.01:10 --search batch-size=32,64,128 --metric val_loss
        --pattern 'Average loss: (?P<val_loss>[\d.]+), Accuracy: (?P<correct>\d+)'
        -- mnist --lr {lr} --batch-size {batch-size}""",
    "word_language_model": r"""
        --search lr=log:1:40 --search dropout=0:0.5 --metric val_loss
        --pattern 'valid loss +(?P<val_loss>[\d.]+) . valid ppl +(?P<ppl>[\d.]+)'
        -- word_language_model --lr {lr} --dropout {dropout} --save {trial_dir}/model.pt""",
    "torchvision_reference": r"""
        --search lr=log:0.001:1 --search weight-decay=log:1e-6:1e-2 --metric acc1 --mode max
        --pattern '^Test:  Acc@1 (?P<acc1>[\d.]+) Acc@5 (?P<acc5>[\d.]+)'
        --checkpoint {trial_dir}/checkpoint.pth --resume-args '--resume {checkpoint}'
        -- torchvision_reference --lr {lr} --weight-decay {weight-decay}
        --output-dir {trial_dir}""",
    "timm_train": r"""
        --search lr=log:0.001:1 --search opt=sgd,adamw --search 'momentum=0:0.9 if opt=sgd'
        --metric eval_loss --metrics-from {trial_dir}/run/summary.csv
        --checkpoint {trial_dir}/run/last.pth.tar --resume-args '--resume {checkpoint}'
        -- timm_train --lr {lr} --opt {opt} --momentum {momentum} --output {trial_dir}
        --experiment run""",
    "hydra_application": r"""
        --search optimizer.lr=log:0.001:1 --search optimizer.name=sgd,adam
        --search 'optimizer.momentum=0:0.9 if optimizer.name=sgd' --metric val/loss
        -- hydra_application optimizer.lr={optimizer.lr} optimizer.name={optimizer.name}
        optimizer.momentum={optimizer.momentum} hydra.run.dir={trial_dir}""",
}
"""Arguments of `tune-cluster run`, by program."""

RESUMING = ("torchvision_reference", "timm_train")


def typed(name, *more):
    """The words of the job, with the program's path."""
    *flags, program = COMMANDS[name].partition(f"-- {name}")[::2]
    words = [*shlex.split(flags[0]), *more, "--", sys.executable, str(PROGRAMS / f"{name}.py")]
    epochs = f"epochs={EPOCHS}" if name == "hydra_application" else f"--epochs {EPOCHS}"
    _, *job = run(*words, *shlex.split(program), *epochs.split())
    return job


@pytest.mark.long
@pytest.mark.parametrize("name", COMMANDS)
def test_a_reference_program_is_tuned_unchanged(start_job, run_job, tmp_path, name):
    more = ("--trials", str(TRIALS), "--max-epochs", str(EPOCHS), "--max-concurrent", "1")
    words = typed(name, *more, "--grace-period", "1", "--yes")
    metric = words[words.index("--metric") + 1]
    whole, cut = tmp_path / "results" / "whole", tmp_path / "results" / "cut"
    script = ROOT / "tune_jobs" / "search_command.py"
    code, output = run_job(*words, "--name", "whole", script=script)
    assert code == 0, output
    process = start_job(*words, "--name", "cut", script=script)
    kill_when(process, cut, 12)
    process.communicate()
    code, output = run_job("--resume", "results/cut", "--yes", script=script)
    assert code == 0, output
    assert table_of(cut) == table_of(whole)
    assert results_of(cut) == results_of(whole)
    assert_whole(cut, TRIALS, tag=TAGS.get(metric, metric))

    rows = table_of(cut)
    assert {"stopped", "finished"} == {row["status"] for row in rows}
    assert sum(int(row["epochs_run"]) for row in rows) < 0.7 * TRIALS * EPOCHS
    [finished] = [row["trial"] for row in rows if row["status"] == "finished"][:1]
    curves = EventAccumulator(str(cut / "trials" / f"{int(finished):04d}"))
    curves.Reload()
    assert SESSION_START in curves.Tags()["tensors"]
    assert any(len(curves.Tensors(tag)) == EPOCHS for tag in curves.Tags()["tensors"])
    assert (cut / "best" / "best.json").exists()
    assert bool([*(cut / "best").glob("*.pth*")]) == (name in RESUMING)
    assert "files " in output
