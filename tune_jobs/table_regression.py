"""Which network predicts a number of each row of a table best?

Start with a file of your own: `--dataset houses.csv --predict price`. The plan says what was found
in each column and what a gradient-boosted tree reaches; the summary has it beside the best network.
Look at the missing values and the columns that are left out first: they decide more than a network.
"""

from search_spaces.catalogue import TABLE_CATALOGUE
from search_spaces.knobs import Knobs
from search_spaces.searchers.auto_search import LearningFlags
from search_spaces.table_spaces import TABLE
from trainables.batch_size_flags import BatchSizeFlags
from trainables.prediction.metric_flags import MetricFlags
from trainables.table.options import EPOCHS, PATIENCE, TableFlags
from trainables.table.table_network import TableNetwork
from tune_cluster import Options, RunConfig, TuneConfig, Tuner, main


def job(
    options: Options,
    *,
    table: TableFlags,
    knobs: Knobs,
    batch: BatchSizeFlags,
    scoring: MetricFlags,
    learning: LearningFlags,
) -> Tuner:
    """Which network predicts a number of each row of a table best?"""
    epochs = options.max_epochs or EPOCHS
    dataset = table.load("numbers", seed=options.seed, train_ratio=knobs.train_ratio())
    goal = scoring.goal(dataset.search)
    space = TABLE.fix(loss="squared_error", patience=PATIENCE)
    space = knobs.apply(space, TABLE_CATALOGUE, epochs=epochs, **goal.config)
    size = batch.values(TableNetwork, space.complete({}), dataset.search, options, knobs.given)
    space = space.fix(**size)
    return Tuner(
        TableNetwork,
        tune_config=TuneConfig(
            metric=goal.metric,
            mode=goal.mode,
            search_alg=learning.search(space, seed=options.seed, start_points=options.start_points),
        ),
        run_config=RunConfig(stop={"training_iteration": epochs}),
        dataset=dataset,
    )


if __name__ == "__main__":
    main(job)
