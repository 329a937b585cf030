"""Nothing of a study is unpickled: anybody who can write to its folder could run code."""

import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile

import pytest

from tests.conftest import JOB, TINY, journal_of
from tests.test_resume import kill_when

pytestmark = pytest.mark.long

# Tune's own names among them: its restore would open these.
PICKLES = (
    "tuner.pkl",
    "trainable.pkl",
    "params.pkl",
    "searcher-state.pkl",
    "error.pkl",
    "extra.pkl",
    "x.pickle",
)


class Hostile:
    """Makes a file where it is unpickled, in whatever process."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return open, (self.marker, "w")


@pytest.fixture
def stopped_study(start_job, tmp_path):
    """A study that was killed when several trials had checkpoints to resume from, long before its
    last one."""
    longer = ("--max-epochs", "27", "--grace-period", "9")
    process = start_job(*TINY, *longer, "--name", "study", "--max-concurrent", "2")
    study = tmp_path / "results" / "study"
    kill_when(process, study, 70)
    process.communicate()
    return study


def torch_archive(path, data):
    """A file of `torch.save`'s format whose pickle is `data`."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", "3")
        archive.writestr("archive/byteorder", "little")


def strewn(study, data):
    """Put the pickle into every place of the study, and in place of its files; return the number of
    checkpoints."""
    files = [path for path in study.rglob("*") if path.is_file()]
    folders = [study, *(path for path in study.rglob("*") if path.is_dir())]
    (study / ".tune").mkdir(exist_ok=True)
    in_json = json.dumps({"_type": "CLOUDPICKLE_FALLBACK", "value": data.hex()}).encode()
    for number, folder in enumerate([*folders, study / ".tune"]):
        for name in PICKLES:
            (folder / name).write_bytes(data)
        (folder / f"experiment_state-{number}.json").write_bytes(data if number % 2 else in_json)
    for path in [*files, study / "trials.csv"]:
        if path.name not in ("study.json", "journal.jsonl", "state.pt", "result.json"):
            path.write_bytes(data)
    # Files that a resume loads: both forms that torch would unpickle, and the files beside them.
    checkpoints = sorted({path.parent for path in files if path.name == "state.pt"})
    for number, folder in enumerate(checkpoints):
        if number % 3 == 0:
            (folder / "state.pt").write_bytes(data)
        elif number % 3 == 1:
            torch_archive(folder / "state.pt", data)
        else:
            (folder / "result.json").write_bytes(data)
    return len(checkpoints)


def test_a_pickle_in_any_file_of_a_study_is_never_unpickled(stopped_study, run_job, tmp_path):
    marker = tmp_path / "was-unpickled"
    data = pickle.dumps(Hostile(marker))
    pickle.loads(data).close()
    assert marker.exists(), "it would be seen"
    marker.unlink()

    assert strewn(stopped_study, data) >= 3
    code, output = run_job("--resume", str(stopped_study), "--max-concurrent", "2")
    assert code == 0, output
    assert not marker.exists()
    restored = [event for event in journal_of(stopped_study) if event["event"] == "restored"]
    assert any(event["unreadable"] for event in restored), output

    strewn(stopped_study, data)
    for command in ("plot", "audit"):
        done = subprocess.run(
            [sys.executable, "-m", "tune_cluster", command, str(stopped_study)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    learning = ("--dataset", "digits", "--trials", "2", "--max-epochs", "2", "--name", "warm")
    code, output = run_job(
        *learning, "--warm-start", str(stopped_study), script=JOB.with_name("tpe_training.py")
    )
    assert code == 0, output
    assert [e for e in journal_of(tmp_path / "results" / "warm") if e["event"] == "earlier"]
    assert not marker.exists()


@pytest.mark.parametrize("name", ["study.json", "journal.jsonl"])
def test_a_pickle_in_place_of_a_file_that_a_resume_reads_is_refused_in_one_line(
    whole_study, run_job, tmp_path, name
):
    study = tmp_path / "study"
    shutil.copytree(whole_study, study)
    marker = tmp_path / "was-unpickled"
    (study / name).write_bytes(pickle.dumps(Hostile(marker)) + b"\n")
    code, output = run_job("--resume", str(study))
    assert code == 2, output
    assert f"{name}" in output.splitlines()[0]
    assert "Traceback" not in output
    assert not marker.exists()
