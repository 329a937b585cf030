"""All checks of the doctor, in the order of a report."""

from __future__ import annotations

from tune_cluster.reports.confirm import Confirmation
from tune_cluster.reports.doctor.best_epoch import best_epochs
from tune_cluster.reports.doctor.boundaries import boundaries
from tune_cluster.reports.doctor.budget import budget
from tune_cluster.reports.doctor.curves import curves
from tune_cluster.reports.doctor.data import data
from tune_cluster.reports.doctor.finding import Finding
from tune_cluster.reports.doctor.infeasible import infeasible
from tune_cluster.reports.doctor.machines import machines
from tune_cluster.reports.doctor.noise import noise
from tune_cluster.reports.doctor.ranks import ranks
from tune_cluster.study.stored import StoredStudy

CHECKS = (boundaries, infeasible, curves, best_epochs, ranks, budget, data, machines)
"""Each yields findings; a new check is a function here."""


def examined(study: StoredStudy, confirmation: Confirmation | None = None) -> list[Finding]:
    """Return the findings of every check.

    Args:
        study: the study.
        confirmation: its confirmation, which tells chance from merit.
    """
    found = [finding for check in CHECKS for finding in check(study)]
    return [*found, *noise(study, confirmation)]
