"""The event files: every epoch of every trial there once, whatever a kill has left."""

import json
import re
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.plugin_util import markdown_to_safe_html

from search_spaces.objective import Objective
from search_spaces.spaces import LR_BATCH
from tests.journals import event_of, typed
from tests.journals import trial_of as made_up_trial
from tune_cluster.callbacks.hparams import SESSION_START, Columns, is_column
from tune_cluster.callbacks.tensorboard import TensorBoard, read_run
from tune_cluster.storage.retry import StorageLostError, StorageRetry
from tune_cluster.storage.store import LocalStore
from tune_cluster.study.events import Closed, Session

CONFIG = {"learning_rate": 0.01, "batch_size": 32}
COLUMNS = Columns(LR_BATCH, "val_loss")
LOSS = Objective("val_loss", "min")


class Curves:
    """The callback, given one trial at a time in its current state."""

    def __init__(self, trials_dir, **more):
        self.board = TensorBoard(trials_dir, COLUMNS, **more)

    def on_event(self, event, trial):
        self.board.on_event(typed(event), SimpleNamespace(trials={trial.index: trial}), False)

    def complete(self, trial):
        self.on_event(Session(), trial)

    def close(self):
        self.board.on_event(Closed(why="all trials"), None, False)


def curves_in(trials_dir, **more):
    return Curves(trials_dir, **more)


def metrics_at(epoch):
    return {"val_loss": 1.0 / epoch, "val_accuracy": epoch / 16, "epoch": epoch, "custom": 2.0}


def trial_of(epochs, status="running", index=12):
    results = {epoch: metrics_at(epoch) for epoch in range(1, epochs + 1)}
    return made_up_trial(index, CONFIG, results, status, LOSS)


def tell(curves, trial, kind, **rest):
    curves.on_event(event_of(kind, trial.index, **rest), trial)


def write(curves, trial):
    """Pass the trial's results on as they come."""
    for epoch, metrics in trial.results.items():
        tell(curves, trial, "result", epoch=epoch, metrics=metrics)


def values_in(run):
    """Return all values in the run's event files, `(tag, step, value)`, with repetitions."""
    return [
        (value.tag, event.step, value.tensor)
        for path in sorted(run.glob("events.out.tfevents.*"))
        for event in EventFileLoader(str(path)).Load()
        for value in event.summary.value
    ]


def steps_in(run, tag):
    return sorted(step for found, step, _ in values_in(run) if found == tag)


def texts_in(run, tag):
    return [tensor.string_val[0].decode() for found, _, tensor in values_in(run) if found == tag]


def shown_of(run):
    """Return the HPARAMS of a run besides its configuration: the last value of each scalar."""
    scalars = [(tag, tensor) for tag, _, tensor in values_in(run) if is_column(tag)]
    return {tag: tensor.float_val[0] for tag, tensor in scalars}


def opened(run):
    """The run as TensorBoard reads it."""
    accumulator = EventAccumulator(str(run), tensor_size_guidance={"scalars": 0})
    accumulator.Reload()
    return accumulator


def test_a_trial_is_a_run_with_the_epoch_on_the_x_axis(tmp_path):
    curves = curves_in(tmp_path)
    trial = trial_of(3)
    write(curves, trial)
    curves.close()
    assert [path.name for path in tmp_path.iterdir()] == ["0012"]
    run = opened(tmp_path / "0012")
    points = {
        tag: {e.step: e.tensor_proto.float_val[0] for e in run.Tensors(tag)}
        for tag in run.Tags()["tensors"]
        if tag not in ("config", SESSION_START) and not is_column(tag)
    }
    assert set(points) == {"loss/validation", "accuracy/validation", "custom"}
    assert points["loss/validation"] == pytest.approx({1: 1.0, 2: 0.5, 3: 1 / 3})
    assert points["accuracy/validation"] == {1: 1 / 16, 2: 2 / 16, 3: 3 / 16}


def test_an_epoch_can_be_read_as_soon_as_it_was_told(tmp_path):
    curves = curves_in(tmp_path)
    trial = trial_of(2)
    for epoch in (1, 2):
        tell(curves, trial, "result", epoch=epoch, metrics=trial.results[epoch])
        assert read_run(tmp_path / "0012").epochs == set(range(1, epoch + 1))
    curves.close()


