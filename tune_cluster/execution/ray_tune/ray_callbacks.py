"""Callbacks of Ray Tune's, such as `CSVLoggerCallback` or `WandbLoggerCallback`, on a study."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray import tune

from search_spaces.space import flattened, nested
from search_spaces.trial_events import (
    Ended,
    Epoch,
    Event,
    Exploited,
    Promoted,
    Result,
    Suggested,
    TrialEvent,
)
from search_spaces.values import short
from tune_cluster.callbacks.base import Callback
from tune_cluster.storage.checkpoints import dirname_of
from tune_cluster.study.events import (
    Closed,
    Restored,
    Retried,
    SavedCheckpoint,
    Session,
    Started,
)
from tune_cluster.study.state import StudyState

if TYPE_CHECKING:
    from tune_cluster.execution.ray_tune.study import Study

FOLDER = "ray"
"""Name of the folder, in that of a trial, that Ray's callbacks write to. In the trial's own folder
TensorBoard would read their event file in place of the study's."""

HOOKS = ("on_trial_start", "on_trial_result", "on_trial_complete", "on_trial_error")
"""Methods by which a callback of Ray's is known: in a script whose import line alone was changed,
`tune.Callback` is a study's."""

NEVER_CALLED = ("on_step_begin", "on_step_end", "get_state", "set_state")
"""Methods of `tune.Callback` without a counterpart: a study has no steps, and rebuilds no state."""


def is_rays(callback: object) -> bool:
    """Return whether a callback expects the calls that Ray makes."""
    return isinstance(callback, tune.Callback) or any(hasattr(callback, name) for name in HOOKS)


def methods_never_called(callback: object) -> list[str]:
    """Return the methods that a callback defines and a study never calls."""
    kind = type(callback)
    return [
        name
        for name in NEVER_CALLED
        if hasattr(kind, name) and getattr(kind, name) is not getattr(tune.Callback, name)
    ]


def adapted(given: Sequence[Callback | tune.Callback], study: Study) -> list[Callback]:
    """Return callbacks of a study, with one for all those of Ray's."""
    rays = [callback for callback in given if is_rays(callback)]
    own = [callback for callback in given if isinstance(callback, Callback)]
    if not rays:
        return own
    trainable = getattr(study.trainable, "__name__", type(study.trainable).__name__)
    fixed = {"seed", "split_seed", *dict(study.space.fixed)}
    return [
        *own,
        RayCallbacks(
            rays,
            study.directory,
            checkpoints=str(study.checkpoints),
            trainable=trainable,
            fixed=fixed,
            total=study.total,
        ),
    ]


@dataclass(eq=False)
class LoggedTrial:
    """A trial with the attributes of `ray.tune.experiment.Trial` that callbacks read."""

    trial_id: str
    """The same in each session, and in no other study."""
    index: int
    trainable_name: str
    study: Path
    config: dict[str, Any]
    """Configuration as the trainable was given it."""
    evaluated_params: dict[str, Any]
    """Searched values, with `outer/inner` for nested names."""
    status: str = "PENDING"
    last_result: dict[str, Any] = field(default_factory=dict)
    checkpoint: tune.Checkpoint | None = None
    """The checkpoint that was just saved, while callbacks are told of it; otherwise None: Ray's
    CSV and JSON files would be copied from where it lies onto themselves."""
    node_ip: str = ""
    """Ray's id of the node that the trial has last reported from."""

    @property
    def local_path(self) -> str:
        """Folder that callbacks write to."""
        return str(self.study / "trials" / dirname_of(self.index) / FOLDER)

    path = logdir = local_path

    @property
    def local_experiment_path(self) -> str:
        """Folder of the study."""
        return str(self.study)

    local_dir = remote_experiment_path = local_experiment_path

    @property
    def experiment_dir_name(self) -> str:
        """Name of the study."""
        return self.study.name

    @property
    def experiment_tag(self) -> str:
        """Index and searched values in one text."""
        values = ",".join(f"{name}={short(v)}" for name, v in self.evaluated_params.items())
        return f"{self.index}_{values}"

    @property
    def metric_analysis(self) -> dict[str, Any]:
        """Nothing: the study's journal has all values."""
        return {}

    def init_local_path(self) -> None:
        """Make the folder that callbacks write to."""
        Path(self.local_path).mkdir(parents=True, exist_ok=True)

    def get_ray_actor_ip(self) -> str:
        """Return `node_ip`."""
        return self.node_ip

    def is_finished(self) -> bool:
        """Return whether the trial has ended."""
        return self.status in ("TERMINATED", "ERROR")

    def has_checkpoint(self) -> bool:
        """Return whether callbacks are being told of a checkpoint."""
        return self.checkpoint is not None

    def __str__(self) -> str:
        return f"{self.trainable_name}_{self.trial_id}"

    __repr__ = __str__


