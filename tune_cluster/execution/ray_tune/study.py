"""A study: its directory, its parts, and the Tuner that Tune runs."""

from __future__ import annotations

import inspect
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from ray import tune

from search_spaces.objective import StudySpec
from search_spaces.space import Space
from search_spaces.trial_events import Event
from tune_cluster.callbacks.stopping import CONDITION, Limits, StudyStopper
from tune_cluster.cluster.capacity import Cluster, TrialSlots
from tune_cluster.cluster.nodes import Inspection, JoiningNodes
from tune_cluster.execution.baselines import known_baselines
from tune_cluster.execution.options import DEFAULT_TRIALS, Options
from tune_cluster.execution.process_losses import LostProcesses
from tune_cluster.execution.ray_tune.capabilities import can_resume, name_of, reuses_processes
from tune_cluster.execution.ray_tune.compat import NoProgress, wrap_function
from tune_cluster.execution.ray_tune.recorder import NoReports, Recorder, TuneStopper
from tune_cluster.execution.ray_tune.restart import RestartingScheduler
from tune_cluster.execution.ray_tune.searcher import Strategies, TrialSource
from tune_cluster.execution.ray_tune.settings import TUNE_FOLDER
from tune_cluster.execution.ray_tune.stop_conditions import StopConditions
from tune_cluster.execution.ray_tune.trainable import job_directory, tune_trainable
from tune_cluster.execution.sending import check_sendable
from tune_cluster.execution.start_points import learned_start_points
from tune_cluster.execution.tuner import Tuner
from tune_cluster.execution.validation import check_points
from tune_cluster.storage.append_only import HeldFile
from tune_cluster.storage.inside import make_private, opened
from tune_cluster.storage.quota import Quota, parse_bytes
from tune_cluster.storage.retry import StorageRetry
from tune_cluster.storage.s3 import S3Store
from tune_cluster.storage.store import LocalStore
from tune_cluster.study.baselines import Baselines
from tune_cluster.study.directory import StudyDirectory
from tune_cluster.study.earlier import earlier_trials
from tune_cluster.study.events import NodeRefused, Session, SlotsChanged
from tune_cluster.study.journal import JOURNAL, EventStream, Journal, Listener, read_journal
from tune_cluster.study.state import StudyState
from tune_cluster.study.study_file import check_unchanged, write_study_file
from tune_cluster.trial.failures import LOST_PROCESS_RETRIES
from tune_cluster.trial.messages import TrialSettings
from tune_cluster.trial.process import trial_seed


