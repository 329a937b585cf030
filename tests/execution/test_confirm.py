"""The confirmation of a study: a second one, which trains its best configurations again."""

import json
import math
import random
import shutil
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from ray import tune
from ray.tune.search.hyperopt import HyperOptSearch

from search_spaces.schedulers.pbt import PBT
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from tests.in_process import QUALITY, SPACE, Scored, names
from tests.journals import read_events, state_of, typed
from tests.studies import about
from tune_cluster import Options, TuneConfig, Tuner
from tune_cluster.execution.confirm import begin, candidates_of, continued
from tune_cluster.execution.cost_estimate import estimate_cost
from tune_cluster.execution.ray_tune.study import Study
from tune_cluster.execution.second_study import remove_unbegun
from tune_cluster.reports.confirm import confirmation_beside
from tune_cluster.reports.next_study import next_study
from tune_cluster.storage.append_only import HeldFile
from tune_cluster.study.directory import StudyDirectory
from tune_cluster.study.journal import JOURNAL
from tune_cluster.study.stored import read_study
from tune_cluster.trial.process import trial_seed

SPACE_FIELDS = SPACE.describe()


def ran(*qualities, **changed):
    """The events of finished trials with these values of `quality`."""
    for index, quality in enumerate(qualities):
        config = {"quality": quality, "seed": 70 + index, **changed}
        yield {"event": "suggested", "trial": index, "config": config}
        yield {"event": "result", "trial": index, "epoch": 1, "metrics": {"score": quality}}
        yield {"event": "ended", "trial": index, "epoch": 1, "status": "finished"}


def stored(folder, events=(), **said):
    """A stored study."""
    folder.mkdir()
    (folder / JOURNAL).write_text("".join(json.dumps(event) + "\n" for event in events))
    said = {"space": SPACE_FIELDS, "command": ["python", __file__], **said}
    (folder / "study.json").write_text(json.dumps(about(**said)))
    return str(folder)


def opened(address, *, searcher=None, scheduler=None, param_space=None):
    """Continue a confirmation, up to the point where its study would be run."""
    tuner = Tuner(
        Scored,
        param_space=param_space,
        tune_config=TuneConfig(
            metric="score",
            mode="max",
            search_alg=searcher or (None if param_space else RandomSearch(SPACE, seed=0)),
            scheduler=scheduler,
        ),
    )
    with ExitStack() as held:
        return continued(tuner, Options(max_epochs=9), StudyDirectory.find(address, held))


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"top": 0}, "--top must be from 1 to 100, got 0"),
        ({"seeds": 1}, "--seeds must be from 2 to 100, got 1"),
        ({"seeds": 101}, "--seeds must be from 2 to 100, got 101"),
    ],
)
def test_an_invalid_number_of_candidates_or_seeds_is_refused(tmp_path, numbers, said):
    with pytest.raises(ValueError, match=said):
        begin(stored(tmp_path / "first", ran(0.5, 0.6)), **numbers)


def test_a_study_that_cannot_be_confirmed_is_refused_and_no_file_is_left(tmp_path):
    (tmp_path / "held").mkdir()
    suggested = {"event": "suggested", "trial": 0, "config": {}}
    with pytest.raises(ValueError, match=r"1 of its trials have not ended.*--resume .*open"):
        begin(stored(tmp_path / "open", [suggested]))
    failed = {"event": "ended", "trial": 0, "epoch": 1, "status": "failed"}
    with pytest.raises(ValueError, match="no trial of it has reported a value"):
        begin(stored(tmp_path / "failed", [suggested, failed]))
    with pytest.raises(ValueError, match="no study is there"):
        begin(str(tmp_path / "missing"))
    for field, more in (("audits", {"share": 0.5}), ("confirms", {"top": 5, "seeds": 5})):
        other = stored(tmp_path / field, ran(0.1, 0.2), **{field: {"study": "first", **more}})
        with pytest.raises(ValueError, match=f"{field} another study: confirm .*first"):
            begin(other)
    held = HeldFile(Path(stored(tmp_path / "held" / "first", ran(0.5, 0.6)), JOURNAL), create=False)
    with pytest.raises(ValueError, match="it is running"):
        begin(str(tmp_path / "held" / "first"))
    held.release()
    assert not [*tmp_path.glob("**/*-confirm")]


SEED = replace(QUALITY, name="seed")
RATE = Space("rate", (replace(QUALITY, kind="optimization"),))


@pytest.mark.parametrize(
    ("events", "given", "said"),
    [
        (ran(0.5, 0.5), {}, "best configuration is that of the defaults"),
        (
            ran(0.1, 0.2),
            {"scheduler": PBT(RATE, perturbed=["quality"], max_epochs=9, interval=3, seed=0)},
            "its trials change quality while they train",
        ),
        (
            ran(0.1, 0.2),
            {"searcher": RandomSearch(Space("s", (QUALITY, SEED)), seed=0)},
            "it searches the seed",
        ),
        (
            ran(0.1, 0.2),
            {"searcher": HyperOptSearch(gamma=0.5), "param_space": {"q": tune.uniform(0, 1)}},
            "neither resumed nor extended; nor can it be confirmed",
        ),
    ],
)
def test_what_the_script_shows_to_be_no_race_is_refused_and_nothing_is_left(
    tmp_path, events, given, said
):
    address = begin(stored(tmp_path / "first", events))
    with pytest.raises(ValueError, match=said):
        opened(address, **given)
    remove_unbegun(address)
    assert not Path(address).exists()


