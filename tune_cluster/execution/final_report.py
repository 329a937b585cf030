"""The report that a study writes when it has ended, and the line that names it."""

from __future__ import annotations

import signal

from rich.console import Console

from search_spaces import MissingExtraError
from tune_cluster.callbacks.stopping import TERMINATED
from tune_cluster.execution.ray_tune.study import Study
from tune_cluster.execution.signals import handled
from tune_cluster.execution.summary import address, print_line, program
from tune_cluster.plain_text import argument


def write_final_report(console: Console, study: Study) -> None:
    """Write the report into a study that has ended, and print where it is, or why it is not.

    Whatever fails, the study has ended as it has: no error is raised. Ctrl-C leaves the report out.
    """
    command = f"{program('tune-cluster')} report {argument(address(study))}"
    # A machine that is taken away needs its seconds for the upload of the study.
    if not study.options.report or study.stopper.why == TERMINATED:
        print_line(console, "report", command)
        return
    try:
        with handled({signal.SIGINT: signal.default_int_handler}):
            page = _written(study)
    except KeyboardInterrupt:
        print_line(console, "report", f"interrupted; {command}")
    except MissingExtraError as error:
        print_line(console, "report", f"{error}; then {command}")
    except Exception as error:
        print_line(console, "report", f"failed: {type(error).__name__}: {error}; {command}")
    else:
        print_line(console, "report", page)


def _written(study: Study) -> str:
    """Write the report; return the address of its page."""
    # These import what draws figures and reads tables, which nothing else here needs.
    from tune_cluster.reports.readable import readable
    from tune_cluster.reports.report import PAGE_FILE, report_of, write_report

    # Read here, where it was written, and named as a person names it.
    found = readable(str(study.directory))._replace(address=address(study))
    write_report([report_of(found)], study.directory)
    return argument(f"{address(study)}/{PAGE_FILE}")