class RayCallbacks(Callback):
    """Passes the events of a study to callbacks of Ray's.

    An epoch is passed once: neither again after a resume, nor when a trial that has lost it trains
    it again. An epoch that a callback lacked when the driver was killed is never passed.

    Args:
        callbacks: callbacks of Ray's.
        study: folder of the study.
        checkpoints: address of the trials' checkpoints.
        trainable: name of the trainable.
        fixed: names of what the space holds fixed.
        total: trials of the study.
    """

    def __init__(
        self,
        callbacks: Sequence[object],
        study: Path,
        *,
        checkpoints: str,
        trainable: str,
        fixed: set[str],
        total: int,
    ) -> None:
        self._callbacks = callbacks
        self._study = study.absolute()
        self._checkpoints = checkpoints
        self._trainable = trainable
        self._fixed = fixed
        self._total = total
        self._prefix = ""
        self._told: dict[int, Epoch] = {}
        """Last epoch that callbacks were told, by trial."""
        self._trials: dict[int, LoggedTrial] = {}
        """Trials of this session."""
        self._running: set[int] = set()
        """Trials that callbacks were told have started, and not that they have ended."""
        self._results = 0

    def on_event(self, event: Event, state: StudyState, replay: bool) -> None:
        """Tell of starts, results, checkpoints and ends."""
        if isinstance(event, Session):
            self._session(event, replay)
        elif isinstance(event, Closed) and not replay:
            self._call_all("on_experiment_end", trials=[*self._trials.values()])
        elif isinstance(event, TrialEvent):
            index = event.trial
            if replay:
                if isinstance(event, Result):
                    self._told[index] = max(event.epoch, self._told.get(index, 0))
            elif not isinstance(event, Suggested):
                self._tell(event, state)

    def _session(self, session: Session, replay: bool) -> None:
        # Of the first session: the same in each later one.
        began = f"{self._study.name} {session.time}"
        self._prefix = self._prefix or f"{zlib.crc32(began.encode()):08x}"
        if not replay:
            self._call_all(
                "setup", stop=None, num_samples=self._total, total_num_samples=self._total
            )

    def _tell(self, event: TrialEvent, state: StudyState) -> None:
        trial = self._trial(event.trial, state)
        if isinstance(event, (Started, Promoted)):
            self._start(trial)
        elif isinstance(event, Restored):
            self._call("on_trial_restore", trial)
        elif isinstance(event, Retried):
            self._call("on_trial_recover", trial)
        elif isinstance(event, Exploited):
            trial.config = nested(state.trials[event.trial].config_at(event.epoch + 1))
        elif isinstance(event, Result):
            self._result(event, trial, state)
        elif isinstance(event, SavedCheckpoint):
            trial.checkpoint = tune.Checkpoint(
                f"{self._checkpoints}/{event.path.partition('/')[2]}"
            )
            self._call("on_trial_save", trial)
            self._call("on_checkpoint", trial, checkpoint=trial.checkpoint)
            trial.checkpoint = None
        elif isinstance(event, Ended):
            self._started(trial)
            self._running.discard(event.trial)
            trial.status = "ERROR" if event.failed else "TERMINATED"
            self._call("on_trial_error" if event.failed else "on_trial_complete", trial)

    def _trial(self, index: int, state: StudyState) -> LoggedTrial:
        if index not in self._trials:
            record = state.trials[index]
            searched = {n: v for n, v in flattened(record.config).items() if n not in self._fixed}
            self._trials[index] = LoggedTrial(
                trial_id=f"{self._prefix}_{index:05d}",
                index=index,
                trainable_name=self._trainable,
                study=self._study,
                config=nested(record.config_at(record.epochs + 1)),
                evaluated_params=searched,
            )
        return self._trials[index]

    def _start(self, trial: LoggedTrial) -> None:
        trial.init_local_path()
        trial.status = "RUNNING"
        self._running.add(trial.index)
        self._call("on_trial_start", trial)

    def _started(self, trial: LoggedTrial) -> None:
        """Start a trial that this session has not started, such as one that only goes on."""
        if trial.index not in self._running:
            self._start(trial)

    def _result(self, event: Result, trial: LoggedTrial, state: StudyState) -> None:
        if event.epoch <= self._told.get(event.trial, 0):
            return
        self._told[event.trial] = event.epoch
        self._started(trial)
        self._results += 1
        trial.node_ip = event.node or ""
        record = state.trials[event.trial]
        trial.last_result = {
            **{name: float("nan") if v is None else v for name, v in event.metrics.items()},
            "training_iteration": record.step(event.epoch),
            "time_total_s": record.seconds,
            "timestamp": int(event.time or 0),
            "trial_id": trial.trial_id,
            "experiment_tag": trial.experiment_tag,
            "config": trial.config,
            "done": False,
        }
        self._call("on_trial_result", trial, result=dict(trial.last_result))

    def _call(self, method: str, trial: LoggedTrial, **more: Any) -> None:
        trials = [*self._trials.values()]
        self._call_all(method, iteration=self._results, trials=trials, trial=trial, **more)

    def _call_all(self, method: str, **arguments: Any) -> None:
        for callback in self._callbacks:
            if hasattr(callback, method):
                getattr(callback, method)(**arguments)
