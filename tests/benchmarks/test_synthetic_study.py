from synthetic_study import EPOCHS, PLACES, write_growth, write_synthetic

from tune_cluster.reports.overview import state_of
from tune_cluster.study.journal import JOURNAL
from tune_cluster.study.stored import read_study


def test_a_synthetic_study_is_read_as_one_of_the_engine_s(tmp_path):
    results = write_synthetic(tmp_path / "whole", 20, stops=False)
    whole = read_study(tmp_path / "whole")
    assert results == whole.state.epochs_run == 20 * EPOCHS
    assert state_of(tmp_path / "whole", whole) == "all trials"
    results = write_synthetic(tmp_path / "stopped", 20, stops=True)
    stopped = read_study(tmp_path / "stopped").state
    assert results == stopped.epochs_run < 20 * EPOCHS
    assert stopped.counts["stopped"] > stopped.counts["finished"] > 0
    rungs = {trial.epochs for trial in stopped.trials.values()}
    assert rungs == {1, 3, 9, EPOCHS}


def test_a_synthetic_study_grows(tmp_path):
    write_synthetic(tmp_path / "study", 20, stops=True, closed=False)
    for trials in (20, 20 + PLACES):
        write_growth(tmp_path / "study" / JOURNAL, trials)
    state = read_study(tmp_path / "study").state
    assert len(state.trials) == 20 + 2 * PLACES
    assert state.counts["running"] == 2 * PLACES
