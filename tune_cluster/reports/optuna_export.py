"""A study as one of Optuna's: for its importance, its plots, and optuna-dashboard."""

from __future__ import annotations

import datetime
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from search_spaces import needs_extra
from search_spaces.values import key_of
from tune_cluster.study.state import TrialState
from tune_cluster.study.stored import StoredStudy

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution


def to_optuna(
    study: StoredStudy, *, name: str | None = None, storage: str | None = None
) -> optuna.Study:
    """Convert a study: finished trials are complete, stopped ones pruned, others failed, each with
    its intermediate values and its best value.

    Args:
        study: the study.
        name: name of Optuna's study.
        storage: URL of Optuna's storage, such as `sqlite:///studies.db`; None keeps it in memory.

    Raises:
        ValueError: the storage has a study of that name already.
    """
    with needs_extra("optuna"):
        import optuna
        from optuna.exceptions import DuplicatedStudyError
    direction: Literal["maximize", "minimize"]
    direction = "maximize" if study.state.objective.mode == "max" else "minimize"
    with quiet():
        try:
            made = optuna.create_study(storage=storage, study_name=name, direction=direction)
        except DuplicatedStudyError:
            raise ValueError(
                f"--optuna-storage {storage}: it has a study {name} already; remove that, or give "
                "another storage"
            ) from None
        made.set_metric_names([study.state.objective.metric])
    times = _times(study)
    distributions = distributions_of(study)
    made.add_trials(
        [
            _trial(trial, distributions, times.get(trial.index))
            for trial in study.state.trials.values()
            if trial.ended
        ]
    )
    return made


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna's log and its warnings of experimental calls from the user."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)


def distributions_of(study: StoredStudy) -> dict[str, BaseDistribution]:
    """Return the distribution of each searched hyperparameter. One that has several ranges, under
    different conditions, has their hull; values outside it, of start points, widen it."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    entries: dict[str, list[dict[str, Any]]] = {}
    for one in study.about["space"]["parameters"]:
        entries.setdefault(one["name"], []).append(one)
    found: dict[str, BaseDistribution] = {}
    configs = [trial.config for trial in study.state.trials.values()]
    for name, branches in entries.items():
        values = [config[name] for config in configs if name in config]
        if all("low" in branch for branch in branches) and all(map(_is_number, values)):
            low = min([*(branch["low"] for branch in branches), *values])
            high = max([*(branch["high"] for branch in branches), *values])
            log = low > 0 and any(branch.get("scale") == "log" for branch in branches)
            if all(branch.get("integer") for branch in branches):
                found[name] = IntDistribution(math.floor(low), math.ceil(high), log=log)
            else:
                found[name] = FloatDistribution(low, high, log=log)
        else:
            listed = [value for branch in branches for value in branch.get("values", ())]
            found[name] = CategoricalDistribution(_choices([*listed, *values]))
    return found


def _choices(values: Iterable[Any]) -> Sequence[Any]:
    return list({key_of(value): choice(value) for value in values}.values())


def choice(value: Any) -> Any:
    """Return a value as a choice of Optuna, which knows no lists: a list as its JSON."""
    return value if value is None or isinstance(value, (bool, int, float, str)) else key_of(value)


def params_of(
    config: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]
) -> dict[str, Any]:
    """Return the values of a configuration as Optuna's, for these hyperparameters."""
    from optuna.distributions import CategoricalDistribution

    return {
        name: choice(config[name]) if isinstance(kind, CategoricalDistribution) else config[name]
        for name, kind in distributions.items()
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _trial(
    trial: TrialState,
    distributions: dict[str, BaseDistribution],
    times: tuple[float, float] | None,
) -> optuna.trial.FrozenTrial:
    from optuna.trial import TrialState as State
    from optuna.trial import create_trial

    best = trial.best
    state = {"finished": State.COMPLETE, "stopped": State.PRUNED}.get(trial.status, State.FAIL)
    if best is None or not math.isfinite(best.value):
        state = State.FAIL
    config = trial.config_at(best.epoch if best else 1)
    own = {name: at for name, at in distributions.items() if name in config}
    metric = trial.objective.metric
    made = create_trial(
        state=state,
        value=best.value if best is not None and state != State.FAIL else None,
        params=params_of(config, own),
        distributions=own,
        intermediate_values={
            trial.step(epoch): float(value)
            for epoch, metrics in trial.results.items()
            if (value := metrics.get(metric)) is not None
        },
        user_attrs={
            "status": trial.status,
            "best_epoch": best.epoch if best else None,
            "epochs": trial.epochs,
            **({"reason": trial.reason} if trial.reason else {}),
        },
    )
    if times is not None:
        made.datetime_start, made.datetime_complete = map(_datetime, times)
    return made


def _datetime(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).replace(tzinfo=None)


def _times(study: StoredStudy) -> dict[int, tuple[float, float]]:
    """Return the times of the first and the last event of each trial."""
    found: dict[int, tuple[float, float]] = {}
    for event in study.events:
        trial, now = getattr(event, "trial", None), event.time
        if trial is not None and now is not None:
            found[trial] = (found.get(trial, (now, now))[0], now)
    return found
