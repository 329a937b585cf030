"""Cost estimate of a study: the arithmetic, and the remaining cost on a resume."""

import shutil
from dataclasses import replace
from functools import partial

import pytest

from search_spaces.objective import Expectation, Origin
from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.pbt import PBT
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from tests.in_process import QUALITY, SPACE, study_in
from tune_cluster.execution.cost_estimate import (
    CostEstimate,
    check_room,
    divide_quota,
    epochs_left,
    estimate_cost,
    gpus_held,
    most_checkpoints,
)
from tune_cluster.execution.rehearsal import Rehearsal
from tune_cluster.storage.checkpoints import TRIAL_FILES

costs = partial(estimate_cost, step=False)

TRAINED = Space("trained", (replace(QUALITY, kind="optimization"),))


def of(epoch_seconds, size=1000, error=""):
    return Rehearsal({"quality": 0.5}, epoch_seconds / 10, epoch_seconds, size, error)


def estimate(**changed):
    told = {
        "expectation": Expectation({}, 360.0, 180.0),
        "epochs": 360.0,
        "makespan": 180.0,
        "rehearsals": [of(30.0), of(10.0)],
        "cpus": 4.0,
        "gpus": 2,
        "checkpoints": 7,
    }
    return CostEstimate(**{**told, **changed})


def test_time_hours_money_and_bytes_follow_from_what_was_measured():
    told = estimate(per_gpu_hour=1.5)
    assert told.epoch_seconds == 20.0
    assert told.seconds == 3600.0
    assert (told.cpu_hours, told.gpu_hours, told.money) == (4.0, 2.0, 3.0)
    assert (told.checkpoint_bytes, told.study_bytes) == (1000, 7000)
    assert [one.epoch_seconds for one in told.measured] == [10.0, 30.0]


def test_a_quota_bounds_the_checkpoints_but_not_the_copy_of_the_best():
    assert estimate(checkpoint_budget=5000).study_bytes == 6000
    assert estimate(checkpoint_budget=6500).study_bytes == 7000


def test_a_time_budget_bounds_the_time_and_what_follows_from_it():
    told = estimate(time_budget=1800.0, per_gpu_hour=1.5)
    assert (told.seconds, told.gpu_hours, told.money) == (1800.0, 1.0, 1.5)


def test_without_a_measurement_the_cost_is_unknown_and_failed_rehearsals_do_not_count():
    for rehearsals in ([], [of(0.0, 0, "MemoryError: ")]):
        told = estimate(rehearsals=rehearsals, per_gpu_hour=1.5)
        assert told.describe() == {**dict.fromkeys(told.describe()), "epochs": 360.0}
    assert estimate(rehearsals=[of(5.0), of(0.0, 0, "MemoryError: ")]).epoch_seconds == 5.0


def test_without_a_price_of_a_gpu_hour_no_money_is_estimated():
    assert estimate().money is None
    assert estimate(per_gpu_hour=0.0).money == 0.0


@pytest.mark.parametrize(
    ("width", "share", "held"), [(8, 0.25, 2), (9, 0.25, 3), (5, 0.4, 3), (3, 2.0, 6), (8, 0.0, 0)]
)
def test_whole_gpus_are_paid_for(width, share, held):
    assert gpus_held(width, share) == held


def planned(directory, events=None, scheduler=None, **flags):
    return study_in(directory, events, scheduler=scheduler, **flags)


def test_without_rungs_every_trial_runs_to_its_end_two_at_a_time(tmp_path):
    told = costs(planned(tmp_path, trials=7, max_epochs=5))
    assert (told.epochs, told.makespan) == (35, 20)
    assert (told.seconds, told.study_bytes) == (None, None)


def test_with_rungs_the_estimate_is_the_expectation_of_the_scheduler(tmp_path):
    asha = ASHA(max_epochs=9)
    told = costs(planned(tmp_path, trials=9, scheduler=asha))
    assert told.expectation == asha.expected(trials=9, concurrent=2, max_epochs=9)
    assert told.epochs == told.expectation.epochs < 81
    audited = costs(planned(tmp_path, trials=9, scheduler=ASHA(max_epochs=9, audit=1.0)))
    assert audited.epochs == told.epochs, "who is stopped is finished by another study"


def test_an_epoch_budget_bounds_the_epochs_and_the_time(tmp_path):
    told = costs(planned(tmp_path, trials=4, max_epochs=5, epoch_budget=10))
    assert (told.epochs, told.makespan) == (10, 5)


def begun(index, epochs, status=None):
    events = [{"event": "suggested", "trial": index, "config": {"quality": 0.5, "seed": 1}}]
    results = range(1, epochs + 1)
    events += [
        {"event": "result", "trial": index, "epoch": e, "node": "n", "metrics": {"score": 0.5}}
        for e in results
    ]
    if status is not None:
        events.append({"event": "ended", "trial": index, "status": status, "epoch": epochs})
    return events


def test_a_resumed_study_is_estimated_by_the_epochs_left(tmp_path):
    events = [*begun(0, 5, "finished"), *begun(1, 2, "failed"), *begun(2, 3)]
    study = planned(tmp_path, events, trials=4, max_epochs=5)
    assert epochs_left(study, 20.0) == 5 + 2
    limited = planned(tmp_path, trials=4, max_epochs=5, epoch_budget=13)
    assert epochs_left(limited, 20.0) == 13 - 10
    spent = planned(tmp_path, trials=4, max_epochs=5, epoch_budget=9)
    assert epochs_left(spent, 20.0) == 0