def test_epochs_without_the_studys_metric_are_points_of_their_own_metrics(tmp_path):
    trial = trial_of(0)
    run = tmp_path / "0012"
    for curves in (curves_in(tmp_path), curves_in(tmp_path)):
        if not trial.interim:
            trial.interim[1] = {"train_loss": 0.5}
            tell(curves, trial, "interim", epoch=1, metrics=trial.interim[1])
            trial.results[2] = metrics_at(2)
            tell(curves, trial, "result", epoch=2, metrics=trial.results[2])
        else:
            # The next session writes all of them.
            curves.complete(trial)
        curves.close()
    assert (steps_in(run, "loss/train"), steps_in(run, "loss/validation")) == ([1], [2])


def test_logged_steps_are_curves_by_step_and_no_epochs(tmp_path):
    trial = trial_of(0)
    steps = {
        "step_losses": [[50, 0.5], [100, 0.25]],
        "step_scores": {
            "accuracy": [[50, 0.75], [100, 0.875]],
            "learning_rate": [[50, 0.1], [100, 0.2]],
            "samples_per_second": [[100, 1000.0]],
        },
    }
    trial.results[1] = {"val_loss": 0.5, "my/step": 2.0}
    trial.step_losses[1], trial.step_scores[1] = steps["step_losses"], steps["step_scores"]
    curves = curves_in(tmp_path)
    tell(curves, trial, "result", epoch=1, metrics=trial.results[1], **steps)
    curves.close()
    # The next session has nothing to add; without the files it writes all of it again.
    for again in (False, True):
        if again:
            for path in (tmp_path / "0012").iterdir():
                path.unlink()
        curves = curves_in(tmp_path)
        curves.complete(trial)
        curves.close()
        run = tmp_path / "0012"
        assert steps_in(run, "loss/step") == steps_in(run, "accuracy/step") == [50, 100]
        assert steps_in(run, "learning_rate/step") == [50, 100]
        assert steps_in(run, "throughput/samples_per_second/step") == [100]
        # A metric that only has such a name keeps its epochs.
        assert steps_in(run, "reported/my/step") == [1]
        assert steps_in(run, "loss/validation") == [1]


def test_a_metric_without_a_value_is_no_point(tmp_path):
    curves = curves_in(tmp_path)
    tell(curves, trial_of(0), "result", epoch=1, metrics={"val_loss": 0.5, "custom": None})
    curves.close()
    assert steps_in(tmp_path / "0012", "loss/validation") == [1]
    assert steps_in(tmp_path / "0012", "custom") == []


def test_the_configuration_is_there_once_and_the_notice_with_it(tmp_path):
    for _ in range(2):
        curves = curves_in(tmp_path, notice="on digits, not on fashion_mnist")
        write(curves, trial_of(1))
        curves.close()
    (text,) = texts_in(tmp_path / "0012", "config")
    assert "| learning_rate | 0.01 |" in text
    assert "| batch_size | 32 |" in text
    assert texts_in(tmp_path / "0012", "notice") == ["on digits, not on fashion_mnist"]


def test_what_a_configuration_holds_is_text_to_tensorboard(tmp_path):
    trial = made_up_trial(12, {"a|b\n# c": "<b>d</b> [e](http://f) \x1b[2J\u202e`g`"})
    curves = curves_in(tmp_path, notice="data of *mine*\n\n# from <i>there</i>")
    tell(curves, trial, "result", epoch=1, metrics={"val_loss": 0.5, "h\x1b": 1.0})
    curves.close()
    texts = [*texts_in(tmp_path / "0012", "config"), *texts_in(tmp_path / "0012", "notice")]
    html = "".join(map(markdown_to_safe_html, texts))
    assert not re.search("<(b|i|a|h1|em|code)[ >]", html)
    assert html.count("<td") == 2
    assert html.replace("\n", "").isprintable()
    assert steps_in(tmp_path / "0012", r"h\x1b") == [1]


def test_a_decision_can_be_read_at_its_rung(tmp_path):
    curves = curves_in(tmp_path)
    trial = trial_of(3)
    write(curves, trial)
    decision = {"rung": 3, "value": 0.2, "cutoff": 0.5, "rank": 2, "of": 2, "stop": True}
    tell(curves, trial, "decision", **decision)
    tell(curves, trial, "ended", status="stopped", rung=3)
    (text,) = texts_in(tmp_path / "0012", "decision")
    assert decision.items() <= json.loads(text).items()
    assert steps_in(tmp_path / "0012", "decision") == [3]
    curves.close()


