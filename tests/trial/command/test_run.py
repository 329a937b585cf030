"""A command that runs: real processes, without Ray."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tune_cluster.trial.command import process_group
from tune_cluster.trial.command.command import Command
from tune_cluster.trial.command.run import OutOfMemoryError, run_command
from tune_cluster.trial.failures import CommandFailedError

SCRIPT = """
import json, os, sys, time
lr, out, *resume = sys.argv[1:]
done = int(open(resume[0]).read()) if resume else 0
os.makedirs(out, exist_ok=True)
for epoch in range(done + 1, 4):
    print("epoch", epoch, end="\\r")
    print(f"val_loss={float(lr) / epoch} train_loss=9")
    with open(f"{out}/{epoch}.ckpt", "w") as file:
        file.write(str(epoch))
    time.sleep(0.4)
print("best val_loss=0")
"""


def command(code, *words, **more):
    program = code.replace("{", "{{").replace("}", "}}")
    return Command((sys.executable, "-c", program, *words), "val_loss", **more)


def run(tmp_path, asked, config=None, saved=None, report=None):
    """Reports of a run, and saved checkpoints by epoch."""
    reports, kept = [], {}

    def take(metrics, save):
        reports.append(metrics)
        if save is not None:
            folder = tmp_path / f"saved-{len(reports)}"
            folder.mkdir()
            save(str(folder))
            kept[metrics["epoch"]] = folder
        if report is not None:
            report(metrics)

    run_command(asked, config or {}, tmp_path / "files", take, saved)
    return reports, kept


def test_a_command_reports_its_epochs_and_resumes_from_what_it_has_saved(tmp_path, capfd):
    asked = command(
        SCRIPT,
        *("{lr}", "{trial_dir}"),
        checkpoint="{trial_dir}/*.ckpt",
        resume_words=("{checkpoint}",),
    )
    reports, kept = run(tmp_path, asked, {"lr": 6.0})
    assert [(r["epoch"], r["val_loss"]) for r in reports] == [(1, 6), (2, 3), (3, 2)]
    assert "val_loss=6.0" in capfd.readouterr().out
    assert json.loads((tmp_path / "files" / "config.json").read_text()) == {"lr": 6.0}
    assert [(kept[e] / f"{e}.ckpt").read_text() for e in (1, 2, 3)] == ["1", "2", "3"]

    resumed, _ = run(tmp_path / "again", asked, {"lr": 6.0}, saved=kept[2])
    assert [r["epoch"] for r in resumed] == [3]


def test_a_command_may_resume_from_where_it_saves(tmp_path):
    """It takes the latest checkpoint in its folder: those of lost epochs must be gone."""
    code = SCRIPT.replace(
        "done = int(open(resume[0]).read()) if resume else 0",
        "import glob; saved = glob.glob(out + '/*')\n"
        "done = max(int(open(file).read()) for file in saved) if resume else 0",
    )
    asked = command(
        code,
        *("{lr}", "{trial_dir}/out"),
        checkpoint="{trial_dir}/out/*.ckpt",
        resume_words=("--resume",),
    )
    _, kept = run(tmp_path, asked, {"lr": 6.0})
    shutil.copytree(tmp_path / "files", tmp_path / "again" / "files")
    resumed, _ = run(tmp_path / "again", asked, {"lr": 6.0}, saved=kept[1])
    assert [r["epoch"] for r in resumed] == [2, 3]
    resumed, _ = run(tmp_path / "elsewhere", asked, {"lr": 6.0}, saved=kept[2])
    assert [r["epoch"] for r in resumed] == [3]


def test_a_command_that_cannot_resume_keeps_its_checkpoints(tmp_path):
    asked = command(SCRIPT, "{lr}", "{trial_dir}", checkpoint="{trial_dir}/*.ckpt")
    _, kept = run(tmp_path, asked, {"lr": 6.0})
    assert sorted(kept) == [1, 2, 3]


def test_a_fast_command_saves_no_checkpoint_that_may_be_of_a_later_epoch(tmp_path):
    code = SCRIPT.replace("time.sleep(0.4)", "")
    words, asked = ("{lr}", "{trial_dir}"), {"checkpoint": "{trial_dir}/*.ckpt"}
    fast = command(code, *words, resume_words=("{checkpoint}",), **asked)
    reports, kept = run(tmp_path, fast, {"lr": 6.0})
    assert [report["epoch"] for report in reports] == [1, 2, 3]
    saved = {epoch: sorted(p.name for p in kept[epoch].iterdir()) for epoch in kept}
    assert saved == {3: ["3.ckpt", "command.json"]}


def test_metrics_are_read_from_a_file(tmp_path):
    code = (
        "import sys, time; f = open(sys.argv[1], 'w'); f.write('epoch,val_loss\\n')\n"
        "for e in (0, 1): f.write(f'{e},{e + 0.5}\\n'); f.flush(); time.sleep(0.3)"
    )
    (tmp_path / "files").mkdir()
    asked = command(code, "{trial_dir}/log.csv", metrics_from="{trial_dir}/log.csv")
    reports, _ = run(tmp_path, asked)
    assert reports == [{"val_loss": 0.5, "epoch": 0}, {"val_loss": 1.5, "epoch": 1}]


def test_of_a_progress_bar_each_epoch_has_its_own_value(tmp_path):
    """The bar is tqdm's, which shows the value of the epoch before until there is another."""
    code = (
        "import time; from tqdm import tqdm; bar = tqdm(total=3, mininterval=0)\n"
        "for e in range(1, 4):\n"
        "    bar.reset(); bar.set_description(f'Epoch {e}')\n"
        "    for _ in range(3): bar.update()\n"
        "    for _ in tqdm(range(2), position=1, leave=False): time.sleep(0.2)\n"
        "    bar.set_postfix(val_loss=10 - e)\n"
    )
    reports, _ = run(tmp_path, command(code))
    assert [(r["epoch"], r["val_loss"]) for r in reports] == [(1, 9), (2, 8), (3, 7)]


