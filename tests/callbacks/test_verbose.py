"""The lines of `--verbose`."""

import io

from rich.console import Console

from search_spaces.objective import Objective
from tests.journals import Happens, event_of
from tune_cluster.callbacks.verbose import VerboseOutput


def printed(*events, earlier=()):
    file = io.StringIO()
    study = Happens(objective=Objective("score", "max"), config={"rate": 0.1})
    for event in earlier:
        study.tell(event)
    study.listeners.append(VerboseOutput(Console(file=file, width=40)))
    for event in events:
        study.tell(event)
    return file.getvalue().splitlines()


def test_each_logged_step_and_each_epoch_has_a_line_in_their_order():
    lines = printed(
        event_of("started", 3),
        event_of(
            "result",
            3,
            epoch=1,
            metrics={"epoch": 1, "score": 0.5},
            step_losses=[[50, 2.25], [100, 1.5]],
            # A score that is not finite is missing.
            step_scores={"accuracy": [[100, 0.75]], "learning_rate": [[50, 0.1], [100, 0.2]]},
        ),
    )
    assert lines == [
        "step       trial 3, epoch 1, step 50: loss 2.25, learning_rate 0.1",
        "step       trial 3, epoch 1, step 100: loss 1.5, accuracy 0.75, learning_rate 0.2",
        "epoch      trial 3, epoch 1: score 0.5",
    ]


def test_a_trainable_without_steps_has_its_epochs():
    started, first = event_of("started", 0), event_of("result", 0, epoch=1, metrics={"score": 1})
    assert printed(started, first) == ["epoch      trial 0, epoch 1: score 1"]
