"""The course of a confirmation, from the events of its study."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.objective import Objective
from tests.journals import typed
from tests.studies import about
from tune_cluster.reports.confirm import Confirmation, Race, confirmation_beside
from tune_cluster.study.stored import read_study

SCORE = Objective("score", "max")
NAMES = ["defaults", "trial 3", "trial 5"]


def run_of(race, index, value):
    """Yield the events of a trial of a race: its value, or the status with which it fails."""
    config = {"seed": 100 + race.schedule[index][0]}
    yield {"event": "suggested", "trial": index, "config": config, "seed": config["seed"]}
    if isinstance(value, float):
        metrics = {"score": value}
        yield {"event": "result", "trial": index, "epoch": 1, "metrics": metrics}
        yield {"event": "ended", "trial": index, "epoch": 1, "status": "finished"}
    else:
        yield {"event": "ended", "trial": index, "epoch": 1, "status": value, "reason": "NaN"}


def play(race, value_of, events=None):
    """Run a race to its end, and return its events; `value_of(name, round)` is what a run gives."""
    told = [] if events is None else events
    while not race.over:
        index = len(race.state.trials)
        number, name = race.schedule[index]
        new = [*run_of(race, index, value_of(name, number))]
        for event in map(typed, new):
            race.apply(event)
            told.append(event)
        due = race.due
        if due is not None:
            race.apply(due)
            told.append(due)
            assert race.due is None
    return told


def clear(name, number):
    return {"defaults": 0.1, "trial 3": 0.9, "trial 5": 0.899}[name] + 0.001 * (number % 2)


def confirmation_of(race, seeds=5):
    candidates = [{"name": name, "trial": None, "config": {"a": 1}} for name in NAMES]
    confirms = {"study": "first", "top": 2, "seeds": seeds, "candidates": candidates}
    return Confirmation({"confirms": {**confirms, "fresh_split": True}}, race)


def test_a_round_has_each_candidate_in_the_race_once_and_one_that_is_worse_leaves():
    race = Race(NAMES, 5, SCORE)
    play(race, clear)
    rounds = [[name for at, name in race.schedule if at == number] for number in range(5)]
    assert rounds[0] == NAMES
    assert all(set(later) <= set(former) for former, later in pairwise(rounds))
    assert "defaults" not in rounds[2]
    assert race.verdict.best == "trial 3"
    assert sum(map(len, race.values.values())) == len(race.state.trials) < 15
    assert race.seeds == {number: 100 + number for number, names in enumerate(rounds) if names}


def test_a_run_that_diverges_is_worse_than_every_value_and_is_told():
    race = Race(NAMES, 3, SCORE)
    play(race, lambda name, number: "diverged" if name == "trial 3" else 0.5 + 0.01 * number)
    found = confirmation_of(race, 3)
    assert race.verdict.best != "trial 3"
    assert [name for name, _, _ in race.failed] == ["trial 3"] * len(race.values["trial 3"])
    assert "trial 3 in round 1 (trial 1 here) has diverged (NaN)" in found.notices[0]
    stored = found.to_json()
    assert json.loads(json.dumps(stored, allow_nan=False)) == stored
    assert stored["values"]["trial 3"][0] is None


def test_values_that_no_seed_changes_are_told():
    race = Race(NAMES, 3, SCORE)
    play(race, lambda name, number: float(len(name)))
    assert any("sets its seed itself" in notice for notice in confirmation_of(race).notices)


values = st.one_of(st.floats(0, 1), st.sampled_from(["diverged", "failed"]))


@given(st.dictionaries(st.tuples(st.sampled_from(NAMES), st.integers(0, 4)), values), st.data())
def test_a_race_goes_on_from_any_part_of_its_journal_as_if_nothing_had_been(given_values, data):
    def value_of(name, number):
        return given_values.get((name, number), 0.5)

    whole = Race(NAMES, 5, SCORE)
    events = play(whole, value_of)
    cut = data.draw(st.integers(0, len(events)))
    again = Race(NAMES, 5, SCORE)
    for event in events[:cut]:
        again.apply(event)
    # The journal may lack what follows from its last line.
    if again.due is not None:
        again.apply(again.due)
    unfinished = [trial for trial in again.state.trials.values() if not trial.ended]
    for trial in unfinished:
        number, name = again.schedule[trial.index]
        for line in run_of(again, trial.index, value_of(name, number)):
            if line["event"] == "ended" or (line["event"] == "result" and not trial.results):
                again.apply(typed(line))
        if again.due is not None:
            again.apply(again.due)
    play(again, value_of)
    assert again.schedule == whole.schedule
    assert confirmation_of(again).to_json() == confirmation_of(whole).to_json()


def test_a_race_that_was_over_goes_on_if_more_rounds_are_planned():
    def even(name, number):
        return 0.5 + 0.1 * ((number + len(name)) % 2)

    events = play(Race(NAMES, 2, SCORE), even)
    race = Race(NAMES, 6, SCORE)
    for event in events:
        race.apply(event)
    assert not race.over
    first = list(race.schedule)
    race.apply(race.due)
    play(race, even)
    assert race.schedule[: len(first)] == first
    assert race.judged.of == 6


def stored(folder, events, **confirms):
    folder.mkdir(parents=True)
    (folder / "study.json").write_text(json.dumps(about(**confirms)))
    lines = [json.dumps(event if isinstance(event, dict) else event.to_json()) for event in events]
    (folder / "journal.jsonl").write_text("".join(line + "\n" for line in lines))
    return folder


def test_it_is_read_from_beside_its_study_at_any_time(tmp_path):
    first = str(stored(tmp_path / "first", []))
    assert confirmation_beside(first) is None
    candidates = [{"name": name, "trial": None, "config": {"a": 1}} for name in NAMES]
    confirms = {"study": "first", "top": 2, "seeds": 5, "candidates": candidates}
    events = play(Race(NAMES, 5, SCORE), clear)
    beside = tmp_path / "first-confirm"
    stored(beside, events, confirms={**confirms, "fresh_split": False})
    whole = confirmation_beside(f"{first}/")
    assert whole.over
    assert whole.lines()[1][1] == whole.verdict.lines()[0][1]
    # A prefix of it, as of one that runs.
    (beside / "journal.jsonl").write_text(
        "".join(json.dumps(e.to_json()) + "\n" for e in events[:4])
    )
    assert confirmation_beside(first).verdict is None
    assert "none before the first round" in confirmation_beside(first).lines()[1][1]
    assert Confirmation.of(read_study(tmp_path / "first")) is None
    (beside / "study.json").write_text("{")
    with pytest.raises(ValueError, match=r"study\.json"):
        confirmation_beside(first)
