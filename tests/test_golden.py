"""Studies that earlier code has begun are resumed to the same tables (golden/make.py)."""

import json
import shutil

import boto3
import pytest

from tests.bucket import BUCKET
from tests.conftest import ROOT, results_of, table_of

GOLDEN = ROOT / "tests" / "golden"

PRECISION = 1e-4
"""Relative: another kind of processor rounds otherwise, which a training amplifies."""

pytestmark = pytest.mark.long

RESUMED = [
    f"schema_1/{name}"
    for name in (
        "asha_grace_period",
        "asha_promotion",
        "asha_top",
        "audit",
        "faults",
        "grid",
        "killed",
        "optuna",
        "random",
        "sobol",
        "tpe",
        "warm_start",
    )
]


def expected_of(case):
    """The job's script, its arguments, and the table and results that are to come out."""
    return json.loads((GOLDEN / case / "expected.json").read_text())


def numbers(value):
    """A value of JSON or of a table, with all its numbers as such."""
    if isinstance(value, dict):
        return {key: numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [numbers(inner) for inner in value]
    number = as_number(value)
    return (
        number
        if isinstance(number, str | None)
        else pytest.approx(number, rel=PRECISION, nan_ok=True)
    )


def as_number(value):
    """A number that a table has as text, as a number."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def assert_as_expected(study, expected):
    table = [
        {name: value for name, value in row.items() if name != "log"} for row in table_of(study)
    ]
    assert [{name: as_number(row[name]) for name in row} for row in table] == numbers(
        expected["table"]
    )
    results = {(trial, epoch): metrics for trial, epoch, metrics in expected["results"]}
    found = results_of(study)
    assert found.keys() == results.keys()
    for at, metrics in results.items():
        assert found[at] == numbers(metrics), at


@pytest.mark.parametrize("case", RESUMED)
def test_a_study_of_earlier_code_resumes_to_the_same_table(run_job, tmp_path, case):
    expected = expected_of(case)
    study = tmp_path / expected["arguments"][1]
    shutil.copytree(GOLDEN / case / "study", study)
    code, output = run_job(*expected["arguments"], script=ROOT / expected["script"])
    assert code == 0, output
    assert_as_expected(study, expected)
    if "audit" in expected:
        # It was killed when it had finished one of the stopped trials in itself, and most of
        # another one.
        assert "tune-cluster audit results/audit --share 0.6" in output
        code, output = run_job(script=("-m", "tune_cluster", "audit", str(study), "--share", "0.6"))
        assert code == 0, output
        found = json.loads((study.with_name("audit-audit") / "audit.json").read_text())
        assert found == numbers(expected["audit"])


def test_a_study_in_a_bucket_whose_head_was_killed_resumes_to_the_same_table(
    run_job, bucket, s3_endpoint, tmp_path
):
    kept = GOLDEN / "schema_1" / "bucket"
    expected = expected_of(kept)
    address = expected["arguments"][1]
    made = boto3.resource("s3", endpoint_url=s3_endpoint).Bucket(BUCKET)
    for path in (path for path in (kept / "study").rglob("*") if path.is_file()):
        key = f"{address}/{path.relative_to(kept / 'study')}".removeprefix(f"{bucket}/")
        made.put_object(Key=key, Body=path.read_bytes())
    script = ROOT / expected["script"]
    # The workers of the tests' own Ray have no credentials for the bucket.
    code, output = run_job(*expected["arguments"], script=script, address="local")
    assert code == 0, output
    copied = tmp_path / "copied"
    copied.mkdir()
    for name in ("trials.csv", "journal.jsonl"):
        made.download_file(f"results/bucket/{name}", str(copied / name))
    assert_as_expected(copied, expected)


def test_a_population_of_earlier_code_is_refused_and_repeated(run_job, tmp_path):
    kept = GOLDEN / "schema_1" / "pbt"
    expected = expected_of(kept)
    script = ROOT / expected["script"]
    shutil.copytree(kept / "study", tmp_path / "results" / "pbt")
    code, output = run_job("--resume", "results/pbt", script=script)
    assert code == 2, output
    shutil.rmtree(tmp_path / "results")
    code, output = run_job(*expected["arguments"], "--no-defaults", script=script)
    assert code == 0, output
    assert_as_expected(tmp_path / "results" / "pbt", expected)
