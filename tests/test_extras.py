"""Missing requirements are named: the extra with a library, where it is needed and not before, and
the operating system."""

import subprocess
import sys

import pytest

from tests.conftest import PATIENCE, ROOT, TINY
from tests.extras import environment_without


@pytest.fixture
def run_without(tmp_path):
    """Runs Python in an environment that lacks modules; `(exit code, stdout, stderr)`."""

    def run(names, *arguments):
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=tmp_path,
            env=environment_without(names, tmp_path),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.mark.parametrize(
    ("module", "extra", "command"),
    [
        ("matplotlib", "plots", ("tune_jobs/compare_strategies.py", "--dataset", "digits")),
        ("matplotlib", "plots", ("tune_cluster/__main__.py", "plot", "GOLDEN")),
        pytest.param(
            "hyperopt",
            "tpe",
            ("tune_jobs/tpe_schedule.py", "--searcher", "tpe", *TINY),
            marks=pytest.mark.long,
        ),
        pytest.param(
            "optuna",
            "optuna",
            ("tune_jobs/optuna_full_recipe.py", "--searcher", "optuna", *TINY),
            marks=pytest.mark.long,
        ),
    ],
)
def test_a_missing_package_is_one_line_with_its_extra(run_without, request, module, extra, command):
    script, *arguments = command
    if "--dataset" in arguments:
        arguments += ["--address", request.getfixturevalue("cluster_address")]
    golden = ROOT / "tests" / "golden" / "schema_1" / "grid" / "study"
    arguments = [golden if argument == "GOLDEN" else argument for argument in arguments]
    code, _, said = run_without((module,), ROOT / script, *arguments)
    assert code == 2, said
    assert said.startswith(f"error: {module} is not installed")
    assert f"tune-cluster[{extra}]" in said
    assert said.count("\n") == 1


def test_a_study_in_a_bucket_without_boto3_names_the_extra(run_without, bucket):
    job = ROOT / "tune_jobs" / "asha_lr_batch.py"
    arguments = (*TINY, "--storage-path", f"{bucket}/results", "--address", "local")
    code, _, said = run_without(("boto3",), job, *arguments)
    assert code == 2, said
    assert said.startswith("error: boto3 is not installed")
    assert "tune-cluster[s3]" in said


def test_another_system_is_refused_by_name(run_without):
    code, _, said = run_without(
        (), "-c", "import sys; sys.platform = 'darwin'; import tune_cluster"
    )
    assert code == 1
    assert "needs Linux, this is darwin" in said
