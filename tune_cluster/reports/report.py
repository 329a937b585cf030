"""The report of one study, or of several side by side: a page, a text, and tables."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from search_spaces.objective import shown_value
from search_spaces.values import short
from tune_cluster.plain_text import argument
from tune_cluster.reports.answer import Answer, answer_of
from tune_cluster.reports.confirm import Confirmation, Standing, standings
from tune_cluster.reports.doctor.checks import examined
from tune_cluster.reports.doctor.finding import Finding, worst_first
from tune_cluster.reports.frames import results_frame, trials_frame, write_parquet
from tune_cluster.reports.importance import Importances, importances
from tune_cluster.reports.predictors import ScoresTable, beside_predictors
from tune_cluster.reports.readable import Readable, Siblings
from tune_cluster.reports.sections import Section, sections_of
from tune_cluster.reports.tables import write_table
from tune_cluster.reports.templates import rendered
from tune_cluster.reports.trial_table import Row, ordered, rows_of, searched
from tune_cluster.reports.work import NodeWork, nodes_of, work_of
from tune_cluster.storage.inside import write_file
from tune_cluster.study.baselines import read_baselines
from tune_cluster.study.stored import StoredStudy
from tune_cluster.study.study_file import DATA_FILE

MOST_ROWS = 10
"""Number of trials in the table of the page; the files have all."""

PAGE_FILE = "report.html"

FILES = (PAGE_FILE, "report.md", "trials.csv", "trials.parquet", "results.parquet")
"""Files of a report."""


@dataclass(frozen=True, kw_only=True)
class StudyReport:
    """Everything that a report says of one study."""

    name: str
    study: StoredStudy
    state: str
    notice: str
    """What is missing of a damaged study; empty if nothing is."""
    siblings: Siblings
    confirmed: str
    """Whether it is confirmed, or how to do it; empty where nothing can be confirmed."""
    answer: Answer
    findings: list[Finding]
    rows: list[Row]
    """Trials, the best first."""
    importance: Importances
    sections: list[Section]
    scores: list[ScoresTable]
    """The best trial beside simple predictors."""
    nodes: list[NodeWork]
    """What ran where."""
    directory: Path
    """Directory of the study."""

    @property
    def metric(self) -> str:
        """Metric of the study."""
        return self.study.state.objective.metric

    @property
    def standings(self) -> list[Standing]:
        """Candidates of its confirmation."""
        found = self.siblings.confirmation
        return [] if found is None else standings(found)

    @property
    def columns(self) -> list[str]:
        """Searched hyperparameters."""
        return searched(self.study)

    @property
    def facts(self) -> list[tuple[str, str]]:
        """Facts that a person needs to repeat the study: command, versions, seeds, commit."""
        about = self.study.about
        rungs = ", ".join(map(short, about["strategy"].get("rungs", []))) or "none"
        strategy = ", ".join(
            f"{name} {short(value)}"
            for name, value in about["strategy"].items()
            if name != "rungs" and value is not None
        )
        versions = about.get("versions", {})
        return [
            ("command", " ".join(about.get("command", []))),
            ("strategy", strategy),
            ("rungs", rungs),
            ("dataset", " ".join(map(str, about["dataset"].values())).strip() or "none"),
            ("seed", str(about.get("seed", ""))),
            ("commit", str(about.get("git_commit") or "unknown")),
            ("created", about.get("created", "")),
            ("versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
        ]

    def trials_json(self) -> dict[int, dict[str, Any]]:
        """Return what the page shows of a trial under the pointer."""
        return {
            row.trial: {
                "status": f"stopped at rung {row.rung}" if row.rung is not None else row.status,
                "value": None if row.value is None else shown_value(row.value),
                "epoch": row.best_epoch,
                "epochs": row.epochs_run,
                "config": {n: short(row.config[n]) for n in self.columns if n in row.config},
                "reason": row.reason,
            }
            for row in self.rows
        }


def report_of(readable: Readable, *, importance: bool = True) -> StudyReport:
    """Examine a study, or what can be read of it; importance, which takes seconds, if it is asked
    for.

    Raises:
        ValueError: a library of the extra `report` is not installed.
    """
    directory, address, study, state, notice, siblings = readable
    findings, work = examined(study, siblings.confirmation), work_of(study)
    objective = study.state.objective
    rows = ordered(rows_of(study), "value", descending=objective.mode == "max")
    found = importances(study) if importance else Importances(epoch=None, each=[])
    known = read_baselines(directory)
    return StudyReport(
        name=directory.resolve().name,
        study=study,
        state=state,
        notice=notice,
        siblings=siblings,
        confirmed=_confirmed(address, study, state, siblings.confirmation),
        answer=answer_of(
            study, state, findings, known.get("validation", {}), siblings.confirmation
        ),
        findings=worst_first(findings),
        rows=rows,
        importance=found,
        sections=sections_of(study, rows, found, work),
        scores=beside_predictors(directory, study, known),
        nodes=nodes_of(study, work),
        directory=directory,
    )


def _confirmed(address: str, study: StoredStudy, state: str, found: Confirmation | None) -> str:
    unfit = state in ("running", "interrupted") or study.state.best is None
    if found is None and unfit:
        # What confirm refuses: its trials have not ended, or none has a value.
        return ""
    command = f"tune-cluster confirm {argument(address)}"
    if found is not None:
        return "" if found.over else f"Not confirmed yet ({found.sentence}): {command}"
    # An experiment of plain Ray Tune has no command; an audit is no study of its own; members of a
    # population change their values.
    fixed = "perturbed" not in study.about["strategy"]
    possible = fixed and study.about.get("command") and "audits" not in study.about
    return f"Not confirmed: {command}" if possible else ""


def html_of(
    reports: Sequence[StudyReport], folder: Path, live: Mapping[str, Any] | None = None
) -> str:
    """Return a page that needs no other file and no network.

    Args:
        reports: studies, one below the other.
        folder: folder of the page, from which it links the page of a look at the data.
        live: values of `tune-cluster ui`, whose server gives the page its library, follows a
            running study, and links each trial to its story.
    """
    from plotly.offline import get_plotlyjs

    figures, trials = {}, {}
    for number, report in enumerate(reports):
        trials[number] = report.trials_json()
        for section in report.sections:
            for name, figure in section.named_figures:
                figures[f"figure-{number}-{name}"] = json.loads(figure.to_json())
    return rendered(
        "report.html.jinja",
        reports=reports,
        live=live,
        data_pages=[_data_page(report, folder, live) for report in reports],
        most=MOST_ROWS,
        plotly="" if live else get_plotlyjs(),
        figures=_in_script(figures),
        trials=_in_script(trials),
    )


def markdown_of(reports: Sequence[StudyReport], folder: Path) -> str:
    """Return the report as Markdown, without figures, for a file in a folder."""
    data_pages = [_data_page(report, folder, None) for report in reports]
    return rendered("report.md.jinja", reports=reports, data_pages=data_pages)


def _data_page(report: StudyReport, folder: Path, live: Mapping[str, Any] | None) -> str:
    """Return the address of the page of a look at the data, as seen from a folder or, live, from
    the server; empty if there is none."""
    page = report.directory / DATA_FILE
    if not page.is_file():
        return ""
    if live is not None:
        return f"/study/{quote(live['name'])}/{DATA_FILE}"
    return quote(os.path.relpath(page.resolve(), folder.resolve()))


def write_report(reports: Sequence[StudyReport], folder: Path) -> list[Path]:
    """Write the files of a report; return their paths.

    Tables of several studies have a column `study`.
    """
    import pandas as pd

    paths = {name: folder / name for name in FILES}
    write_file(folder, paths[PAGE_FILE], html_of(reports, folder).encode())
    write_file(folder, paths["report.md"], markdown_of(reports, folder).encode())
    for name, frame_of in (("trials.parquet", trials_frame), ("results.parquet", results_frame)):
        frames = [frame_of(report.study) for report in reports]
        if len(reports) > 1:
            for frame, report in zip(frames, reports, strict=True):
                frame.insert(0, "study", report.name)
        write_parquet(pd.concat(frames, ignore_index=True), paths[name])
        if name == "trials.parquet" and len(reports) > 1:
            together = pd.concat(frames, ignore_index=True)
            write_file(folder, paths["trials.csv"], together.to_csv(index=False).encode())
    if len(reports) == 1:
        write_table(paths["trials.csv"], reports[0].study.state)
    return list(paths.values())


def _in_script(content: Any) -> str:
    """Return JSON that cannot end the script that it is in."""
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
