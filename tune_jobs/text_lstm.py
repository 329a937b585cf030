"""Which LSTM tells texts apart best, and how is it trained?

Start with a file of your own: `--dataset reviews.csv`; the plan says which columns it has read, how
long the texts are and what is cut. `--model bag` first: it takes seconds, and where the LSTM is not
better, order says little. See `padding_share` and `truncated_share` in the trials, and compare
val_loss with val_accuracy: a network on few texts is sure of itself long before it is right.
"""

from search_spaces.catalogue import TEXT_CATALOGUE
from search_spaces.knobs import Knobs
from search_spaces.searchers.auto_search import LearningFlags
from search_spaces.text_spaces import TEXT, TEXT_FINE_TUNING
from trainables.batch_size_flags import BatchSizeFlags
from trainables.prediction.metric_flags import MetricFlags
from trainables.text.options import FILES, TextFlags
from trainables.text.text_classifier import TextClassifier
from tune_cluster import Options, RunConfig, TuneConfig, Tuner, main


def job(
    options: Options,
    *,
    texts: TextFlags,
    knobs: Knobs,
    batch: BatchSizeFlags,
    scoring: MetricFlags,
    learning: LearningFlags,
) -> Tuner:
    """Which LSTM tells texts apart best, and how is it trained?"""
    ratio = knobs.train_ratio()
    dataset = texts.load(seed=options.seed, smoke_test=options.smoke_test, train_ratio=ratio)
    epochs = options.max_epochs or texts.default_epochs
    goal = scoring.goal(dataset.search)
    space = TEXT_FINE_TUNING if texts.pretrained else TEXT
    space = space.fix(**texts.fixed(dataset.search), patience=2)
    own = {"epochs": epochs, "model": texts.model, **dict.fromkeys(FILES), **goal.config}
    space = knobs.apply(space, TEXT_CATALOGUE, **own)
    size = batch.values(TextClassifier, space.complete({}), dataset.search, options, knobs.given)
    space = space.fix(**size)
    return Tuner(
        TextClassifier,
        tune_config=TuneConfig(
            metric=goal.metric,
            mode=goal.mode,
            search_alg=learning.search(space, seed=options.seed, start_points=options.start_points),
        ),
        run_config=RunConfig(stop={"training_iteration": epochs}),
        dataset=dataset,
        inputs=texts.inputs(),
    )


if __name__ == "__main__":
    main(job)
