"""Contents of a study's files, for tests that write them by hand."""

from dataclasses import asdict
from pathlib import Path

from tune_cluster.execution.options import Options


def about(**changed):
    """Return the content of a valid `study.json` with changes."""
    flags = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(Options()).items()}
    return {
        "schema_version": 1,
        "job": "job",
        "command": ["python", "job.py"],
        "seed": 0,
        "metric": "score",
        "mode": "max",
        "flags": flags,
        "options": {},
        "space": {"name": "space", "parameters": [], "fixed": {}},
        "strategy": {"searcher": "RandomSearch"},
        "dataset": {"name": "digits", "source": "", "notice": "", "fingerprint": ""},
        **changed,
    }


def about_this(study):
    """The content of a whole `study.json` of that study."""
    strategy, space = study.describe_strategy(), study.space.describe()
    return about(metric=study.metric, mode=study.mode, space=space, strategy=strategy)