def test_a_promotion_can_be_read_at_its_rung_and_the_curve_goes_on_in_its_run(tmp_path):
    curves = curves_in(tmp_path)
    trial = trial_of(1)
    write(curves, trial)
    tell(curves, trial, "ended", status="stopped", rung=1)
    promotion = {"rung": 1, "value": 0.2, "rank": 2, "of": 6}
    tell(curves, trial, "promoted", **promotion)
    tell(curves, trial, "result", epoch=2, metrics=metrics_at(2))
    tell(curves, trial, "ended", status="finished")
    curves.close()
    (text,) = texts_in(tmp_path / "0012", "promoted")
    assert promotion.items() <= json.loads(text).items()
    assert steps_in(tmp_path / "0012", "promoted") == [1]
    assert steps_in(tmp_path / "0012", "loss/validation") == [1, 2]
    assert len(texts_in(tmp_path / "0012", "config")) == 1


def test_taking_over_weights_can_be_read_at_its_epoch(tmp_path):
    curves = curves_in(tmp_path)
    trial = trial_of(2)
    write(curves, trial)
    changes = {"learning_rate": [0.01, 0.02]}
    tell(curves, trial, "exploited", epoch=2, donor=3, changes=changes)
    curves.close()
    (text,) = texts_in(tmp_path / "0012", "exploited")
    assert (json.loads(text)["donor"], json.loads(text)["changes"]) == (3, changes)
    assert steps_in(tmp_path / "0012", "exploited") == [2]


def test_a_trial_that_never_reported_has_its_line_and_no_epoch(tmp_path):
    curves = curves_in(tmp_path)
    tell(curves, trial_of(0), "started")
    assert shown_of(tmp_path / "0012") == {"epochs": 0, "status": 1, "seconds": 0}
    tell(curves, trial_of(0, "failed"), "ended", status="failed")
    curves.close()
    assert shown_of(tmp_path / "0012") == {"epochs": 0, "status": 5, "seconds": 0}
    assert read_run(tmp_path / "0012").epochs == set()


def test_what_follows_a_result_that_the_storage_has_not_taken_is_no_error_of_its_own(tmp_path):
    trials_dir = tmp_path / "away"
    curves = curves_in(trials_dir, retry=StorageRetry(LocalStore(trials_dir), give_up=lambda: True))
    with pytest.raises(StorageLostError):
        write(curves, trial_of(1))
    tell(curves, trial_of(1), "decision", rung=1, stop=True)
    tell(curves, trial_of(1), "exploited", epoch=1)
    curves.close()


def test_what_is_whole_is_left_alone(tmp_path):
    curves = curves_in(tmp_path)
    write(curves, trial_of(3))
    tell(curves, trial_of(3, "finished"), "ended", status="finished")
    curves.close()
    before = {path: path.read_bytes() for path in (tmp_path / "0012").iterdir()}
    curves = curves_in(tmp_path)
    curves.complete(trial_of(3, "finished"))
    curves.close()
    assert {path: path.read_bytes() for path in (tmp_path / "0012").iterdir()} == before


def test_event_files_that_were_deleted_are_told_again_from_the_journal(tmp_path):
    curves = curves_in(tmp_path)
    curves.complete(trial_of(4, "finished"))
    curves.close()
    assert steps_in(tmp_path / "0012", "loss/validation") == [1, 2, 3, 4]
    assert len(texts_in(tmp_path / "0012", "config")) == 1


@given(
    share=st.floats(0, 1),
    lost=st.integers(0, 2),
    status=st.sampled_from(["running", "finished"]),
    kills=st.integers(1, 3),
)
@settings(max_examples=30)
def test_after_a_cut_at_any_byte_every_epoch_is_there_exactly_once(
    tmp_path_factory, share, lost, status, kills
):
    """`lost` epochs are in the journal and never came to the event file at all."""
    trials_dir = tmp_path_factory.mktemp("trials")
    run = trials_dir / "0012"
    curves = curves_in(trials_dir)
    write(curves, trial_of(5 - lost))
    curves.close()
    for _ in range(kills):
        newest = max(run.glob("events.*"), key=lambda path: path.stat().st_mtime_ns)
        newest.write_bytes(newest.read_bytes()[: round(share * newest.stat().st_size)])
        kept = read_run(run).epochs
        assert kept == set(steps_in(run, "loss/validation"))
        curves = curves_in(trials_dir)
        curves.complete(trial_of(5, status))
        curves.close()
        for tag in ("loss/validation", "accuracy/validation", "custom"):
            assert steps_in(run, tag) == [1, 2, 3, 4, 5]
        assert shown_of(run) == {
            "best/val_loss": pytest.approx(0.2),
            "last/val_loss": pytest.approx(0.2),
            **{"best_epoch": 5, "epochs": 5, "seconds": 0},
            "status": 1 if status == "running" else 2,
        }
    # TensorBoard itself shows the same: it continues behind the torn record.
    shown = opened(run).Tensors("loss/validation")
    assert sorted(event.step for event in shown) == [1, 2, 3, 4, 5]
    assert texts_in(run, "config"), "the configuration is not lost either"


