"""Which LSTM tells texts apart best, and how is it trained?

Start with a file of your own: `--dataset reviews.csv`; the plan says which columns it has read, how
long the texts are and what is cut. `--model bag` first: it takes seconds, and where the LSTM is not
better, order says little. See `padding_share` and `truncated_share` in the trials, and compare
val_loss with val_accuracy: a network on few texts is sure of itself long before it is right.
"""

from search_spaces.searchers.auto_search import LearningFlags
from search_spaces.text_spaces import TEXT, TEXT_FINE_TUNING
from trainables.text.options import TextFlags
from trainables.text.text_classifier import TextClassifier
from tune_cluster import Options, RunConfig, TuneConfig, Tuner, main


def job(options: Options, *, texts: TextFlags, learning: LearningFlags) -> Tuner:
    """Which LSTM tells texts apart best, and how is it trained?"""
    dataset = texts.load(seed=options.seed, smoke_test=options.smoke_test)
    epochs = options.max_epochs or texts.default_epochs
    space = TEXT_FINE_TUNING if texts.pretrained else TEXT
    found = space.fix(**texts.fixed(dataset.search), epochs=epochs, patience=2)
    return Tuner(
        TextClassifier,
        tune_config=TuneConfig(
            metric="val_accuracy" if dataset.search.classes else "val_rmse",
            mode="max" if dataset.search.classes else "min",
            search_alg=learning.search(found, seed=options.seed, start_points=options.start_points),
        ),
        run_config=RunConfig(stop={"training_iteration": epochs}),
        dataset=dataset,
        inputs=texts.inputs(),
    )


if __name__ == "__main__":
    main(job)