def test_epochs_left_include_those_of_promoted_trials_once_all_trials_have_begun(tmp_path):
    def score(trial, epoch):
        metrics = {"score": 0.3 - 0.1 * trial}
        return {"event": "result", "trial": trial, "epoch": epoch, "node": "n", "metrics": metrics}

    events = [
        {"event": "suggested", "trial": i, "config": {"quality": 0.5, "seed": i}} for i in range(3)
    ]
    events += [score(trial, epoch) for trial in range(3) for epoch in range(1, 10)]
    stops = [
        {"event": "ended", "trial": trial, "status": "stopped", "rung": 9, "epoch": 9}
        for trial in range(3)
    ]
    waiting = planned(
        tmp_path / "waiting", [*events, *stops], ASHA(max_epochs=27, grace_period=9), trials=3
    )
    assert (costs(waiting).epochs, costs(waiting).makespan) == (18, 18)
    promoted = {"event": "promoted", "trial": 0, "rung": 9, "value": 0.3, "rank": 1, "of": 3}
    further = [*events, *stops, promoted, score(0, 10)]
    begun_again = planned(
        tmp_path / "begun", further, ASHA(max_epochs=27, grace_period=9), trials=3
    )
    assert costs(begun_again).epochs == 17


def test_checkpoints_kept_are_the_best_of_a_few_trials_and_the_latest_of_promotable_ones(tmp_path):
    to_the_end = planned(tmp_path, trials=10, keep_best=3)
    assert most_checkpoints(to_the_end) == 3 + 2 * 3 + 1
    promoting = planned(tmp_path, trials=10, keep_best=3, scheduler=ASHA(max_epochs=9))
    assert most_checkpoints(promoting) == 3 + 8 + 2 * 3 + 1


def test_an_epoch_budget_bounds_the_checkpoints_of_a_study_of_any_number_of_trials(tmp_path):
    asha = ASHA(max_epochs=9)
    few = planned(tmp_path / "few", trials=10_000, keep_best=3, scheduler=asha, epoch_budget=4)
    # Four trials of an epoch, and two that run when the budget is spent.
    assert most_checkpoints(few) == 3 + 4 + 2 * 3 + 1
    spent = planned(
        tmp_path / "spent", begun(0, 3), trials=10_000, scheduler=asha, keep_best=3, epoch_budget=4
    )
    assert most_checkpoints(spent) == 2 + 2 + 2 * 3 + 1


def test_all_members_of_a_population_have_the_checkpoints_of_a_trial_that_runs(tmp_path):
    pbt = PBT(TRAINED, perturbed=["quality"], max_epochs=9, interval=3, seed=0, members=10)
    assert most_checkpoints(planned(tmp_path, trials=10, scheduler=pbt)) == 10 * 3 + 1


def test_trials_begun_by_earlier_sessions_count_with_the_checkpoints_of_a_running_trial(tmp_path):
    events = [event for index in range(5) for event in begun(index, 2)]
    assert most_checkpoints(planned(tmp_path, events, trials=10, keep_best=3)) == 3 + 5 * 3 + 1


def test_a_study_that_exceeds_the_free_space_is_refused_with_both_numbers(tmp_path):
    study = planned(tmp_path / "results" / "mine")
    free = shutil.disk_usage(tmp_path).free
    check_room(study, estimate(rehearsals=[of(1.0, free // 14)]))
    check_room(study, estimate(rehearsals=[]))
    too_large = estimate(rehearsals=[of(1.0, 10**15)])
    with pytest.raises(ValueError, match=r"will take up to 7\.0 PB more, and .+ are free; make ro"):
        check_room(study, too_large)
    assert too_large.study_bytes == 7 * 10**15


def test_bytes_that_a_resumed_study_has_written_already_need_no_room(tmp_path):
    study = planned(tmp_path / "mine")
    free = shutil.disk_usage(tmp_path).free
    checkpoint = study.trials_dir / "0000" / "checkpoint_000001"
    checkpoint.mkdir(parents=True)
    own = study.trials_dir / "0000" / TRIAL_FILES
    own.mkdir()
    for folder in (checkpoint, own):
        with (folder / "state.pt").open("wb") as file:
            # Of a file that is all hole no byte is taken.
            file.truncate(free)
    check_room(study, estimate(rehearsals=[of(1.0, free // 7)]))
    with pytest.raises(ValueError, match="make room"):
        check_room(study, estimate(rehearsals=[of(1.0, free // 3)]))


@pytest.mark.parametrize(
    ("trials", "begun", "running"),
    [
        (1, 0, 1),
        (8, 0, 2),
        # They have begun when more ran at once.
        (8, 5, 5),
    ],
)
def test_every_trial_that_has_begun_has_a_share_of_the_quota(tmp_path, trials, begun, running):
    events = [{"event": "suggested", "trial": index, "config": {}} for index in range(begun)]
    study = study_in(tmp_path, events, trials=trials, checkpoint_budget="100MB")
    divide_quota(study, 1_000_000)
    assert study.quota.running == running
    assert study.quota.ended > 0


def test_epochs_of_the_trials_that_are_continued_are_not_estimated_again(tmp_path):
    searcher = RandomSearch(SPACE, seed=0)
    searcher.origins = {i: Origin(trial=i, checkpoints="", epoch=3) for i in range(4)}
    begun = [{"event": "suggested", "trial": 0, "config": {}, "origin": 0, "start_epoch": 3}]
    study = study_in(tmp_path, begun, trials=4, searcher=searcher)
    assert epochs_left(study, 4 * 9) == 4 * 6