def test_a_confirmation_that_has_begun_or_is_run_by_another_driver_is_not_removed(tmp_path):
    address = Path(begin(stored(tmp_path / "first", ran(0.1, 0.2))))
    held = HeldFile(address / JOURNAL, create=False)
    remove_unbegun(str(address))
    held.release()
    (address / JOURNAL).write_text('{"event": "session", "time": 1000.0}\n')
    remove_unbegun(str(address))
    assert names(address) == [JOURNAL, "study.json"]


def test_the_estimate_is_what_the_candidates_took_in_the_study_and_else_none(tmp_path):
    events = [
        *timed(0, 0.7, seconds=2.0, epochs=9),
        *timed(1, 0.9, seconds=4.0, epochs=6),
        *timed(2, 0.8, seconds=90.0, epochs=3, rung=3),
        *timed(3, 0.1, seconds=900.0, epochs=9),
    ]
    first = stored(tmp_path / "first", events)
    tuner, options = opened(begin(first, 3, 4))
    study = Study(tmp_path / "first-confirm", tuner, options, max_concurrent=2)
    estimate = estimate_cost(study, step=True)
    # Two of the four candidates have ended by themselves, and nothing is known of the defaults.
    assert estimate.epochs == 4 * 4 * math.ceil((9 + 6) / 2)
    assert estimate.epoch_seconds == pytest.approx((2 + 4 + 90) / 3)
    assert estimate.seconds == pytest.approx(estimate.epochs / 2 * estimate.epoch_seconds)
    assert [one.config["quality"] for one in estimate.rehearsals] == [0.9, 0.8, 0.7]
    # The study may be gone once the confirmation has begun.
    shutil.rmtree(first)
    tuner, _ = opened(f"{first}-confirm")
    assert tuner.tune_config.search_alg.costs == []


def timed(index, quality, *, seconds, epochs, rung=None):
    """The events of a trial that took some seconds an epoch."""
    began = 1000.0 + 10_000 * index
    yield {"event": "suggested", "trial": index, "config": {"quality": quality}, "time": began}
    yield {"event": "started", "trial": index, "time": began}
    for epoch in range(1, epochs + 1):
        told = {"event": "result", "trial": index, "epoch": epoch, "metrics": {"score": quality}}
        yield {**told, "time": began + seconds * epoch}
    status = {"status": "finished"} if rung is None else {"status": "stopped", "rung": rung}
    yield {"event": "ended", "trial": index, "epoch": epochs, **status}


def test_a_round_that_is_suggested_expects_one_of_as_many_trials_until_the_race_is_over(tmp_path):
    address = begin(stored(tmp_path / "first", ran(0.1, 0.2, 0.3)), 2, 2)
    tuner, _ = opened(address)
    searcher = tuner.tune_config.search_alg
    told = []

    def tell(**fields):
        searcher.on_event(typed(fields), replay=False)
        for event in searcher.take_events():
            searcher.on_event(event, replay=False)

    for index in range(6):
        told.append(searcher.upcoming)
        tell(event="suggested", trial=index, config=searcher.suggest(index), seed=1)
        if index == 2:
            assert (searcher.upcoming, searcher.suggest(3)) == (3, None)
        metrics = {"score": [0.5, 0.5, 0.5, 0.6, 0.5, 0.6][index]}
        tell(event="result", trial=index, epoch=1, metrics=metrics)
        tell(event="ended", trial=index, epoch=1, status="finished")
    assert told == [0] * 6
    assert searcher.ended
    assert searcher.upcoming == 0


def test_candidates_are_the_best_configurations_and_the_defaults_each_once():
    state = state_of([*ran(0.5, 0.9, 0.2, 0.9, 0.7)])
    found = candidates_of(state, SPACE, 2)
    assert [one["name"] for one in found] == ["defaults", "trial 1", "trial 4"]
    assert [one["config"] for one in found] == [{"quality": q} for q in (0.5, 0.9, 0.7)]
    # The defaults are the third best, and known as a trial too.
    found = candidates_of(state, SPACE, 3)
    assert [(one["name"], one["trial"]) for one in found] == [
        *(("defaults", 0), ("trial 1", 1), ("trial 4", 4)),
    ]


