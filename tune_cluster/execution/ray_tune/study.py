"""A study: its directory, and what a job needs of it to build a `tune.Tuner`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import Any

from ray import tune

from search_spaces.objective import Mode, Objective, StudySpec
from search_spaces.schedulers.base import StudyScheduler
from search_spaces.searchers.base import StudySearcher
from search_spaces.space import Space
from search_spaces.trial_events import Event
from tune_cluster.callbacks.stopping import Limits, StudyStopper
from tune_cluster.cluster.capacity import Cluster, TrialSlots
from tune_cluster.cluster.nodes import Inspection, JoiningNodes
from tune_cluster.execution.dataset import Dataset
from tune_cluster.execution.options import TRIALS, Options
from tune_cluster.execution.parts import Parts, Trainable
from tune_cluster.execution.process_losses import LostProcesses
from tune_cluster.execution.ray_tune.capabilities import can_resume
from tune_cluster.execution.ray_tune.compat import NoProgress
from tune_cluster.execution.ray_tune.recorder import Recorder, TuneStopper
from tune_cluster.execution.ray_tune.restart import RestartingScheduler
from tune_cluster.execution.ray_tune.searcher import TrialSource
from tune_cluster.execution.ray_tune.strategies import Strategies
from tune_cluster.execution.ray_tune.trainable import job_directory, tune_trainable
from tune_cluster.execution.tuner import Tuner
from tune_cluster.execution.validation import check_sendable
from tune_cluster.storage.append_only import HeldFile
from tune_cluster.storage.inside import make_private, opened
from tune_cluster.storage.quota import Quota, parse_bytes
from tune_cluster.storage.retry import StorageRetry
from tune_cluster.storage.s3 import S3Store
from tune_cluster.storage.store import LocalStore
from tune_cluster.study.directory import StudyDirectory
from tune_cluster.study.events import NodeRefused, Session, WidthChanged
from tune_cluster.study.journal import JOURNAL, Journal, read_journal
from tune_cluster.study.state import StudyState
from tune_cluster.study.stored import earlier_trials
from tune_cluster.study.stream import EventStream, Listener
from tune_cluster.study.study_file import check_unchanged, write_study_file
from tune_cluster.trial.failures import LOST_PROCESSES
from tune_cluster.trial.messages import TrialSettings
from tune_cluster.trial.process import trial_seed

TUNE_FOLDER = ".tune"
"""What Tune writes for its own restore, pickles among it, while a study runs."""


class Study:
    """One study, new or resumed; `build` makes what Tune runs of a `Tuner`.

    Args:
        directory: `<storage-path>/<name>`, or this machine's copy of it; made by `open`.
        options: the shared options.
        max_concurrent: trials at once, as it begins.
        metric, mode: what is searched for.
        bucket: that the study lies in, if it does.
        cluster: as it was found; None where the study has one of its own.
        inspection: of its nodes, where others may join later.
        lock: of the directory; without it `open` takes it.
    """

    def __init__(
        self,
        directory: Path,
        options: Options,
        *,
        max_concurrent: int,
        metric: str,
        mode: Mode,
        bucket: S3Store | None = None,
        cluster: Cluster | None = None,
        inspection: Inspection | None = None,
        lock: HeldFile | None = None,
    ) -> None:
        self._lock = lock
        self.directory = directory
        self.bucket = bucket
        self.options = options
        self.max_concurrent = max_concurrent
        asked = options.checkpoint_budget
        self.quota = None if asked is None else Quota(parse_bytes(asked))
        """Of all checkpoints, in bytes."""
        self.metric = metric
        self.mode = mode
        self.objective = Objective(metric, mode)
        self.parts = Parts()
        self.total = TRIALS if options.trials is None else options.trials
        """Trials that the study shall have; fewer where the strategy has no more."""
        self.max_epochs = options.epochs
        """Epochs of a trial that is not stopped."""
        journal = directory / JOURNAL
        self.events: list[Event] = []
        """Of earlier sessions."""
        self.state = StudyState(self.objective)
        if os.path.lexists(journal):
            self.events, self.state = read_journal(journal, self.objective)
        self.trials = self.state.trials
        """All trials by index."""
        limits = {limit.name: getattr(options, limit.name) for limit in fields(Limits)}
        self.stopper = StudyStopper(Limits(**limits), self.state)
        size = (options.cpus_per_trial, options.gpus_per_trial)
        self._joining: JoiningNodes | None = None
        if inspection is not None:
            self._joining = JoiningNodes(
                inspection,
                *size,
                directory / TUNE_FOLDER,
                on_refused=self._note_refused,
                on_none_left=self.stopper.no_node_left,
            )
        self._slots: TrialSlots | None = None
        # A quota is divided by the trials that run at once.
        fixed = options.max_concurrent is not None or self.quota is not None
        if cluster is not None and self._joining is not None and not fixed:
            self._slots = TrialSlots(
                cluster, *size, on_change=self._note_slots, look=self._joining.nodes
            )
        self.losses = LostProcesses(self._slots or (lambda: self.max_concurrent), self.emit)
        """Of trials' processes; they say how many trials may run at once."""
        self.stream = EventStream(lambda: self.journal, self.state, [self.stopper, self.losses])
        self._journal: Journal | None = None
        self.checkpoints = StudyDirectory(directory, bucket).checkpoints
        """Where the trials' checkpoints lie, each trial's in a folder of its own."""
        self.retry = StorageRetry(
            LocalStore(self.trials_dir), give_up=self.stopper.gives_up_storage
        )
        """Of the driver: it waits for storage until it is interrupted, or has waited in vain."""
        self.recorder = Recorder(
            self.stream,
            self.checkpoints,
            sequential=self.alone,
            retry=self.retry,
            quota=self.quota,
        )
        self.inputs: dict[str, str] = {}
        """Fingerprints of what else the trials depend on, which a resume must find again."""
        self.learned = ""
        """What was taken over from an earlier study, for a person to read."""
        self._decided: list[Event] = []
        """What `open` writes, since it became known before."""
        self._strategies: Strategies | None = None
        """Known from `tune_config` on."""

    @property
    def alone(self) -> bool:
        """Whether trials run one at a time, whatever nodes join."""
        return self.max_concurrent == 1 and self._slots is None

    @property
    def trials_dir(self) -> Path:
        """Where each trial has its directory."""
        return self.directory / "trials"

    @property
    def space(self) -> Space:
        """Known from `tune_config` on."""
        assert self.parts.strategy is not None, "the job has not called study.tune_config()"
        return self.parts.strategy.space

    @property
    def not_searched(self) -> set[str]:
        """What a configuration has, and no hyperparameter of the space."""
        fixed = {"seed", *dict(self.space.fixed)}
        return fixed - {parameter.name for parameter in self.space.parameters}

    @property
    def journal(self) -> Journal:
        """Open from `open` to `close`."""
        assert self._journal is not None, "the study is not open"
        return self._journal

    def build(self, tuner: Tuner) -> tune.Tuner:
        """What Tune runs, of a study's Tuner.

        Raises:
            ValueError: its trainable, space, searcher and scheduler do not go together.
        """
        self.inputs.update(tuner.inputs)
        # First the trainable: it says which rung rule there can be.
        return tune.Tuner(
            self.trainable(tuner.trainable, tuner.dataset),
            tune_config=self.tune_config(
                tuner.searcher(self.options.seed),
                tuner.tune_config.scheduler,
                warm_start=tuner.tune_config.warm_start,
            ),
            run_config=self.run_config(),
        )

    def trainable(
        self, trainable: Trainable, dataset: Dataset | None = None
    ) -> type[tune.Trainable]:
        """The class that Tune runs: a runner around it, and with the resources of a trial.

        A function that calls `tune.report(metrics)` once an epoch will do. To be gone on with after
        a kill it reports `checkpoint=` too and begins with `tune.get_checkpoint()`; else it starts
        from its beginning. A trial ends after `max_epochs` at the latest. With a dataset
        `setup(config, data=dataset.search)` or `function(config, data=…)` is called; the data is
        put into the object store once.

        Raises:
            ValueError: no trial can be made of it, or it cannot be sent to a trial's process.
        """
        check_sendable(trainable)
        self.parts.trainable, self.parts.dataset = trainable, dataset
        check_unchanged(self.directory, trainable=self.parts.trainable_name())
        self.parts.check(self.options)
        resumed = self.bucket is not None and self.events
        reported = {t.index: t.epochs for t in self.trials.values()} if resumed else None
        settings = TrialSettings(
            Objective(self.metric, self.mode),
            str(self.checkpoints),
            seed=self.options.seed,
            sequential=self.alone,
            quota=self.quota,
            in_bucket=self.bucket is not None,
            journaled_epochs=reported,
            working_directory=job_directory(),
            admission=self._joining.admission().harms if self._joining else None,
        )
        resources = {"cpu": self.options.cpus_per_trial, "gpu": self.options.gpus_per_trial}
        return tune.with_resources(tune_trainable(self.parts.as_class(), settings), resources)  # type: ignore[no-any-return]

    def tune_config(
        self,
        searcher: StudySearcher,
        scheduler: StudyScheduler | None = None,
        *,
        warm_start: Path | None = None,
    ) -> tune.TuneConfig:
        """How Tune searches: by `searcher`, stopping trials early or changing them by `scheduler`.

        Both are told what earlier sessions had. `searcher` is told the trials of the study in
        `warm_start`, for which it must be one that learns.

        Raises:
            ValueError: a searcher or scheduler of others, a hyperparameter whose name is taken, or
                what does not go together.
        """
        scheduler = scheduler or StudyScheduler()
        self.parts.strategy, self.parts.scheduler = searcher, scheduler
        if self.options.resume is not None and self.parts.not_resumable:
            raise ValueError(
                f"--resume {self.options.resume}: {self.parts.not_resumable}; start a new study"
            )
        if scheduler.max_epochs is not None:
            # A script may give it others than the flag says, and its last rung is that one.
            self.max_epochs = scheduler.max_epochs
        if scheduler.default_trials is not None and self.options.trials is None:
            self.total = scheduler.default_trials
        if searcher.size is not None:
            asked = self.options.trials
            self.total = searcher.size if asked is None else min(asked, searcher.size)
        self.parts.check(self.options)
        trainable = self.parts.trainable
        StudySpec(
            objective=self.objective,
            trials=self.total,
            searcher=searcher,
            scheduler=scheduler,
            trainable=getattr(trainable, "__name__", type(trainable).__name__),
            continues=trainable is None or can_resume(trainable),
        ).check()
        check_unchanged(
            self.directory,
            space=self.space.describe(),
            strategy=self.parts.describe_strategy(),
            points=self.parts.points,
        )
        if searcher.learns and warm_start is not None and not self.events:
            self._decided += earlier_trials(warm_start, self.objective)
        known = [*self.events, *self._decided]
        self._strategies = Strategies(searcher, scheduler, self.state, known)
        self._decided += self._strategies.missing
        self.learned = searcher.learned
        self.tune_scheduler = RestartingScheduler(
            scheduler, self.recorder, self.losses, self._joining
        )
        self._source = TrialSource(
            searcher,
            scheduler,
            self.state,
            trials=self.total,
            emit=self.emit,
            promote=self.recorder.on_promotion,
            seed=self._seed_in_config,
            later=self.tune_scheduler.suggest_later,
        )
        open_end = scheduler.audit > 0 or scheduler.promotes
        return tune.TuneConfig(
            metric=self.metric,
            mode=self.mode,
            # The source says when it has finished: only then the number of controls and of
            # promotions is known, each of which is a trial to Tune; and where all trials live at
            # once Tune would end each process as it comes free, if it counted them.
            num_samples=-1 if open_end else self.total + scheduler.synchronous,
            search_alg=self._source,
            scheduler=self.tune_scheduler,
            max_concurrent_trials=self.total if scheduler.synchronous else self.max_concurrent,
            reuse_actors=self.parts.reuse_actors(),
            trial_dirname_creator=self._source.dirname_creator(),
        )

    def run_config(self) -> tune.RunConfig:
        """Tune's own files go to `.tune`, where nobody reads them; Tune prints nothing.

        Raises:
            ValueError: the folder that another user has left there cannot be taken away.
        """
        # Tune would follow links in it.
        make_private(self.directory, self.directory / TUNE_FOLDER)
        self.parts.run_config = tune.RunConfig(
            name=TUNE_FOLDER,
            storage_path=str(self.directory.absolute()),
            callbacks=[self.recorder, NoProgress()],
            stop=TuneStopper(self.stopper, self.max_epochs),
            failure_config=tune.FailureConfig(max_failures=LOST_PROCESSES),
            # The runner of the trial writes them, before it reports.
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            verbose=0,
        )
        return self.parts.run_config

    def _seed_in_config(self, index: int) -> int | None:
        takes_seed = getattr(self.parts.trainable, "takes_seed", False)
        return trial_seed(self.options.seed, index) if takes_seed else None

    def open(self, description: Mapping[str, Any], command: Sequence[str]) -> None:
        """Makes the directory with its `study.json`, or takes up the one that is there.

        Raises:
            ValueError: another process runs the study.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        with opened(self.directory, self.trials_dir, make=True):
            pass
        if self._joining is not None:
            self._joining.open()
        self._journal = Journal(
            self.directory / JOURNAL,
            self.retry,
            on_lost=self.stopper.storage_lost,
            held=self._lock,
        )
        write_study_file(self.directory, description, self.retry)
        self._session = Session(
            command=list(command), resumed=bool(self.events), notices=self.parts.notices
        )
        # The state has what was decided.
        self._journal.append(self._session, *self._decided)
        if self._strategies is not None:
            # They were told before: what follows from earlier sessions must be known by now.
            self.stream.listen(self._strategies, (), self._session)

    def listen(self, listener: Listener) -> None:
        """Tell a listener the events of earlier sessions, that this one has begun, and all events
        from here on."""
        self.stream.listen(listener, self.events, self._session)

    def emit(self, *events: Event) -> None:
        """Emit events that are about the study as a whole."""
        self.stream.emit(*events)

    def _note_slots(self, before: int, now: int) -> None:
        self.emit(WidthChanged(trials=now))

    def _note_refused(self, node: str, reasons: Sequence[str]) -> None:
        self.emit(NodeRefused(node=node[:8], reasons=list(reasons)))

    def close(self, why: str) -> None:
        """Ends the session; the listeners first, so that their files are whole.

        Raises:
            StorageLostError: the journal, or a listener's file, ends before the session does.
        """
        # Who has lost the storage keeps none of the others open.
        with ExitStack() as closing:
            closing.callback(shutil.rmtree, self.directory / TUNE_FOLDER, ignore_errors=True)
            closing.callback(self.stream.close, why)
