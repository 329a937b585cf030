"""Cost of a suggestion: a model with 1,000 finished trials in it, 4 more running.

A conditional space of 30 hyperparameters with the shape of a training recipe: ranges, integers,
ordered lists and categories, and two choices that open branches, some of one name; with
`full_recipe` in its place the space of `optuna_full_recipe.py`, 75 columns to the Gaussian process.
A tenth of the trials failed. Between two suggestions one of the running trials ends, as in a study.
With `-asha` one in three trials continues from each rung, and the model gets its values at all of
them.

Claim: a median of at most 50 ms with TPE and with the Gaussian process, whose kernel is fitted anew
from time to time; Optuna has no limit.
"""

import time
from collections.abc import Callable

import numpy as np
from driven import Driven
from table import Row, run_benchmark

from search_spaces.hyperparameter import Hyperparameter
from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.base import StudyScheduler
from search_spaces.searchers.gp_search import GPSearch
from search_spaces.searchers.learning import LearningSearch
from search_spaces.searchers.optuna_search import OptunaSearch
from search_spaces.searchers.tpe_search import TPESearch
from search_spaces.space import Space
from search_spaces.spaces import FULL_RECIPE

FINISHED, RUNNING, EPOCHS = 1_000, 4, 27


def parameter(name: str, **rest: object) -> Hyperparameter:
    """Return a hyperparameter of the recipe."""
    return Hyperparameter(
        name=name,
        meaning="of the recipe",
        kind="optimization",
        role="scientific",
        advice="none",
        **rest,  # type: ignore[arg-type]
    )


def ranges(count: int, **rest: object) -> list[Hyperparameter]:
    """Return `count` ranges from 0 to 1."""
    start = rest.pop("name", "range")
    return [
        parameter(f"{start}_{at}", default=0.5, low=0.0, high=1.0, **rest) for at in range(count)
    ]


RECIPE = Space(
    "recipe",
    (
        *(parameter(f"log_{n}", default=1.0, low=1e-5, high=1.0, scale="log") for n in range(4)),
        *ranges(4),
        *(parameter(f"integer_{n}", default=1, low=1, high=10, integer=True) for n in range(3)),
        *(
            parameter(f"ordered_{n}", default=32, values=(32, 64, 128, 256, 512), ordered=True)
            for n in range(3)
        ),
        *(parameter(f"category_{n}", default="a", values=("a", "b", "c")) for n in range(4)),
        parameter("optimizer", default="sgd", values=("sgd", "adam", "rmsprop")),
        *ranges(2, name="of_optimizer", condition=("optimizer", ("sgd",))),
        *ranges(2, name="of_optimizer", condition=("optimizer", ("adam",))),
        *ranges(2, name="of_optimizer", condition=("optimizer", ("rmsprop",))),
        parameter("schedule", default="step", values=("step", "cosine")),
        *ranges(2, name="of_schedule", condition=("schedule", ("step",))),
        *ranges(2, name="of_schedule", condition=("schedule", ("cosine",))),
    ),
)


def seconds_each(
    searcher: LearningSearch, scheduler: StudyScheduler, suggestions: int
) -> list[float]:
    """Return the seconds of consecutive suggestions."""
    study, rng, space = Driven(searcher, scheduler), np.random.default_rng(0), searcher.space

    def end(index: int) -> None:
        failed = rng.random() < 0.1
        loss = float(rng.random())
        stations = [*scheduler.rungs, EPOCHS]
        passed = min(len(stations) - 1, int(rng.geometric(2 / 3)) - 1) if scheduler.rungs else 0
        for epoch in stations[:passed]:
            study.report(index, epoch, float(rng.random()))
        study.end(index, stations[passed], None if failed else loss)

    for index in range(FINISHED + RUNNING):
        study.tell_suggested(index, space.point(rng.random(len(space.parameters)).tolist()))
        if index < FINISHED:
            end(index)
    # The first one also passes all earlier trials to the library, once.
    study.suggest(FINISHED + RUNNING)
    seconds = []
    for index in range(FINISHED + RUNNING + 1, FINISHED + RUNNING + 1 + suggestions):
        end(index - RUNNING - 1)
        began = time.perf_counter()
        study.suggest(index)
        seconds.append(time.perf_counter() - began)
    return seconds


SEARCHERS: dict[str, Callable[..., LearningSearch]] = {
    "tpe": TPESearch,
    "optuna": OptunaSearch,
    "gp": GPSearch,
}

CASES: dict[str, tuple[str, Space, bool]] = {
    **{name: (name, RECIPE, False) for name in SEARCHERS},
    "gp-asha": ("gp", RECIPE, True),
    "optuna-full_recipe": ("optuna", FULL_RECIPE, False),
    "gp-full_recipe": ("gp", FULL_RECIPE, False),
    "gp-asha-full_recipe": ("gp", FULL_RECIPE, True),
}
"""Searcher, its space, and whether rungs stop trials, by name."""


def measure(quick: bool) -> list[Row]:
    """Measure every model, and the one that uses values at rungs under early stopping too."""
    rows = []
    for case, (name, space, stopped) in CASES.items():
        searcher = SEARCHERS[name](space, seed=0)
        scheduler = ASHA(max_epochs=EPOCHS, grace_period=1) if stopped else StudyScheduler()
        seconds = seconds_each(searcher, scheduler, 20 if quick else 100)
        figures = {"fastest": min(seconds), "median": np.median(seconds), "slowest": max(seconds)}
        for metric, value in figures.items():
            rows.append(
                Row(
                    benchmark="suggestions",
                    case=case,
                    metric=f"{metric}_ms",
                    value=1000 * float(value),
                    unit="ms",
                )
            )
    return rows


if __name__ == "__main__":
    assert len(RECIPE.parameters) == 30
    run_benchmark(measure, __doc__ or "")