def test_a_resumed_trial_goes_on_where_the_journal_ends(tmp_path):
    curves = curves_in(tmp_path)
    write(curves, trial_of(2))
    curves.close()
    curves = curves_in(tmp_path)
    curves.complete(trial_of(3))
    tell(curves, trial_of(4), "result", epoch=4, metrics=metrics_at(4))
    tell(curves, trial_of(4, "finished"), "ended", status="finished")
    curves.close()
    assert steps_in(tmp_path / "0012", "loss/validation") == [1, 2, 3, 4]


def test_epochs_that_are_lost_are_in_no_cell_and_the_line_stays(tmp_path):
    curves = curves_in(tmp_path)
    trial = trial_of(3)
    write(curves, trial)
    before = opened(tmp_path / "0012")
    lost = event_of("epochs_lost", 12, first=1, last=3)
    trial.apply(lost)
    curves.on_event(lost, trial)
    tell(curves, trial, "started")
    # One that has read the earlier file, as one that has not.
    before.Reload()
    for run in (before, opened(tmp_path / "0012")):
        shown = {tag: run.Tensors(tag)[-1] for tag in run.Tags()["tensors"] if is_column(tag)}
        cells = {tag: event.tensor_proto.float_val[0] for tag, event in shown.items()}
        known = {tag: value for tag, value in cells.items() if value == value}
        assert known == {"epochs": 0, "status": 1, "seconds": 0}
    curves.close()
    assert len([1 for tag, _, _ in values_in(tmp_path / "0012") if tag == SESSION_START]) == 1


def test_many_trials_do_not_keep_their_files_open(tmp_path):
    curves = curves_in(tmp_path)
    for index in range(20):
        write(curves, trial_of(1, index=index))
        tell(curves, trial_of(1, "finished", index), "ended", status="finished")
    assert curves.board._writers == {}
    curves.close()
    assert len(list(tmp_path.glob("*/events.*"))) == 20


def test_a_run_that_is_not_there_has_no_epochs(tmp_path):
    assert read_run(tmp_path / "never").epochs == set()


def begins_again(trial, epochs, value):
    """Let a trial reach its first epoch again, with `epochs` epochs of that value."""
    trial.apply(event_of("epochs_lost", 12, first=1, last=max(trial.epochs, 1)))
    for epoch in range(1, epochs + 1):
        trial.apply(event_of("result", 12, epoch=epoch, metrics={"custom": value}))


def test_epochs_that_are_lost_leave_the_curve_of_who_reads_it_anew_or_has_read_it(tmp_path):
    curves, trial = curves_in(tmp_path), trial_of(3)
    write(curves, trial)
    reader = opened(tmp_path / "0012")
    assert [event.step for event in reader.Tensors("custom")] == [1, 2, 3]
    begins_again(trial, 0, 5.0)
    tell(curves, trial, "epochs_lost", first=1, last=3)
    begins_again(trial, 2, 5.0)
    write(curves, trial)
    curves.close()
    assert steps_in(tmp_path / "0012", "custom") == [1, 2]
    reader.Reload()
    for run in (reader, opened(tmp_path / "0012")):
        points = [(e.step, e.tensor_proto.float_val[0]) for e in run.Tensors("custom")]
        assert points == [(1, 5.0), (2, 5.0)]


def test_what_a_killed_driver_has_left_of_lost_epochs_is_taken_out(tmp_path):
    curves, trial = curves_in(tmp_path), trial_of(3)
    write(curves, trial)
    curves.close()
    begins_again(trial, 1, 5.0)
    curves = curves_in(tmp_path)
    curves.complete(trial)
    curves.close()
    assert steps_in(tmp_path / "0012", "custom") == [1]


def test_fractions_of_epochs_have_a_step_each(tmp_path):
    trial = made_up_trial(12, CONFIG)
    curves = curves_in(tmp_path)
    for epoch in (0.5, 1, 1.5, 3):
        event = event_of("result", 12, epoch=epoch, metrics={"custom": epoch})
        trial.apply(event)
        curves.on_event(event, trial)
    curves.close()
    points = opened(tmp_path / "0012").Tensors("custom")
    assert {e.step: e.tensor_proto.float_val[0] for e in points} == {1: 0.5, 2: 1, 3: 1.5, 4: 3}
