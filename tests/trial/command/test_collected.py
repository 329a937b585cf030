"""The metrics of an epoch, among metrics that arrive one after the other."""

from tune_cluster.trial.command.collected import CollectedEpochs


def reports_of(*lines, last=None, apart=True):
    """The reports of lines; those given as None are pauses."""
    epochs = CollectedEpochs("loss", last)
    found = []
    for line in lines:
        found += [epochs.take() if line is None else epochs.add(line)]
    return [report for report in [*found, epochs.take()] if report]


def test_each_value_of_the_metric_is_an_epoch_where_none_is_printed():
    assert reports_of({"loss": 3}, {"loss": 2}, None, {"loss": 1}) == [
        {"loss": 3},
        {"loss": 2},
        {"loss": 1},
    ]


def test_metrics_before_and_right_after_the_metric_belong_to_its_epoch():
    lines = [{"train": 9}, {"train": 8}, {"loss": 3}, {"acc": 1}, None, {"train": 7}, {"loss": 2}]
    assert reports_of(*lines) == [{"train": 8, "loss": 3, "acc": 1}, {"train": 7, "loss": 2}]


def test_an_epoch_may_be_printed_before_the_metric_or_after_it():
    before = [{"epoch": 1}, {"loss": 3}, {"epoch": 2}, {"loss": 2}]
    after = [{"loss": 3}, {"epoch": 1}, None, {"loss": 2}, {"epoch": 2}, None]
    both = [{"epoch": 1, "loss": 3}, {"epoch": 2, "loss": 2}]
    assert reports_of(*before) == both
    assert reports_of(*after) == both


def test_a_second_value_in_an_epoch_does_not_count():
    lines = [{"epoch": 0, "loss": 3}, {"loss": 9}, None, {"epoch": 1, "loss": 2}, None, {"loss": 1}]
    assert reports_of(*lines) == [{"epoch": 0, "loss": 3}, {"epoch": 1, "loss": 2}]


def test_after_a_resume_epochs_reported_before_are_left_out():
    lines = [{"epoch": 3, "loss": 3}, {"epoch": 4, "loss": 2}]
    assert reports_of(*lines, last=3) == [{"epoch": 4, "loss": 2}]


def test_without_the_metric_there_is_no_report():
    epochs = CollectedEpochs("loss")
    epochs.add({"epoch": 1, "acc": 1})
    assert epochs.take() is None
    assert epochs.seen == {"epoch", "acc"}
