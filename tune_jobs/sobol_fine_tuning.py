"""How is a trained network taken over for other data? Sobol points over what matters then.

`--pretrained results/<study>/best` says which; the head is taken over where the classes are as
many. Look at `freeze_epochs`: 0 among the best says that the body had little to lose, and at what
`asha_lr_batch.py` finds on the same data without weights: it says what they were worth.
"""

from pathlib import Path

from ray import tune

from search_spaces.searchers.sobol_search import SobolSearch
from search_spaces.spaces import FINE_TUNING, within
from trainables.data.datasets import load_dataset
from trainables.image.fine_tuning import fingerprint_of, fixed_by
from trainables.image.image_classifier import ImageClassifier
from tune_cluster.execution.launch import launch
from tune_cluster.execution.ray_tune.study import Study

EPOCHS = 9
"""Of a trial where nobody says how many: 3 to 10 do where most is known."""


def job(study: Study, *, pretrained: Path = Path("results/best")) -> tune.Tuner:
    """How is a trained network taken over for other data?

    Args:
        pretrained: the weights: a checkpoint folder, such as a study's best, or a state dict.
    """
    flags = study.flags
    if flags.max_epochs is None:
        study.max_epochs = EPOCHS
    dataset = load_dataset(flags.dataset, flags.data_dir, seed=flags.seed)
    known = fixed_by(pretrained, dataset.search)
    # The study that they are from may grow, and have others then.
    study.inputs["pretrained"] = fingerprint_of(pretrained)
    space = within(FINE_TUNING, study.max_epochs)
    space = space.fix(**known, epochs=study.max_epochs, patience=0)
    return tune.Tuner(
        study.trainable(ImageClassifier, dataset),
        tune_config=study.tune_config(SobolSearch(space, seed=flags.seed)),
        run_config=study.run_config(),
    )


if __name__ == "__main__":
    launch(job, metric="val_accuracy", mode="max")
