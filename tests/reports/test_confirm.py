"""The course of a confirmation, from the events of its study."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.objective import Objective
from search_spaces.trial_events import Ended, Result, Suggested
from tests.journals import typed
from tests.reports.made_up import spread, write
from tests.reports.made_up import trial as made_trial
from tests.studies import about
from tune_cluster.reports.confirm import Confirmation, Race, confirmation_beside
from tune_cluster.reports.doctor.checks import examined
from tune_cluster.reports.readable import readable
from tune_cluster.reports.report import html_of, markdown_of, report_of
from tune_cluster.reports.ui.live import LiveStudies
from tune_cluster.study.events import RoundJudged
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


def test_a_diverged_run_is_worse_than_every_value_and_is_reported():
    race = Race(NAMES, 3, SCORE)
    play(race, lambda name, number: "diverged" if name == "trial 3" else 0.5 + 0.01 * number)
    found = confirmation_of(race, 3)
    assert race.verdict.best != "trial 3"
    assert [name for name, _, _ in race.failed] == ["trial 3"] * len(race.values["trial 3"])
    assert "trial 3 in round 1 (trial 1 here) has diverged (NaN)" in found.notices[0]
    stored = found.to_json()
    assert json.loads(json.dumps(stored, allow_nan=False)) == stored
    assert stored["values"]["trial 3"][0] is None


def test_the_best_and_those_tied_with_it_are_told_from_those_that_are_worse():
    race = Race(NAMES, 5, SCORE)
    assert (confirmation_of(race).best, confirmation_of(race).worse) == ([], [])
    play(race, clear)
    assert confirmation_of(race).best == ["trial 3"]
    assert confirmation_of(race).worse == ["trial 5", "defaults"]
    race = Race(NAMES, 2, SCORE)
    play(race, even)
    assert sorted(confirmation_of(race).best) == NAMES
    assert confirmation_of(race).worse == []
    race = Race(NAMES, 2, SCORE)
    play(race, lambda name, number: "failed")
    assert confirmation_of(race).best == []


def even(name, number):
    return 0.5 + 0.1 * ((number + len(name)) % 2)


def test_values_that_no_seed_changes_are_reported():
    race = Race(NAMES, 3, SCORE)
    play(race, lambda name, number: float(len(name)))
    assert any("sets its seed itself" in notice for notice in confirmation_of(race).notices)


values = st.one_of(st.floats(0, 1), st.sampled_from(["diverged", "failed"]))


@given(st.dictionaries(st.tuples(st.sampled_from(NAMES), st.integers(0, 4)), values), st.data())
def test_a_race_resumed_from_any_part_of_its_journal_equals_an_uninterrupted_one(
    given_values, data
):
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


def test_a_finished_race_continues_if_more_rounds_are_planned():
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


def test_a_confirmation_beside_its_study_is_read_at_any_time(tmp_path):
    first = str(stored(tmp_path / "first", []))
    assert confirmation_beside(first) is None
    events = play(Race(NAMES, 5, SCORE), clear)
    folder = beside(tmp_path / "first-confirm", events)
    whole = confirmation_beside(f"{first}/")
    assert whole.over
    assert whole.lines()[1][1] == whole.verdict.lines()[0][1]
    # A prefix of it, as of one that runs.
    lines = "".join(json.dumps(event.to_json()) + "\n" for event in events[:4])
    (folder / "journal.jsonl").write_text(lines)
    assert confirmation_beside(first).verdict is None
    assert "no round is complete" in confirmation_beside(first).lines()[1][1]
    assert Confirmation.of(read_study(tmp_path / "first")) is None
    (folder / "study.json").write_text("{")
    with pytest.raises(ValueError, match=r"study\.json"):
        confirmation_beside(first)


def beside(folder, events, seeds=5, config_of=lambda name: {"a": 1}, of="first", **more):
    """A confirmation of the study `of` with these events."""
    candidates = [{"name": name, "trial": None, "config": config_of(name)} for name in NAMES]
    confirms = {"study": of, "top": 2, "seeds": seeds, "candidates": candidates}
    return stored(folder, events, confirms={**confirms, "fresh_split": True}, **more)


def text_of(first):
    """The report of a study as Markdown and as a page."""
    made = report_of(readable(str(first)), importance=False)
    return markdown_of([made], first), html_of([made], first)


@pytest.mark.slow
def test_the_report_has_the_confirm_command_and_shows_a_confirmation_and_an_audit(tmp_path):
    first = write(tmp_path / "first", spread(12))
    whole = (first / "journal.jsonl").read_text()
    (first / "journal.jsonl").write_text("".join(whole.splitlines(keepends=True)[:-1]))
    for text in text_of(first):
        assert "Not confirmed" not in text, "a command that refuses a study that was interrupted"
        assert "tune-cluster resume" in text
    (first / "journal.jsonl").write_text(whole)
    none = write(tmp_path / "none", [made_trial(0.1, "failed", 0, 0.01, reason="bug")])
    assert all("Not confirmed" not in text for text in text_of(none))
    for text in text_of(first):
        assert f"Not confirmed: tune-cluster confirm {first}" in text
    live = LiveStudies(tmp_path)
    assert live.report("first").siblings.confirmation is None
    events = play(Race(NAMES, 5, SCORE), clear)
    folder = beside(tmp_path / "first-confirm", events[:12])
    assert live.report("first").siblings.confirmation.rounds == 1
    assert all("Not confirmed yet" in text for text in text_of(first))
    lines = "".join(json.dumps(event.to_json()) + "\n" for event in events)
    (folder / "journal.jsonl").write_text(lines)
    audit = tmp_path / "first-audit"
    stored(audit, [], audits={"study": "first", "share": 0.5})
    markdown, page = text_of(first)
    assert "audit has not ended" in markdown
    for text in (markdown, page):
        assert "Not confirmed" not in text
        assert "trial 3 is better than all others" in text
        assert all(name in text for name in NAMES)
    assert "| defaults | worse | 2 |" in markdown
    (audit / "audit.json").write_text("{}")
    assert all("audit cannot be read" in text for text in text_of(first))
    (audit / "audit.json").write_text(json.dumps(AUDIT))
    assert all("2 of 9 stopped trials were finished" in text for text in text_of(first))
    (folder / "study.json").write_text("{")
    assert all("confirmation cannot be read" in text for text in text_of(first))


AUDIT = {
    **{"stopped": 9, "controls": 2, "controls_left": 0, "controls_lost": 0, "top": 3},
    **{"killed": None, "rank_correlation": [], "grace_period": {"too_few": "too few"}},
    "epochs": {"run": 90, "saved": 30, "controls": 6},
}


@pytest.mark.parametrize(("seeds", "verdict"), [(5, "pass"), (2, "warn")])
def test_the_doctor_judges_the_noise_by_the_verdict_of_the_confirmation(tmp_path, seeds, verdict):
    first = write(tmp_path / "first", spread(12))
    value_of = clear if verdict == "pass" else (lambda name, number: 0.5 + 0.01 * number)
    beside(tmp_path / "first-confirm", play(Race(NAMES, seeds, SCORE), value_of), seeds)
    found = readable(str(first))
    (noise,) = (
        one for one in examined(found.study, found.siblings.confirmation) if one.check == "noise"
    )
    assert noise.verdict == verdict
    assert found.siblings.confirmation.sentence in noise.evidence
    assert bool(noise.advice) == (verdict == "warn")


@pytest.mark.parametrize(
    ("number", "best", "reason"), [(2, NAMES[0], "not complete"), (1, "nobody", "no candidate")]
)
def test_a_judgement_that_no_round_leads_to_is_refused(number, best, reason):
    race = Race(NAMES, 5, SCORE)
    for index in range(len(NAMES)):
        race.apply(Suggested(trial=index, config={}))
        race.apply(Result(trial=index, epoch=1, metrics={"score": 0.5}))
        race.apply(Ended(trial=index, epoch=1, status="finished"))
    judged = RoundJudged(round=number, of=5, best=best, tied=[], continuing=[])
    with pytest.raises(ValueError, match=reason):
        race.apply(judged)
