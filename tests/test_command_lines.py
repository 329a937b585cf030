"""Any command line gives one line and exit code 2, or a study that could begin; never a traceback.

The jobs are run as by `python tune_jobs/JOB.py`, up to the question whether to begin. The start of
a Ray and the rehearsal are left out, since they would take too long a thousand times.
"""

import io
import os
import runpy
import signal
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.conftest import ROOT
from tune_cluster.cluster.capacity import Cluster
from tune_cluster.execution import compare, cost_estimate, launcher, plan
from tune_cluster.execution.options import Options, flag

JOBS = sorted(
    path.name for path in (ROOT / "tune_jobs").glob("*.py") if not path.name.startswith("__")
)
COUNT = int(os.environ.get("TUNE_CLUSTER_COMMAND_LINES", "500"))
"""Number of cases: with 1,500 damaged studies 2,000 in CI, 20,000 in a night."""

PATIENCE = 60
"""Seconds after which a command line counts as one without end."""

OWN_FLAGS = (
    *("--grace-period", "--reduction-factor", "--rung-rule", "--audit", "--warm-start", "--fix"),
    *(
        "--search",
        "--metric",
        "--grid-points",
        "--perturbation-interval",
        "--pretrained",
        "--seeds",
    ),
    *("--strategy", "--help", "--nonsense"),
)
"""Flags of the jobs; each job has some of them."""


class Hang(BaseException):
    """No error that anything but the test catches."""


@contextmanager
def ended_after(seconds):
    def end(number, frame):
        raise Hang

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def place(cluster_address, tmp_path_factory):
    """A folder with whatever a path may lead to, in which all is run up to the question."""
    folder = tmp_path_factory.mktemp("lines")
    (folder / "file").write_text("no folder")
    (folder / "empty").mkdir()
    (folder / "study").mkdir()
    (folder / "study" / "study.json").write_text("{}")
    (folder / "circle").symlink_to("circle")
    (folder / "nowhere").symlink_to("missing")
    os.mkfifo(folder / "fifo")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("COLUMNS", "100")
        # A bucket is one that nothing answers for.
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_ACCESS_KEY_ID", "none")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "none")

        @contextmanager
        def joined(options):
            yield Cluster(({"CPU": 4.0, "GPU": 1.0},), own=True)

        patch.setattr(launcher, "cluster_for", joined)
        patch.setattr(cost_estimate, "rehearse", lambda study, step: [])
        for asking in (plan, compare):
            patch.setattr(asking, "confirmed", lambda *asked, **more: False)
        yield folder


def run(script, argv):
    """Return exit code, output, and errors."""
    output, errors = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(script), *argv])
        with redirect_stdout(output), redirect_stderr(errors), ended_after(PATIENCE):
            try:
                runpy.run_path(str(script), run_name="__main__")
                code = 0
            except SystemExit as ended:
                code = ended.code
    return code, output.getvalue(), errors.getvalue()


numbers = st.sampled_from(
    [
        *("0", "1", "2", "3", "8", "-1", "0.5", "1e-320", "1e308", "-1e308", "inf", "-inf", "nan"),
        *("1000000", "10000000000", "9" * 400, "9" * 5000, "0x10", "1_000", "½", "٣", ""),
    ]
)
paths = st.sampled_from(
    [
        *("file", "file/below", "empty", "study", "circle", "circle/below", "nowhere", "fifo", "."),
        *("..", "/", "~", "~/missing", "~nobody-here/x", "/dev/null", "/dev/zero", "/proc/1/mem"),
        *("/proc/missing", "a" * 300, "a/" * 3000, "é" * 150, "s3://", "s3://bucket", "s3:/x"),
        *("s3://UPPER/x", "gs://bucket/x", "s3://k:s@bucket/x", "\ud800", "a\nb", "a\0b", "a\x1bb"),
        *(" ", "   ", "-", "--", "-x", "'", '"', "$(true)", "*", "a\tb", "\u202e", "/sys", "/proc"),
    ]
)
nested = st.sampled_from(
    [
        *("[" * 100_000, "(" * 50_000, "x=" + "[" * 100_000, "x=" + "(" * 200, "x=" + "{1:" * 5000),
        *("learning_rate=", "=1", "learning_rate=nan", "learning_rate=1e400", "schedule=cosine"),
        *("learning_rate=log:1e-3:1", "x=1:2", "momentum=0:1 if optimizer=sgd,adam", "x=1 if x=1"),
        *("hidden_sizes=(8,8),(4,)", "train_ratio=0.1,0.9", "val_f1", "val_auroc", "patience=3,6"),
        *("batch_size=True", "x=" + "9" * 5000, "optimizer=[1,2]", "model=mlp", "a=b=c", "x=1e"),
    ]
)
words = st.sampled_from(["digits", "mnist", "mlp", "cnn", "promotion", "top", "ray", "random"])
values = st.one_of(numbers, paths, nested, words, st.text(max_size=12))
known = st.sampled_from([*(flag(name) for name in Options.__dataclass_fields__), *OWN_FLAGS])
pairs = st.one_of(
    st.tuples(known, values).map(list),
    st.tuples(known, values).map(lambda pair: ["=".join(pair)]),
    known.map(lambda name: [name]),
    values.map(lambda value: [value]),
    # Else most lines would be refused for their first flag, and would not test later ones.
    st.sampled_from(
        [
            *(["--dataset", "digits"], ["--trials", "4"], ["--max-epochs", "3"], ["--yes"]),
            *(["--grace-period", "1"], ["--max-concurrent", "2"], ["--gpus-per-trial", "0.5"]),
        ]
    ),
)
lines = st.lists(pairs, max_size=5).map(lambda parts: [word for part in parts for word in part])


def holds(code, output, errors):
    """Return whether a command line was accepted, or refused in words."""
    said = output + errors
    assert "Traceback" not in said
    if code == 2:
        assert errors.strip()
    else:
        assert code in (0, 130), (code, said)


@pytest.mark.long
@settings(
    max_examples=COUNT,
    suppress_health_check=list(HealthCheck),
    derandomize="TUNE_CLUSTER_COMMAND_LINES" not in os.environ,
)
@given(st.sampled_from(JOBS), lines)
@example("asha_lr_batch.py", ["--name", "a" * 300])
@example("asha_lr_batch.py", ["--cpus-per-trial", "1e308", "--max-concurrent", "100"])
@example("asha_lr_batch.py", ["--cpus-per-trial", "1e-320"])
@example("grid_optimizer.py", ["--grid-points", "1000000", "--dataset", "digits", "--yes"])
@example("optuna_full_recipe.py", ["--dataset", "digits", "--fix", "x=" + "[" * 100_000])
def test_a_job_accepts_a_command_line_or_refuses_it_in_words(place, job, argv):
    holds(*run(ROOT / "tune_jobs" / job, argv))
    left = {path.name for path in place.iterdir()} - {"results"}
    assert not {name for name in left if name.startswith(Path(job).stem)}
