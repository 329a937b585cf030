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


def test_a_second_value_in_an_epoch_is_not_that_of_the_next_epoch():
    """As where train and validation loss have one name, and the next epoch begins at once."""
    lines = [{"epoch": 1}, {"loss": 4}, {"loss": 9, "acc": 8}, {"epoch": 2, "lr": 1}, None]
    lines += [{"loss": 3}, {"loss": 8}, {"epoch": 3}, None, {"loss": 2}]
    assert [(r["epoch"], r["loss"]) for r in reports_of(*lines)] == [(1, 4), (2, 3), (3, 2)]
    assert not any("acc" in report for report in reports_of(*lines))


def test_a_row_that_names_a_reported_epoch_is_not_part_of_the_next():
    lines = [{"epoch": 0, "loss": 3}, None, {"epoch": 0, "train": 9}, {"epoch": 1, "loss": 2}]
    assert reports_of(*lines) == [{"epoch": 0, "loss": 3}, {"epoch": 1, "loss": 2}]
    assert reports_of({"epoch": 3, "loss": 9}, {"epoch": 4}, None, last=3) == []


def drawn_reports(*states):
    """Return the reports of states of a bar, each with whether its line has ended."""
    epochs = CollectedEpochs("loss")
    found = [epochs.add(state, drawn=True, ended=ended) or epochs.take() for state, ended in states]
    return [report for report in [*found, epochs.finish()] if report]


def test_the_last_state_of_a_bar_in_an_epoch_counts():
    """Until an epoch has its value, a bar shows that of the epoch before."""
    states = [
        ({"epoch": 0}, False),
        ({"epoch": 0, "loss": 3}, True),
        ({"epoch": 1, "loss": 3}, False),
        ({"epoch": 1, "loss": 3}, True),
        ({"epoch": 1, "loss": 2}, False),
        ({"epoch": 2, "loss": 2}, False),
        ({"epoch": 2, "loss": 1}, False),
    ]
    assert drawn_reports(*states) == [{"epoch": e, "loss": 3 - e} for e in range(3)]


def test_a_bar_without_epochs_is_one_when_its_line_has_ended():
    states = [({"loss": 9}, False), ({"loss": 3}, True), ({"loss": 8}, False), ({"loss": 2}, False)]
    assert drawn_reports(*states) == [{"loss": 3}, {"loss": 2}]


def test_a_whole_line_counts_and_not_a_bar_before_it():
    epochs = CollectedEpochs("loss")
    epochs.add({"epoch": 1, "loss": 9}, drawn=True, ended=True)
    epochs.add({"loss": 3})
    assert epochs.take() == {"loss": 3, "epoch": 1}
    assert epochs.finish() is None
