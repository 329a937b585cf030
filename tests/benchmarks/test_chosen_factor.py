"""A reduction factor that the study chooses."""

from chosen_factor import ChosenRungs

from search_spaces.trial_events import RungJudged


def rungs(*, agreement):
    """Return rungs of five trials, the first three of which have come to epoch 3, when the first
    rung is judged."""
    found = ChosenRungs(27, adaptive=True, sure=0.8)
    for trial in range(5):
        found.report(trial, 1, trial / 10)
    for epoch in (2, 3):
        for trial in range(3):
            found.report(trial, epoch, (trial + epoch) / 10)
    judged = RungJudged(rung=1, next=3, pairs=6, agreement=agreement, used=True)
    found.judge(judged)
    return found


def test_a_rung_that_ranks_well_keeps_the_factor():
    found = rungs(agreement=0.9)
    assert (found.reduction_factor, found.milestones) == (3, [1, 3, 9])


def test_a_doubtful_rung_sets_the_rungs_above_twice_as_dense():
    found = rungs(agreement=0.7)
    assert (found.reduction_factor, found.milestones) == (2, [1, 2, 4, 8, 16])
    assert found.values[2] == {0: 0.2, 1: 0.3, 2: 0.4}


def test_a_trial_that_waited_above_a_doubtful_rung_can_still_be_promoted():
    waited = {place[2] for place in rungs(agreement=0.9).rungs[3].stopped}
    found = rungs(agreement=0.7)
    assert waited
    assert waited <= {place[2] for place in found.rungs[2].stopped}
    assert {p.trial for p in found.promotable() if p.rung == 2} <= waited
