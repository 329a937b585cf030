"""A study can grow: in two steps, and killed in between, it is the study of one step."""

import pytest

from tests.conftest import ROOT, journal_of, results_of, table_of
from tests.test_resume import assert_whole, kill_when

pytestmark = pytest.mark.long

# Enough trials that the model proposes some of them on each side of the cut. That each searcher
# goes on by its events alone is in the suite of all searchers. One grid, and one model with rungs.
CASES = {
    "grid_optimizer.py": ("--max-epochs", "2", 10),
    "tpe_asha_cnn.py": ("--max-epochs", "3", 26),
}


@pytest.mark.parametrize("case", CASES)
def test_a_study_extended_twice_and_killed_in_between_has_the_table_of_one_run(
    start_job, run_job, tmp_path, case
):
    script, *searcher = case.split()
    job = ROOT / "tune_jobs" / script
    *epochs, trials = CASES[case]
    tiny = ("--dataset", "digits", "--seed", "1", "--max-concurrent", "1", *searcher, *epochs)
    whole, grown = tmp_path / "results" / "whole", tmp_path / "results" / "grown"

    code, output = run_job(*tiny, "--trials", str(trials), "--name", "whole", script=job)
    assert code == 0, output
    code, output = run_job(*tiny, "--trials", str(trials // 2), "--name", "grown", script=job)
    assert code == 0, output
    half = len(journal_of(grown))
    process = start_job("--resume", "results/grown", "--trials", str(trials), script=job)
    kill_when(process, grown, half + 12)
    process.communicate()
    code, output = run_job("--resume", "results/grown", "--trials", str(trials), script=job)
    assert code == 0, output

    assert table_of(grown) == table_of(whole)
    assert results_of(grown) == results_of(whole)
    assert_whole(grown, trials)