def test_a_configuration_file_has_the_values(tmp_path):
    (tmp_path / "conf.yaml").write_text("lr: 0.1\nepochs: 3\n")
    code = "import os, sys; print(open(sys.argv[1]).read().replace('lr', 'val_loss'))"
    asked = command(code, "{config_file}", config_file=str(tmp_path / "conf.yaml"))
    reports, _ = run(tmp_path, asked, {"lr": 0.25})
    assert reports == [{"val_loss": 0.25, "epochs": 3.0}]


@pytest.mark.parametrize(
    ("code", "error", "said"),
    [
        ("import nothing_such", CommandFailedError, "nothing_such"),
        ("print('val_loss=1'); raise SystemExit(3)", CommandFailedError, "code 3"),
        ("import os; os.kill(os.getpid(), 9)", MemoryError, "SIGKILL"),
        ("raise SystemExit('torch.OutOfMemoryError: 2 GiB')", OutOfMemoryError, "2 GiB"),
        ("print('loss=1')", SystemExit, "loss"),
        ("", SystemExit, "val_loss"),
    ],
)
def test_a_failed_command_raises_with_the_reason(tmp_path, code, error, said):
    with pytest.raises(error, match=said):
        run(tmp_path, command(code))


GRANDCHILD = (
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "print('child', child.pid)\nprint('val_loss=1')\n"
)


def gone(pid, seconds=20.0):
    """Return whether a process has ended in that time."""
    for _ in range(int(seconds / 0.05)):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("ending", ["time.sleep(600)", "sys.exit(0)"])
def test_the_whole_process_group_ends_with_the_trial(tmp_path, capfd, ending):
    class StopError(Exception):
        pass

    def stop(metrics):
        raise StopError

    with pytest.raises(StopError):
        run(tmp_path, command(GRANDCHILD + ending), report=stop)
    printed = capfd.readouterr().out
    assert gone(int(printed.split()[1]))


def test_a_process_that_ignores_sigterm_is_killed():
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('ready', flush=True); time.sleep(600)"
    )
    group = [sys.executable, "-I", "-S", process_group.__file__, "0.5", sys.executable, "-c", code]
    with subprocess.Popen(group, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        process.stdin.close()
        assert process.wait(20) == process_group.KILLED + signal.SIGKILL


def test_a_kill_of_the_trial_process_leaves_no_process_of_its_command(tmp_path):
    """The process that has started the command gets SIGKILL, as by the kernel or by Ray."""
    script = tmp_path / "trial.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\n"
        "from tune_cluster.trial.command.command import Command\n"
        "from tune_cluster.trial.command.run import run_command\n"
        f"asked = Command((sys.executable, '-c', {GRANDCHILD + 'time.sleep(600)'!r}), 'val_loss')\n"
        f"run_command(asked, {{}}, Path({str(tmp_path / 'files')!r}), lambda *a: None)\n"
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE) as trial:
        child = int(trial.stdout.readline().split()[1])
        family = psutil.Process(trial.pid).children(recursive=True)
        assert child in {process.pid for process in family}
        os.kill(trial.pid, signal.SIGKILL)
        assert all(gone(process.pid) for process in family)


@pytest.mark.parametrize(
    ("words", "more", "said"),
    [
        ((), {}, "missing"),
        (("no-such-program",), {}, "no such program"),
        (("true",), {"resume_words": ("--resume", "{checkpoint}")}, "--checkpoint"),
        (("true",), {"checkpoint": "*", "resume_words": ("--resume",)}, "{checkpoint}"),
        (("true",), {"config_file": "a.yaml"}, "{config_file}"),
        (("true",), {"patterns": ("(?P<a>x)",), "metrics_from": "a.csv"}, "--metrics-from"),
    ],
)
def test_contradicting_arguments_are_refused(words, more, said):
    with pytest.raises(ValueError, match=said):
        Command(words, "val_loss", **more)


@pytest.mark.parametrize("more", [{"checkpoint": "last.pt"}, {"metrics_from": "logs/a.csv"}])
def test_a_file_that_trials_at_once_would_share_is_refused(more):
    with pytest.raises(ValueError, match="--max-concurrent 1"):
        Command(("true",), "val_loss", **more).check_apart()
    own = {flag: "{trial_dir}/" + path for flag, path in more.items()}
    Command(("true",), "val_loss", **own).check_apart()
    Command(("true",), "val_loss").check_apart()


def test_each_name_has_a_value_and_each_value_a_place():
    asked = Command(("true", "--lr", "{lr}", "{trial_dir}"), "val_loss")
    asked.check_names(["lr"])
    with pytest.raises(ValueError, match=r"\{lr\}"):
        asked.check_names(["rate"])
    with pytest.raises(ValueError, match="momentum"):
        asked.check_names(["lr", "momentum"])
    Command(("true", "{config_json}"), "val_loss").check_names(["anything"])
    with pytest.raises(ValueError, match="taken"):
        Command(("true", "{trial_dir}"), "val_loss").check_names(["trial_dir"])


def test_files_in_the_folder_of_a_trial_are_kept(tmp_path):
    run(
        tmp_path,
        command("import sys; open(sys.argv[1] + '/a', 'w'); print('val_loss=1')", "{trial_dir}"),
    )
    assert Path(tmp_path, "files", "a").exists()
