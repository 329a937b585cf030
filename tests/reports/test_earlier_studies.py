"""What a new study learns from a folder of earlier ones, some of them confirmed or audited."""

import json
import shutil
from itertools import starmap

import pytest

from search_spaces.searchers.portfolio import portfolio
from search_spaces.searchers.random_search import RandomSearch
from tests.in_process import SPACE
from tests.reports.test_confirm import NAMES, SCORE, beside, clear, play
from tests.studies import about
from tune_cluster.execution.start_points import learned_start_points
from tune_cluster.reports.confirm import Race
from tune_cluster.reports.earlier_studies import earlier_studies
from tune_cluster.study.earlier import earlier_trials
from tune_cluster.study.journal import JOURNAL

TRAINABLE = "tests.Scored"

QUALITIES = (0.9, 0.1, 0.2, 0.7, 0.3, 0.8, 0.4, 0.5)
"""Quality of each trial of the study, which is its value too: trial 0 is its best."""

CONFIGS = {"defaults": {"quality": 0.5}, "trial 3": {"quality": 0.7}, "trial 5": {"quality": 0.8}}


def finished(index, quality, value=None, **more):
    yield {"event": "suggested", "trial": index, "config": {"quality": quality, "seed": index}}
    metrics = {"score": quality if value is None else value}
    yield {"event": "result", "trial": index, "epoch": 1, "metrics": metrics}
    yield {"event": "ended", "trial": index, "epoch": 1, "status": "finished", **more}


def study(folder, events, **said):
    folder.mkdir(parents=True)
    (folder / "study.json").write_text(json.dumps(about(trainable=TRAINABLE, **said)))
    (folder / JOURNAL).write_text("".join(json.dumps(event) + "\n" for event in events))
    return folder


def first_in(folder, qualities=QUALITIES, **more):
    return study(folder / "first", [e for t in starmap(finished, enumerate(qualities)) for e in t])


def confirmed(folder, value_of, *, rounds=5, configs=CONFIGS):
    events = play(Race(NAMES, rounds, SCORE), value_of)
    config_of = configs.__getitem__
    return beside(folder / "first-confirm", events, rounds, config_of, trainable=TRAINABLE)


def starts(folder, trials=64):
    found = learned_start_points(
        str(folder),
        RandomSearch(SPACE, seed=0),
        trainable=TRAINABLE,
        objective=SCORE,
        trials=trials,
    )
    return [point.config["quality"] for point in found.points], found


def test_the_confirmed_best_is_the_start_point_and_what_is_worse_is_none(tmp_path):
    first_in(tmp_path)
    assert starts(tmp_path)[0] == [0.9], "lucky"
    confirmed(tmp_path, clear)
    # Trial 0 was not among the candidates: it is better than all of them, as a later one may be.
    assert starts(tmp_path)[0] == [0.7, 0.9]
    best = {**CONFIGS, "trial 5": {"quality": 0.9}}
    shutil.rmtree(tmp_path / "first-confirm")
    confirmed(tmp_path, clear, configs=best)
    qualities, found = starts(tmp_path)
    assert qualities == [0.7]
    assert found.points[0].study == f"{tmp_path}/first-confirm"
    assert "earlier studies of tests.Scored: 1 in" in found.notes[0]
    assert "(1 confirmed)" in found.notes[0]


def test_those_that_are_tied_come_in_the_order_of_their_means(tmp_path):
    first_in(tmp_path)
    lucky = {**CONFIGS, "trial 5": {"quality": 0.9}}
    means = {"defaults": 0.2, "trial 3": 0.1, "trial 5": 0.0}
    confirmed(
        tmp_path,
        lambda name, number: means[name] + (number % 2) * (name != "defaults"),
        rounds=2,
        configs=lucky,
    )
    assert starts(tmp_path)[0] == [0.7, 0.9, 0.5]
    assert starts(tmp_path, trials=8)[0] == [0.7, 0.9], "a quarter of the trials"


def test_two_confirmed_studies_give_their_best_first(tmp_path):
    for name, best in (("a", 0.6), ("b", 0.4)):
        first_in(tmp_path / name)
        configs = {**CONFIGS, "trial 3": {"quality": best}, "trial 5": {"quality": best + 0.01}}
        confirmed(tmp_path / name, clear, configs=configs)
    qualities, found = starts(tmp_path)
    assert qualities[:2] == [0.4, 0.6], "the newest confirmation first"
    assert len(qualities) == len(set(qualities)), "each once"
    assert "(2 confirmed)" in found.notes[0]


def test_a_confirmation_of_another_space_is_left_out(tmp_path):
    first_in(tmp_path)
    confirmed(tmp_path, clear, configs={name: {"quality": 7.5} for name in NAMES})
    qualities, found = starts(tmp_path)
    assert qualities == []
    assert "confirmed)" not in found.notes[0]


def test_a_confirmation_whose_study_is_gone_still_counts(tmp_path):
    confirmed(tmp_path, clear)
    assert starts(tmp_path)[0] == [0.7]


def test_a_confirmation_without_a_complete_round_says_nothing(tmp_path):
    first_in(tmp_path)
    whole = confirmed(tmp_path, clear) / JOURNAL
    whole.write_text("".join(whole.read_text().splitlines(keepends=True)[:4]))
    assert starts(tmp_path)[0] == [0.9]


def test_a_damaged_confirmation_or_audit_is_named_and_the_study_is_learned_from(tmp_path):
    first_in(tmp_path)
    (confirmed(tmp_path, clear) / JOURNAL).write_text("{}\n{}\n")
    study(tmp_path / "first-audit", finished(0, 0.9), audits={"study": "first", "share": 0.5})
    qualities, found = starts(tmp_path)
    assert qualities == [0.9]
    said = "\n".join(found.notes[1:])
    assert "first-audit: trial 0 of the audit continues no trial" in said
    assert "first-confirm" in said
    assert len(found.notes) == 3


def test_a_trial_that_an_audit_has_continued_has_the_end_that_it_came_to(tmp_path):
    ends = {"status": "stopped", "rung": 1}
    events = [
        *(e for index in range(6) for e in finished(index, index / 10, **ends)),
        *finished(6, 0.65),
        *(e for index in (7, 8, 9) for e in finished(index, index / 10, value=0.3)),
    ]
    study(tmp_path / "first", events)
    said = {"event": "suggested", "trial": 0, "config": {"quality": 0.4}, "origin": 4}
    later = [
        {**said, "start_epoch": 1},
        {"event": "result", "trial": 0, "epoch": 2, "metrics": {"score": 0.99}},
        {"event": "ended", "trial": 0, "epoch": 2, "status": "finished"},
    ]
    study(tmp_path / "first-audit", later, audits={"study": "first", "share": 0.5})
    found = earlier_studies(str(tmp_path), TRAINABLE, SCORE)
    ((address, trials),) = found.trials.items()
    assert address == f"{tmp_path}/first"
    assert (trials[4].values, trials[4].status) == ({"1": 0.4, "2": 0.99}, "finished")
    assert trials[3].status == "stopped"
    assert portfolio(SPACE, found.trials, SCORE, 1)[0].config == {"quality": 0.4}


@pytest.mark.parametrize("field", ["audits", "confirms"])
def test_a_study_that_follows_another_one_is_no_warm_start(tmp_path, field):
    more = {"audits": {"share": 0.5}, "confirms": {"top": 5, "seeds": 5}}[field]
    other = study(tmp_path / "other", finished(0, 0.5), **{field: {"study": "first", **more}})
    with pytest.raises(ValueError, match=f"it {field} another study: give first"):
        earlier_trials(str(other), SCORE)
