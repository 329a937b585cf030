"""Tuned networks on public tables, beside LightGBM with its defaults on the same splits.

Each table is in a package (scikit-learn, statsmodels, vega_datasets). A seed draws the split into
training and validation part; the test set is the same for all seeds. Of each network the
configurations of a random search over the space of the table jobs are trained (the first has the
defaults) for at most 100 epochs, with patience; configuration and epoch are chosen by the
validation part, and the test set is used for the chosen one alone. LightGBM trains once on the same
training part, with its defaults: a study prints that figure beside its best.

- `accuracy`, `rmse`: on the test set, the mean over the seeds, of ours, of LightGBM and of a
  constant (the most frequent class, or the mean of the training targets).
- `better`: seeds in which ours is better than LightGBM on the same split; `equal` ones are counted
  apart.
- `of_trees`: the error of ours (1 less the accuracy, or RMSE) over that of LightGBM, the mean over
  the seeds; below 1 ours is better.
"""

import statistics
from typing import NamedTuple

import torch
from table import Row, run_benchmark

from search_spaces.searchers.random_search import RandomSearch
from search_spaces.table_spaces import TABLE
from trainables.data.dataset import Dataset
from trainables.prediction.baselines import constant_scores
from trainables.table.boosting import boosted_scores
from trainables.table.config import TableConfig
from trainables.table.datasets import load_table
from trainables.table.known_tables import TABLES
from trainables.table.options import EPOCHS, PATIENCE
from trainables.table.tables import Table
from trainables.table.task import TableData
from trainables.training.evaluation import evaluate_part
from trainables.training.loop import fit
from trainables.training.state import snapshot

MEASURED = ("diabetes", "cars", "wine", "breast_cancer", "anes96", "seattle_weather")
"""Tables of up to 1,500 rows: a search takes a minute. Of `fair`, `randhie` and `digits`, which
`--tables` takes too, it takes several."""

SEEDS, TRIALS = 3, 8


class Scores(NamedTuple):
    """Scores on the test set."""

    ours: float
    trees: float
    constant: float


def measure(quick: bool, tables: tuple[str, ...]) -> list[Row]:
    """Measure each table with several seeds."""
    torch.set_num_threads(1)
    rows = []
    for name in tables:
        seeds = range(1 if quick else SEEDS)
        rows += rows_of(name, [scores_of(name, seed, 4 if quick else TRIALS) for seed in seeds])
    return rows


def scores_of(name: str, seed: int, trials: int) -> Scores:
    """Return the scores of a table with the split of a seed."""
    dataset = load_table(name, TABLES[name].kind, seed=seed)
    _, trees = boosted_scores(dataset.search, dataset.test)
    _, constant = constant_scores(dataset.search, dataset.test.targets)
    if isinstance(trees, str):
        raise SystemExit(f"LightGBM {trees}")
    score = score_of(name)
    return Scores(tuned(dataset, seed, trials)[score], trees[score], constant[score])


def score_of(name: str) -> str:
    """Return the name of the score that a table is compared by."""
    return "accuracy" if TABLES[name].kind == "classes" else "rmse"


def tuned(dataset: Dataset[Table], seed: int, trials: int) -> dict[str, float]:
    """Return the test scores of the best epoch of all trials, chosen by the validation part."""
    classes = dataset.search.classes
    loss = "cross_entropy" if classes else "squared_error"
    space = TABLE.fix(loss=loss, epochs=EPOCHS, patience=PATIENCE)
    searcher = RandomSearch(space, seed=seed, start_points=({},))
    best = None
    for trial in range(trials):
        config = TableConfig.from_dict({**searcher.point(trial), "seed": trial})
        for metrics, state in fit(config, TableData(dataset.search)):
            value = -metrics["val_accuracy"] if classes else metrics["val_rmse"]
            if best is None or value < best[0]:
                best = value, config, snapshot(state)
    assert best is not None
    return evaluate_part(best[1], best[2], TableData(dataset.search), dataset.test)


def rows_of(name: str, found: list[Scores]) -> list[Row]:
    """Return the figures of a table."""
    score = score_of(name)

    def error(value: float) -> float:
        return 1 - value if score == "accuracy" else value

    def row(metric: str, value: float, unit: str) -> Row:
        return Row(benchmark="table_baselines", case=name, metric=metric, value=value, unit=unit)

    ratios = [error(scores.ours) / max(error(scores.trees), 1e-9) for scores in found]
    return [
        *(
            row(f"{score}_{who}", statistics.mean(getattr(s, who) for s in found), "")
            for who in Scores._fields
        ),
        row("of_trees", statistics.mean(ratios), "ratio"),
        row("better", sum(error(s.ours) < error(s.trees) for s in found), f"of {len(found)}"),
        row("equal", sum(error(s.ours) == error(s.trees) for s in found), f"of {len(found)}"),
    ]


if __name__ == "__main__":
    run_benchmark(measure, __doc__ or "", tables=MEASURED)
