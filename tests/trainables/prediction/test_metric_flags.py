import docstring_parser
import numpy as np
import pytest

from tests.trainables.made_up import split_images
from trainables.prediction.classification import SCORES as CLASS_SCORES
from trainables.prediction.metric_flags import CLASS_METRICS, NUMBER_METRICS, MetricFlags
from trainables.prediction.regression import SCORES as NUMBER_SCORES


def data_of(labels, classes):
    labels = np.asarray(labels, np.int64)
    return split_images(np.zeros((len(labels), 1, 2, 2), np.uint8), labels, classes)


CLASSES = data_of([0, 1] * 10, 2)


@pytest.mark.parametrize(
    ("metric", "goal"),
    [
        (None, ("val_accuracy", "max", {})),
        ("val_f1", ("val_f1", "max", {})),
        ("val_loss", ("val_loss", "min", {})),
        ("val_auroc", ("val_auroc", "max", {"more_scores": ("auroc",)})),
    ],
)
def test_mode_and_what_trials_must_compute_follow_from_the_metric(metric, goal):
    assert MetricFlags(metric=metric).goal(CLASSES) == goal


def test_every_score_of_a_task_is_a_metric_and_the_help_names_it():
    assert {f"val_{name}" for name in CLASS_SCORES} <= CLASS_METRICS.keys()
    assert {f"val_{name}" for name in NUMBER_SCORES} == NUMBER_METRICS.keys()
    (described,) = docstring_parser.parse_from_object(MetricFlags).params
    assert all(name in described.description for name in (*CLASS_METRICS, *NUMBER_METRICS))


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("f1", r"--metric f1: unknown \(did you mean val_f1\?\); .*val_auroc"),
        ("val_acuracy", r"\(did you mean val_accuracy\?\)"),
        ("val_rmse", "the metrics of classes: val_accuracy"),
        ("", "unknown; the metrics"),
    ],
)
def test_an_unknown_metric_is_answered_with_the_list_in_one_line(metric, said):
    with pytest.raises(ValueError, match=said) as refused:
        MetricFlags(metric=metric).goal(CLASSES)
    assert "\n" not in str(refused.value)


def test_a_ranking_needs_two_classes_to_be_validated_on():
    alone = data_of([0] * 30, 2)
    with pytest.raises(ValueError, match="samples of one class alone"):
        MetricFlags(metric="val_auroc").goal(alone)
