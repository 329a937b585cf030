"""The interface of every scheduler of a study."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

from search_spaces.objective import Expectation, StudySpec
from search_spaces.trial_events import Event, Exploited, Promoted


class TrialConfigs(Protocol):
    """A trial whose configuration may have changed during training."""

    def config_at(self, epoch: float) -> dict[str, Any]:
        """Return the configuration that `epoch` was trained with."""


@dataclass(frozen=True)
class Closing:
    """Output of a scheduler at the end of a study."""

    file: str
    """File name, to be written beside the best checkpoint; empty for no file."""
    content: Mapping[str, Any]
    """Content of that file, plain JSON."""
    lines: Sequence[tuple[str, str]]
    """Lines for the summary: pairs of a label and a text, in which `{file}` is replaced by the path
    of the file and `{study}` by that of the study."""


class StudyScheduler(FIFOScheduler):
    """Decides which trials of a study run, and for how long.

    Tune calls the methods of its `TrialScheduler`, the engine all others. This base class lets
    every trial run to its end, in order.
    """

    not_resumable: ClassVar[str] = ""
    """Reason why a study with this scheduler can be neither resumed nor extended; empty if it
    can."""
    synchronous: ClassVar[bool] = False
    """Whether trials wait for each other, so that all of them must run or wait at the same time."""
    all_first: bool = False
    """Whether all configurations must be known before the first trial begins."""
    default_trials: int | None = None
    """Number of trials if the user gives none; None for the engine's default."""
    max_epochs: int | None = None
    """Epochs of a trial that is never stopped; None for the engine's default."""
    rungs: Sequence[int] = ()
    """Epochs at which trials are compared, ascending."""
    perturbed: Sequence[str] = ()
    """Names of the hyperparameters that change during a trial."""
    seed: int = 0
    """Seed of the scheduler's random draws."""

    @property
    def promotes(self) -> bool:
        """Whether a stopped trial can be promoted later."""
        return False

    @property
    def kept_share(self) -> float:
        """Share of the stopped trials whose latest checkpoint is kept."""
        return float(self.promotes)

    def check(self, spec: StudySpec) -> None:
        """Prepare for a study.

        Raises:
            ValueError: the study cannot be run with this scheduler.
        """

    def on_event(self, event: Event, replay: bool) -> None:
        """Take in an event of the study; `replay` if it is of an earlier session."""

    def take_events(self) -> list[Event]:
        """Return the decisions and the ends of stopped trials since the last call; after a replay,
        those that are missing in the journal."""
        return []

    def next_promotion(self) -> Promoted | None:
        """Return the stopped trial to promote now; `on_event` gets its `Promoted` afterwards."""
        return next(iter(self.promotable()), None)

    def promotable(self) -> Iterable[Promoted]:
        """Return the stopped trials that are due for promotion, in order."""
        return ()

    def may_continue(self, trials: int) -> tuple[list[int], list[int]]:
        """Return the stopped trials that later ones may promote, the likeliest first.

        The first list holds those that a study of `trials` trials may promote, the second those
        that only a larger study may.
        """
        return [], []

    def next_exploit(self) -> Exploited | None:
        """Return the exploit that is due: a trial that takes over the weights of another one;
        `on_event` gets its outcome."""
        return None

    def keeps(self, index: int) -> bool:
        """Return whether the latest checkpoint of trial `index` is kept if it is stopped for
        good."""
        return False

    def expected(self, *, trials: int, concurrent: int, max_epochs: int) -> Expectation:
        """Return the expected cost of a study of `trials` trials, `concurrent` at a time, each of
        up to `max_epochs` epochs."""
        turns = math.ceil(trials / concurrent)
        return Expectation({}, float(trials * max_epochs), float(turns * max_epochs))

    def notes(self, trials: int) -> list[str]:
        """Return sentences on what may surprise the user of a study of `trials` trials."""
        return []

    def finish(
        self, trials: Mapping[int, TrialConfigs], best: Mapping[str, Any], metric: str
    ) -> Closing | None:
        """Return what to write beside the best checkpoint at the end of the study.

        Args:
            trials: trials by index.
            best: `trial`, `epoch`, `config` and the metric's value, as in `best.json`.
            metric: name of the study's metric.
        """
        return None

    def describe(self) -> dict[str, object]:
        """Return the scheduler as plain JSON, for `study.json`."""
        return {}

    def choose_trial_to_run(self, controller: Any) -> Trial | None:
        """Return None, so that Tune starts pending trials in their order.

        If this method named the oldest pending trial, as Tune's own schedulers do, Tune would give
        it the next free process even while its own process is starting, and end that start: short
        trials would run one at a time.
        """
        return None


def index_of(trial: Trial) -> int:
    """Return the index of a trial of Tune, from the name of its directory.

    Where Tune itself has named the directory, the index is a number made of Tune's trial id.
    """
    name = trial.custom_dirname or ""
    return int(name) if name.isdigit() else int.from_bytes(trial.trial_id.encode(), "big")
