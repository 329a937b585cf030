"""How is a trained network taken over for other data? Sobol points over what matters then.

`--pretrained results/<study>/best` says which; the head is taken over where the classes are as
many. Look at `freeze_epochs`: 0 among the best says that the body had little to lose, and at what
`asha_lr_batch.py` finds on the same data without weights: it says what they were worth.
"""

from pathlib import Path

from search_spaces.searchers.sobol_search import SobolSearch
from search_spaces.spaces import FINE_TUNING, within
from trainables.image.image_classifier import ImageClassifier
from trainables.image.options import DataFlags, fingerprint_of, fixed_by
from tune_cluster import Options, RunConfig, TuneConfig, Tuner, main

DEFAULT_EPOCHS = 9
"""Of a trial where nobody says how many: 3 to 10 do where most is known."""


def job(options: Options, *, images: DataFlags, pretrained: Path = Path("results/best")) -> Tuner:
    """How is a trained network taken over for other data?

    Args:
        pretrained: the weights: a checkpoint folder, such as a study's best, or a state dict.
    """
    epochs = options.max_epochs or DEFAULT_EPOCHS
    dataset = images.load(seed=options.seed, smoke_test=options.smoke_test)
    known = fixed_by(pretrained, dataset.search)
    space = within(FINE_TUNING, epochs).fix(**known, epochs=epochs, patience=0)
    return Tuner(
        ImageClassifier,
        tune_config=TuneConfig(
            metric="val_accuracy",
            mode="max",
            search_alg=SobolSearch(space, seed=options.seed, start_points=options.start_points),
        ),
        dataset=dataset,
        # The study that they are from may grow, and have others then.
        inputs={"pretrained": fingerprint_of(pretrained)},
        run_config=RunConfig(stop={"training_iteration": epochs}),
    )


if __name__ == "__main__":
    main(job)
