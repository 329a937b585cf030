"""The report that a study writes at its end: there, named in a line, and never in its way."""

import io
import os
import signal

import pytest
from rich.console import Console

from tests.in_process import Scored
from tune_cluster.execution.final_report import write_final_report
from tune_cluster.reports import report
from tune_cluster.reports.report import FILES


@pytest.mark.long
def test_a_study_ends_with_its_report_and_a_line_that_names_the_page(run_study, tmp_path):
    code, _, study = run_study(Scored, report=True)
    assert code == 0
    assert set(FILES) <= {path.name for path in study.directory.iterdir()}
    lines = [line.split() for line in (tmp_path / "output").read_text().splitlines()]
    assert ["report", str(study.directory / "report.html")] in lines
    # It has ended for its report too.
    assert "it ended by: all trials" in (study.directory / "report.md").read_text()


def said_by(study):
    """Write the report of a study that has ended; return the line."""
    said = io.StringIO()
    write_final_report(Console(file=said, width=400), study)
    return said.getvalue()


@pytest.mark.slow
def test_a_report_that_cannot_be_written_is_a_line_and_no_error(run_study, monkeypatch):
    _, _, study = run_study(Scored, trials=1, report=True)
    there = study.directory / "report.html"
    there.unlink()
    there.mkdir()
    assert said_by(study).startswith("report         failed: ")
    there.rmdir()

    def interrupted(*_, **__):
        os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(report, "report_of", interrupted)
        assert said_by(study).startswith("report         interrupted; ")
    assert not there.exists()

    # A machine that is taken away has no time for it.
    study.stopper.terminate()
    assert said_by(study).split()[2:] == ["report", str(study.directory)]
    assert not there.exists()
