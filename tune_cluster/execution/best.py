"""Result of a study in `best/`: the best checkpoint, and its description."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ConfigDict
from typing_extensions import NotRequired, TypedDict

from search_spaces.objective import shown_value
from search_spaces.trial_events import Epoch
from tune_cluster.execution.held_out import predict_best
from tune_cluster.execution.ray_tune.study import Study
from tune_cluster.storage.checkpoints import Checkpoint, TrialCheckpoints, dirname_of
from tune_cluster.storage.integrity import check, parse
from tune_cluster.storage.retry import StorageLostError
from tune_cluster.storage.store import LocalStore, scratch
from tune_cluster.study.best_checkpoints import best_checkpoints
from tune_cluster.study.state import TrialState
from tune_cluster.study.study_file import BEST_FILE, write_json
from tune_cluster.trial.process import trial_seed


class _Best(TypedDict):
    """Fields of `best.json`, besides the metric."""

    __pydantic_config__ = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)  # type: ignore[misc]

    trial: int
    epoch: int
    metrics: dict[str, Any]
    config: dict[str, Any]
    checkpoint: NotRequired[str]
    instead_of: NotRequired[dict[str, Any]]
    """Best trial and epoch, if their checkpoint is damaged or missing."""
    test: NotRequired[dict[str, float]]
    """Results on the test set."""
    held_out: NotRequired[dict[str, Any]]
    """Summary of `predictions.parquet`."""


def keep_best(study: Study) -> dict[str, Any] | None:
    """Copy the best checkpoint to `best/`, with `best.json` that describes it; without checkpoints
    `best.json` is written alone.

    If it is damaged or missing, the best intact one replaces it: `best.json` then describes that,
    and names the other one in `instead_of`. The test set is used on it here and nowhere else: a
    study that is resumed without finding a better checkpoint keeps the result.
    """
    found = study.state.best
    if found is None:
        return None
    meant = _described(study, *found)
    known = _read(study)
    best = _known_or(known, meant)
    meant_first = (meant["trial"], meant["epoch"])
    # Absent storage looks empty.
    study.retry.wait()
    for checkpoint in best_checkpoints(study.checkpoints, study.state, meant_first, study.retry):
        content = meant
        index = int(checkpoint.store.name)
        if (index, checkpoint.epoch) != meant_first:
            if _same(known, meant):
                # `best/` has a copy of it.
                return best
            content = _described(study, study.trials[index], checkpoint.epoch, checkpoint.value)
            content["instead_of"] = {name: meant[name] for name in ("trial", "epoch", study.metric)}
        where = str(checkpoint.store / checkpoint.name)
        content = {**_known_or(known, content), "checkpoint": where}
        if _put_best(study, checkpoint, content):
            predict_best(study, content)
            _evaluate(study, content)
            return content
    if known is None or "checkpoint" not in known:
        with scratch() as local:
            folder = Path(local) / "best"
            folder.mkdir()
            _put_folder(study, folder, best)
    return best


def _described(study: Study, trial: TrialState, epoch: Epoch, value: float) -> dict[str, Any]:
    return {
        "trial": trial.index,
        "epoch": epoch,
        study.metric: value,
        "metrics": trial.results[epoch],
        "config": trial.config_at(epoch),
    }


def _known_or(known: dict[str, Any] | None, content: dict[str, Any]) -> dict[str, Any]:
    """Return the description with the results of an earlier session for the same checkpoint."""
    return {**known, **content} if known is not None and _same(known, content) else content


def _same(known: dict[str, Any] | None, content: Mapping[str, Any]) -> bool:
    same = ("trial", "epoch", "instead_of")
    return known is not None and all(known.get(name) == content.get(name) for name in same)


def _put_best(study: Study, checkpoint: Checkpoint, best: Mapping[str, Any]) -> bool:
    """Copy a checkpoint to `best/`; return False if it is damaged."""
    with scratch() as local:
        folder = Path(local) / "best"

        def bring() -> None:
            # From the beginning, if the storage has failed.
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            checkpoint.copy_to(folder)

        try:
            study.retry(bring)
        except StorageLostError:
            raise
        except (OSError, ValueError):
            return False
        _put_folder(study, folder, best)
    return True


def _put_folder(study: Study, folder: Path, best: Mapping[str, Any]) -> None:
    """Move a folder to `best/`, with `best.json`."""
    write_json(folder / BEST_FILE, best, study.retry)
    study.retry(lambda: LocalStore(study.directory).put(folder, "best"))


def _evaluate(study: Study, best: dict[str, Any]) -> None:
    """Use the test set once a study that searches has reached its last trial, or a limit."""
    evaluate = getattr(study.trainable, "evaluate", None)
    searched = bool(study.space.parameters) and not study.searcher.follows_study
    if searched and study.over and "test" not in best and evaluate is not None:
        target = study.directory / "best"
        config = study.space.restored(best["config"])
        try:
            best["test"] = evaluate(config, str(target), study.dataset)
        except Exception as error:
            # Not stored, so that the next session tries again.
            best["test_error"] = f"{type(error).__name__}: {error}".partition("\n")[0]
            return
        write_json(target / BEST_FILE, best, study.retry, study=study.directory)


def _read(study: Study) -> dict[str, Any] | None:
    """Return `best.json` of an earlier session; None if it is missing or unreadable."""
    folder = LocalStore(study.directory)
    try:
        data = study.retry(lambda: folder.read(f"best/{BEST_FILE}"))
        content: dict[str, Any] = parse(data)
        check(_Best, content)
    except StorageLostError:
        # It may contain the test result, which must not be computed twice.
        raise
    except (OSError, ValueError):
        return None
    return content


REPLICATES_FILE = "seeds.json"


def write_replicates(study: Study) -> list[tuple[str, str]]:
    """Write `seeds.json` for a study that searches nothing, whose trials differ by their seed
    alone.

    It has the best epoch of each trial, with its result on the test set. No choice is made between
    the trials, so that the test set may be used on each, once all have ended.

    Returns:
        Lines of a name and a text: mean and standard deviation over the trials.
    """
    if study.space.parameters or study.scheduler.perturbed or not study.over:
        return []
    found = [_replicate(study, index) for index in sorted(study.trials)]
    replicates = [one for one in found if one is not None]
    write_json(study.directory / REPLICATES_FILE, {"seeds": replicates}, study.retry)
    values: dict[str, list[float]] = {}
    for one in replicates:
        for name, value in {study.metric: one["value"], **one["test"]}.items():
            values.setdefault(name, []).append(value)
    # A diverged trial, or one with a damaged checkpoint, is in no mean, which must be visible.
    return [
        (name, f"{_spread(numbers)} over {len(numbers)} of {study.total} seeds")
        for name, numbers in values.items()
    ]


def _replicate(study: Study, index: int) -> dict[str, Any] | None:
    trial = study.trials[index]
    best = trial.best
    if trial.status != "finished" or best is None:
        return None
    epoch, value = best
    config = study.space.restored(trial.config_at(epoch))
    store = study.checkpoints / dirname_of(index)
    checkpoint = TrialCheckpoints(store, study.mode).of_epoch(epoch)
    evaluate = getattr(study.trainable, "evaluate", None)
    test = {}
    if checkpoint is not None and evaluate is not None:
        with suppress(Exception), checkpoint.whole() as files:
            test = evaluate(config, str(files), study.dataset)
    seed = config.get("seed", trial_seed(study.options.seed, index))
    return {"seed": seed, "epoch": epoch, "value": value, "test": test}


def _spread(numbers: list[float]) -> str:
    mean = statistics.mean(numbers)
    if len(numbers) < 2:
        return shown_value(mean)
    return f"{shown_value(mean)} ± {shown_value(statistics.stdev(numbers), like=mean)}"
