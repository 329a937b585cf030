"""Nothing of a study is unpickled: whoever can write to its folder could run what they like."""

import os
import pickle
import shutil
import subprocess
import sys
import zipfile

import pytest

from tests.conftest import TINY, journal_of
from tests.test_resume import kill_when

pytestmark = pytest.mark.slow

# Tune's own names among them: its restore would open these.
PICKLES = (
    "tuner.pkl",
    "trainable.pkl",
    "params.pkl",
    "searcher-state.pkl",
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
    """A study that was killed when several trials had checkpoints to go on from."""
    process = start_job(*TINY, "--name", "study", "--max-concurrent", "2")
    study = tmp_path / "results" / "study"
    kill_when(process, study, 30)
    process.communicate()
    return study


def torch_archive(path, data):
    """A file of `torch.save`'s format whose pickle is `data`."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", "3")
        archive.writestr("archive/byteorder", "little")


def strewn(study, data):
    """Puts the pickle into every place of the study; how many it is."""
    files = [path for path in study.rglob("*") if path.is_file()]
    folders = [study, *(path for path in study.rglob("*") if path.is_dir())]
    (study / ".tune").mkdir(exist_ok=True)
    for number, folder in enumerate([*folders, study / ".tune"]):
        for name in PICKLES:
            (folder / name).write_bytes(data)
        (folder / f"experiment_state-{number}.json").write_bytes(data)
    # What a resume loads of ours: both forms that torch would unpickle.
    states = [path for path in files if path.name == "state.pt"]
    for number, path in enumerate(sorted(states)):
        if number % 2:
            path.write_bytes(data)
        else:
            torch_archive(path, data)
    return len(states)


def test_a_pickle_in_every_place_of_a_study_is_opened_by_no_resume(
    stopped_study, run_job, tmp_path
):
    marker = tmp_path / "was-unpickled"
    data = pickle.dumps(Hostile(marker))
    pickle.loads(data).close()
    assert marker.exists(), "it would be seen"
    marker.unlink()

    assert strewn(stopped_study, data) >= 2
    _, output = run_job("--resume", str(stopped_study), "--max-concurrent", "2")
    assert not marker.exists()
    restored = [event for event in journal_of(stopped_study) if event["event"] == "restored"]
    assert any(event["unreadable"] for event in restored), output
    for module in ("curves", "audit"):
        subprocess.run(
            [sys.executable, "-m", f"tune_jobs.findings.{module}", str(stopped_study)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            cwd=tmp_path,
            capture_output=True,
            check=False,
        )
    assert not marker.exists()


@pytest.mark.parametrize("name", ["study.json", "journal.jsonl"])
def test_a_pickle_instead_of_what_a_resume_reads_is_one_line(whole_study, run_job, tmp_path, name):
    study = tmp_path / "study"
    shutil.copytree(whole_study, study)
    marker = tmp_path / "was-unpickled"
    (study / name).write_bytes(pickle.dumps(Hostile(marker)) + b"\n")
    code, output = run_job("--resume", str(study))
    assert code == 2, output
    assert f"{name}" in output.splitlines()[0]
    assert "Traceback" not in output
    assert not marker.exists()