def test_seeds_can_only_grow_and_candidates_stay(tmp_path):
    first = stored(tmp_path / "first", ran(0.1, 0.2, 0.3))
    address = begin(first, 2, 4)
    assert address == f"{first}-confirm"
    _, options = opened(address)
    assert options.trials == 3 * 4
    chosen = json.loads(Path(address, "study.json").read_text())["confirms"]["candidates"]
    assert [one["name"] for one in chosen] == ["defaults", "trial 2", "trial 1"]
    for numbers, said in (
        ({"seeds": 3}, r"--seeds 3: .* has 4 seeds already"),
        ({"top": 3}, r"--top 3: .* has the candidates of --top 2"),
    ):
        with pytest.raises(ValueError, match=said):
            begin(first, **numbers)
    assert begin(first) == begin(first, seeds=6) == address
    # The study has grown by a better trial.
    Path(first, JOURNAL).write_text("".join(json.dumps(e) + "\n" for e in ran(0.1, 0.2, 0.3, 0.8)))
    _, options = opened(begin(first))
    assert options.trials == 3 * 6
    known = json.loads(Path(address, "study.json").read_text())["confirms"]
    assert (known["candidates"], known["seeds"]) == (chosen, 6)


def test_a_study_that_only_has_the_name_of_the_confirmation_is_not_changed(tmp_path):
    first = stored(tmp_path / "first", ran(0.1, 0.2))
    other = Path(stored(tmp_path / "first-confirm"), "study.json")
    before = other.read_text()
    with pytest.raises(ValueError, match="is no confirmation of it"):
        begin(first)
    assert other.read_text() == before


@pytest.mark.slow
def test_all_candidates_of_a_round_draw_the_same_numbers_and_the_race_ends_early(
    run_study, tmp_path
):
    def draws(config):
        luck = random.random()
        for _ in range(2):
            tune.report({"score": config["quality"] + luck, "luck": luck})

    draws.__dict__["reuse_actors"] = True
    code, first, study = run_study(draws, trials=4, max_epochs=2)
    assert code == 0
    journal = (study.directory / JOURNAL).read_bytes()
    address = begin(str(tmp_path / "study"), 2, 5)
    code, trials, second = run_study(draws, name=Path(address).name, max_epochs=2)
    assert code == 0
    assert (study.directory / JOURNAL).read_bytes() == journal, "it is only read"
    confirmation = confirmation_beside(str(study.directory))
    luck = {}
    for (number, _), trial in zip(confirmation.race.schedule, trials.values(), strict=True):
        assert trial.status == "finished"
        assert list(trial.results) == [1, 2]
        luck.setdefault(number, set()).add(trial.results[2]["luck"])
    assert {len(values) for values in luck.values()} == {1}, "paired"
    assert len({min(values) for values in luck.values()}) == len(luck), "and new for each round"
    assert not {t.results[1]["luck"] for t in first.values()} & {min(v) for v in luck.values()}
    assert confirmation.race.seeds == {n: trial_seed(0, 1_000_000 + n) for n in luck}
    # No noise in a pair, but for rounding.
    assert len(trials) < second.total
    assert confirmation.verdict.kind == "better"
    assert second.complete
    assert json.loads((second.directory / "confirm.json").read_text()) == confirmation.to_json()
    assert read_events(second.directory / JOURNAL)[-1]["why"].startswith("verdict after")
    assert not (second.directory / "best" / "best.json").read_text().count('"test"')

    # Nothing is left to be run, until more seeds are asked for.
    code, again, _ = run_study(draws, name=Path(address).name, max_epochs=2)
    assert (code, again) == (0, trials)

    # The next study starts from what is confirmed.
    known = read_study(study.directory)
    by_command = {"command": ["python", "job.py", "--trials", "4"], "from_python": False}
    known = known._replace(about={**known.about, **by_command})
    made = next_study(known, str(study.directory), confirmation)
    assert f"start from the confirmed best: {confirmation.best[0]}" in made.changes
    assert made.command[-2:] == ["--learn-from", str(tmp_path)]
    code, begun, _ = run_study(draws, trials=1, max_epochs=2, name="next", learn_from=str(tmp_path))
    assert code == 0
    best = confirmation.candidates[confirmation.best[0]]
    assert begun[0].config["quality"] == best["quality"]


@pytest.mark.long
def test_failed_runs_count_as_worst_and_more_seeds_continue_the_race(run_study, tmp_path):
    first = RandomSearch(SPACE, seed=0)
    best = max(float(first.point(index)["quality"]) for index in range(6))

    def unlucky(config):
        luck = random.random()
        if config["quality"] == best and Path(tmp_path, "study-confirm").exists():
            raise RuntimeError("bad luck")
        for _ in range(2):
            tune.report({"score": config["quality"] + luck})

    unlucky.__dict__["reuse_actors"] = True
    run_study(unlucky, trials=6, max_epochs=2)
    address = begin(str(tmp_path / "study"), 3, 2)
    run_study(unlucky, name=Path(address).name, max_epochs=2)
    two = json.loads(Path(address, "confirm.json").read_text())
    worst = max(two["candidates"], key=lambda one: one["config"]["quality"])["name"]
    assert {one["candidate"] for one in two["failed"]} == {worst}
    assert two["values"][worst][0] is None
    assert worst not in (two["verdict"]["best"], *two["verdict"]["tied"])

    assert begin(str(tmp_path / "study"), seeds=6) == address
    code, _, _ = run_study(unlucky, name=Path(address).name, max_epochs=2)
    assert code == 0
    six = json.loads(Path(address, "confirm.json").read_text())
    assert six["rounds"]["planned"] == 6
    for name, values in two["values"].items():
        assert six["values"][name][: len(values)] == values
