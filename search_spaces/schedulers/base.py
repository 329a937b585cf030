"""What every scheduler of a study is."""

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
    """A trial whose configuration may have changed on its way."""

    def config_at(self, epoch: float) -> dict[str, Any]:
        """What `epoch` was trained with."""


@dataclass(frozen=True)
class Closing:
    """What a scheduler leaves when a study has ended."""

    file: str
    """The name of a file beside the best checkpoint; empty without one."""
    content: Mapping[str, Any]
    """Of that file, plain JSON."""
    lines: Sequence[tuple[str, str]]
    """For a person, pairs of a name and a text, in which `{file}` stands for the file's path,
    and `{study}` for the study's."""


class StudyScheduler(FIFOScheduler):
    """Decides which trials of a study run, and for how long.

    Tune calls the methods of its `TrialScheduler`, the engine all others. By itself it lets every
    trial run to its end, in order.
    """

    not_resumable: ClassVar[str] = ""
    """Why a study with this scheduler can be neither resumed nor extended; empty where it can."""
    synchronous: ClassVar[bool] = False
    """Whether trials wait for each other, so that all of them have to live at once."""
    all_first: bool = False
    """Whether all trials have to be known before the first begins, to be compared with it."""
    default_trials: int | None = None
    """Trials, where nobody says how many; None leaves it to the engine."""
    max_epochs: int | None = None
    """Epochs of a trial that is never stopped; None leaves it to the engine."""
    rungs: Sequence[int] = ()
    """Epochs at which trials are compared, ascending."""
    perturbed: Sequence[str] = ()
    """Hyperparameters that change while a trial is trained."""
    seed: int = 0
    """Of what it draws."""

    @property
    def promotes(self) -> bool:
        """Whether a trial that was stopped may go on later."""
        return False

    @property
    def kept_share(self) -> float:
        """Share of the stopped trials whose latest checkpoint stays."""
        return float(self.promotes)

    def check(self, spec: StudySpec) -> None:
        """Take in the study before it begins; a ValueError says why it cannot be run."""

    def on_event(self, event: Event, replay: bool) -> None:
        """Take in any event of the study; `replay` if an earlier session has had it."""

    def take_events(self) -> list[Event]:
        """Return, once, what was decided since the last call: decisions, and the ends of stopped
        trials. After a replay, those that the journal lacks."""
        return []

    def next_promotion(self) -> Promoted | None:
        """The stopped trial that is to go on now; it does once `on_event` is told so."""
        return next(iter(self.promotable()), None)

    def promotable(self) -> Iterable[Promoted]:
        """The stopped trials that are to go on as things stand, in this order."""
        return ()

    def may_continue(self, trials: int) -> tuple[list[int], list[int]]:
        """The stopped trials that later ones may bring among those that go on, the likeliest first:
        in a study of so many `trials`, and in a larger one alone."""
        return [], []

    def next_exploit(self) -> Exploited | None:
        """The takeover of another trial's weights that is due; `on_event` is told its outcome."""
        return None

    def keeps(self, index: int) -> bool:
        """Whether the latest checkpoint of trial `index` stays if it is stopped for good."""
        return False

    def expected(self, *, trials: int, concurrent: int, max_epochs: int) -> Expectation:
        """What a study of so many trials costs, `concurrent` at once, of up to `max_epochs`."""
        turns = math.ceil(trials / concurrent)
        return Expectation({}, float(trials * max_epochs), float(turns * max_epochs))

    def notes(self, trials: int) -> list[str]:
        """Sentences on what may surprise a person in a study of so many trials."""
        return []

    def finish(
        self, trials: Mapping[int, TrialConfigs], best: Mapping[str, Any], metric: str
    ) -> Closing | None:
        """What is left beside the best checkpoint when the study has ended.

        Args:
            trials: by index.
            best: `trial`, `epoch`, `config` and the metric's value, as in `best.json`.
            metric: of the study.
        """
        return None

    def describe(self) -> dict[str, object]:
        """The scheduler as plain JSON, for `study.json`."""
        return {}

    def choose_trial_to_run(self, controller: Any) -> Trial | None:
        """None: Tune starts pending trials in their order without being told.

        Told the oldest one, as by its own schedulers, it hands a process that has come free to a
        trial whose own process is starting, and ends that start: short trials run one at a time.
        """
        return None


def index_of(trial: Trial) -> int:
    """The index of a trial of Tune, which its directory is named after.

    Where Tune itself has named the directory it is a number made of Tune's id.
    """
    name = trial.custom_dirname or ""
    return int(name) if name.isdigit() else int.from_bytes(trial.trial_id.encode(), "big")