class Study:
    """One study, new or resumed, complete once it is built; before `open` it writes nothing.

    Args:
        directory: `<storage-path>/<name>`, or this machine's copy of it; created by `open`.
        tuner: parts of the study.
        options: shared options, settled by the Tuner.
        max_concurrent: trials at once when it begins.
        bucket: bucket of the study, if any.
        cluster: cluster that was found; None if the study has started one of its own.
        inspection: check of its nodes, if others may join later.
        lock: lock of the directory; without it `open` takes it.
        gpu_notice: notice about the GPUs; may be empty.

    Raises:
        ValueError: trainable, space, searcher and scheduler are not compatible, or differ from the
            start of the study.
    """

    def __init__(
        self,
        directory: Path,
        tuner: Tuner,
        options: Options,
        *,
        max_concurrent: int,
        bucket: S3Store | None = None,
        cluster: Cluster | None = None,
        inspection: Inspection | None = None,
        lock: HeldFile | None = None,
        gpu_notice: str = "",
    ) -> None:
        self._lock = lock
        self.directory = directory
        self.bucket = bucket
        self.options = options
        self.max_concurrent = max_concurrent
        asked = options.checkpoint_budget
        self.quota = None if asked is None else Quota(parse_bytes(asked))
        """Quota of all checkpoints, in bytes."""
        self.trainable: Any = tuner.trainable
        self.dataset = tuner.dataset
        self.inputs = dict(tuner.inputs)
        """Fingerprints of other inputs of the trials, which must be the same in a resume."""
        self.objective = tuner.objective
        self.metric, self.mode = self.objective.metric, self.objective.mode
        check_sendable(self.trainable)
        self.trainable_name = name_of(self.trainable)
        """Name by which a resume identifies it."""
        check_unchanged(directory, trainable=self.trainable_name)
        found = tuner.strategies(options)
        self.searcher, self.scheduler = found.searcher, found.scheduler
        self.notes = [*tuner.differences, *found.notes]
        """Sentences on what of Ray Tune's was translated or adapted."""
        if self.not_resumable and options.resume_or_start:
            raise ValueError(f"--resume-or-start: {self.not_resumable}; leave the flag out")
        if self.not_resumable and options.resume is not None:
            raise ValueError(f"--resume {options.resume}: {self.not_resumable}; start a new study")
        of_data = "" if self.dataset is None else self.dataset.notice
        self.notices = [notice for notice in (of_data, gpu_notice) if notice]
        """Notices that are shown to the user first."""
        self.total = self._trials()
        """Number of trials of the study; fewer if the searcher has no more."""
        # A script may give its scheduler another number than the flag; its last rung counts.
        self.max_epochs = self.scheduler.max_epochs or options.epochs
        """Epochs of a trial that is not stopped."""
        check_points(self.trainable, self.space, self.dataset, options)
        StudySpec(
            objective=self.objective,
            trials=self.total,
            searcher=self.searcher,
            scheduler=self.scheduler,
            trainable=getattr(self.trainable, "__name__", type(self.trainable).__name__),
            continues=can_resume(self.trainable),
        ).check()
        check_unchanged(
            directory,
            space=self.space.describe(),
            strategy=self.describe_strategy(),
            points=self.searcher.size,
        )
        journal = directory / JOURNAL
        self.events: list[Event] = []
        """Events of earlier sessions."""
        self.state = StudyState(self.objective)
        if os.path.lexists(journal):
            self.events, self.state = read_journal(journal, self.objective)
        self.trials = self.state.trials
        """All trials by index."""
        limits = {limit.name: getattr(options, limit.name) for limit in fields(Limits)}
        self.stopper = StudyStopper(Limits(**limits), self.state)
        self._conditions = StopConditions(tuner.run_config.stop, self.stopper, self.state)
        self.checkpoints = StudyDirectory(directory, bucket).checkpoints
        """Store of the checkpoints, in which each trial has a folder of its own."""
        self.retry = StorageRetry(
            LocalStore(self.trials_dir), give_up=self.stopper.gives_up_storage
        )
        """Retries of the driver: it waits for storage until it is interrupted, or gives up."""
        self._decided: list[Event] = []
        """Events that are decided already and written by `open`."""
        warm_start = tuner.tune_config.warm_start
        if self.searcher.learns and warm_start is not None and not self.events:
            self._decided += earlier_trials(str(warm_start), self.objective)
        if options.learn_from is not None and not self.events:
            learned = learned_start_points(
                options.learn_from,
                self.searcher,
                trainable=self.trainable_name,
                objective=self.objective,
                trials=self.total,
            )
            self._decided += learned.points
            self.notes += learned.notes
        # The consequences of earlier sessions must be known by now.
        known = [*self.events, *self._decided]
        self._strategies = Strategies(self.searcher, self.scheduler, self.state, known)
        self._decided += self._strategies.missing
        self._journal: Journal | None = None
        self._session: Session | None = None
        self._stream: EventStream | None = None
        self._joining: JoiningNodes | None = None
        size = (options.cpus_per_trial, options.gpus_per_trial)
        if inspection is not None:
            self._joining = JoiningNodes(
                inspection,
                *size,
                directory / TUNE_FOLDER,
                on_refused=lambda node, reasons: self.emit(
                    NodeRefused(node=node[:8], reasons=list(reasons))
                ),
                on_none_left=self.stopper.no_node_left,
            )
        self._slots: TrialSlots | None = None
        # A quota is divided by the number of trials that run at once.
        fixed = options.max_concurrent is not None or self.quota is not None
        if cluster is not None and self._joining is not None and not fixed:
            self._slots = TrialSlots(
                cluster,
                *size,
                on_change=lambda before, now: self.emit(SlotsChanged(trials=now)),
                look=self._joining.nodes,
            )
        self._losses = LostProcesses(self._slots or (lambda: self.max_concurrent), self.emit)
        self._recorder = Recorder(
            self.emit,
            self.state,
            self.checkpoints,
            scheduler=self.scheduler,
            searcher=self.searcher,
            conditions=self._conditions,
            sequential=self.sequential,
            retry=self.retry,
            quota=self.quota,
        )
        self.tune_scheduler = RestartingScheduler(
            self.scheduler, self._recorder, self._losses, self._joining
        )
        source = TrialSource(
            self.searcher,
            self.scheduler,
            self.state,
            trials=self.total,
            emit=self.emit,
            promote=self._recorder.on_promotion,
            seed=self._seed_in_config,
            later=self.tune_scheduler.suggest_later,
        )
        synchronous = self.scheduler.synchronous
        self.tune_config = tune.TuneConfig(
            metric=self.metric,
            mode=self.mode,
            # The searcher ends the study: only at the end the number of promotions is known, each
            # of which is a trial to Tune; and where all trials run or wait at once, Tune would end
            # each process as it becomes free if it counted them.
            num_samples=-1 if self.scheduler.promotes else self.total + synchronous,
            search_alg=source,
            scheduler=self.tune_scheduler,
            # The searcher limits the trials at once: Tune could not change the number later.
            reuse_actors=reuses_processes(self.trainable, tuner.tune_config.reuse_actors),
            trial_dirname_creator=source.dirname_creator(),
        )
        self.run_config = tune.RunConfig(
            # Tune's own files are never read; Tune prints nothing.
            name=TUNE_FOLDER,
            storage_path=str(directory.absolute()),
            callbacks=[self._recorder, NoProgress()],
            progress_reporter=NoReports(),
            stop=TuneStopper(
                self.stopper, self._conditions, self.max_epochs, source.indices.__getitem__
            ),
            failure_config=tune.FailureConfig(max_failures=LOST_PROCESS_RETRIES),
            # The runner of the trial writes them, before it reports.
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            verbose=0,
        )

    def _trials(self) -> int:
        asked, size = self.options.trials, self.searcher.size
        if size is not None:
            return size if asked is None else min(asked, size)
        return asked or self.scheduler.default_trials or DEFAULT_TRIALS

    @property
    def complete(self) -> bool:
        """Whether no trial is left to be run or to continue."""
        total = len(self.trials) if self.searcher.ended else self.total
        return self.state.ended >= total and self.scheduler.next_promotion() is None

    @property
    def ending(self) -> str:
        """Why it has ended, once it has."""
        return self.stopper.why or self.searcher.ended or "all trials"

    @property
    def over(self) -> bool:
        """Whether it has reached its last trial, or a limit."""
        limits = {limit.name.replace("_", " ") for limit in fields(Limits)}
        return self.complete or self.stopper.why in {*limits, CONDITION}

    @property
    def sequential(self) -> bool:
        """Whether trials run one at a time, whatever nodes join."""
        return self.max_concurrent == 1 and self._slots is None

    @property
    def trials_dir(self) -> Path:
        """Folder of the trials' directories."""
        return self.directory / "trials"

    @property
    def space(self) -> Space:
        """Search space."""
        return self.searcher.space

    @property
    def not_searched(self) -> set[str]:
        """Names in a configuration that are no hyperparameters of the space."""
        fixed = {"seed", "split_seed", *dict(self.space.fixed)}
        return fixed - {parameter.name for parameter in self.space.parameters}

    @property
    def not_resumable(self) -> str:
        """Reason why the study can be neither resumed nor extended; empty if it can."""
        return self.scheduler.not_resumable or self.searcher.not_resumable

    def describe_strategy(self) -> dict[str, object]:
        """Return searcher and scheduler as plain JSON, for `study.json`."""
        return {**self.searcher.describe(), **self.scheduler.describe()}

    @cached_property
    def baselines(self) -> Baselines:
        """Scores of simple predictors on the validation set, by name; none for a study that follows
        another one, whose trials may have other validation sets."""
        data = None if self.searcher.follows_study else self.dataset
        return known_baselines(self.directory, self.trainable, data)

    @cached_property
    def trainable_class(self) -> type[tune.Trainable]:
        """The trainable as a class of Tune's, with its data in the object store."""
        with_data = self.trainable
        if self.dataset is not None:
            with_data = tune.with_parameters(with_data, data=self.dataset.search)
        as_class: Any = with_data if inspect.isclass(with_data) else wrap_function(with_data)
        return cast(type[tune.Trainable], as_class)

    def as_tune(self) -> tune.Tuner:
        """Return the Tuner that Tune runs: the trainable in a runner, and the resources of a trial.

        Raises:
            ValueError: a folder of another user in place of Tune's cannot be removed.
        """
        # Tune would follow links in it.
        make_private(self.directory, self.directory / TUNE_FOLDER)
        resumed = self.bucket is not None and self.events
        reported = {t.index: t.epochs for t in self.trials.values()} if resumed else None
        settings = TrialSettings(
            self.objective,
            str(self.checkpoints),
            seed=self.options.seed,
            sequential=self.sequential,
            quota=self.quota,
            in_bucket=self.bucket is not None,
            journaled_epochs=reported,
            origins=self.searcher.origins,
            working_directory=job_directory(),
            admission=self._joining.admission().problems if self._joining else None,
        )
        resources = {"cpu": self.options.cpus_per_trial, "gpu": self.options.gpus_per_trial}
        return tune.Tuner(
            tune.with_resources(tune_trainable(self.trainable_class, settings), resources),
            tune_config=self.tune_config,
            run_config=self.run_config,
        )

    def _seed_in_config(self, index: int) -> int | None:
        takes_seed = getattr(self.trainable, "takes_seed", False)
        return trial_seed(self.options.seed, index) if takes_seed else None

    def open(self, description: Mapping[str, Any], command: Sequence[str]) -> None:
        """Create the directory with its `study.json`, or open the existing one.

        Raises:
            ValueError: another process runs the study.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        with opened(self.directory, self.trials_dir, make=True):
            pass
        self._journal = Journal(
            self.directory / JOURNAL, self.retry, on_lost=self.stopper.storage_lost, held=self._lock
        )
        write_study_file(self.directory, description, self.retry)
        session = Session(command=list(command), resumed=bool(self.events), notices=self.notices)
        # The state includes these decisions already.
        written, *self._decided = self._journal.append(session, *self._decided)
        self._session = replace(session, time=written.time)

    def begin(self, listeners: Sequence[Listener] = ()) -> None:
        """Replay earlier sessions to the listeners, report that this one has begun, and pass on all
        events from here on, after the study's own listeners.

        Raises:
            StorageLostError: a listener's file cannot be read.
        """
        assert self._journal is not None, "the study is not open"
        assert self._session is not None
        own = [self.stopper, self._conditions, self._losses, self._strategies]
        self._stream = EventStream(self._journal, self.state, [*own, *listeners])
        self._stream.begin(self.events, self._session, self._decided)

    def emit(self, *events: Event) -> None:
        """Write events, and pass them to all listeners."""
        assert self._stream is not None, "the study has not begun"
        self._stream.emit(*events)

    def close(self, why: str) -> None:
        """End the session; the listeners first, so that their files are complete.

        Raises:
            StorageLostError: the journal, or a listener's file, ends before the session does.
        """
        # One that has lost the storage must not keep the others open.
        with ExitStack() as closing:
            closing.callback(shutil.rmtree, self.directory / TUNE_FOLDER, ignore_errors=True)
            assert self._stream is not None, "the study has not begun"
            closing.callback(self._stream.close, why)
