"""Metrics in files that grow."""

import pytest
from torch.utils.tensorboard import SummaryWriter

from tune_cluster.trial.command.files import metric_files


def test_a_csv_file_is_read_row_by_row(tmp_path):
    path = tmp_path / "log.csv"
    files = metric_files(str(path))
    assert [*files.new()] == []
    with path.open("w") as file:
        file.write("epoch, eval_loss,model\n1,0.5,resnet\n2,0.")
        file.flush()
        assert [*files.new()] == [{"epoch": 1, "eval_loss": 0.5}]
        file.write("25,resnet\n")
        file.flush()
        assert [*files.new()] == [{"epoch": 2, "eval_loss": 0.25}]
    assert [*files.new()] == []


@pytest.mark.parametrize("suffix", ["jsonl", "json"])
def test_a_file_of_json_lines_is_read_line_by_line(tmp_path, suffix):
    path = tmp_path / f"log.{suffix}"
    path.write_text('{"loss": 9}\n')
    files = metric_files(str(path))
    assert [*files.new()] == [], "of a run before"
    with path.open("a") as file:
        file.write('no json\n[1]\n{"loss": 1, "epoch": 1}\n{"loss"')
    assert [*files.new()] == [{"loss": 1, "epoch": 1}]


def test_a_file_that_is_overwritten_is_read_from_its_beginning(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("epoch,loss\n1,5\n2,4\n")
    files = metric_files(str(path))
    path.write_text("epoch,loss\n1,3\n")
    assert [*files.new()] == [{"epoch": 1, "loss": 3}]


def test_event_files_are_read_scalar_by_scalar(tmp_path):
    with SummaryWriter(tmp_path / "before") as writer:
        writer.add_scalar("val/loss", 9.0, 1)
    files = metric_files(str(tmp_path))
    with SummaryWriter(tmp_path / "now") as writer:
        writer.add_scalar("val/loss", 0.5, 100)
        writer.add_text("note", "x", 100)
        writer.flush()
        assert [*files.new()] == [{"val/loss": 0.5}]
        writer.add_scalar("val/loss", 0.25, 200)
        writer.add_scalar("val/acc", 1.0, 200)
        writer.flush()
        assert [*files.new()] == [{"val/loss": 0.25}, {"val/acc": 1.0}]
