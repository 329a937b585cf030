"""Retention of checkpoints: the driver decides, from the journal, which ones a study keeps.

A running trial keeps its best and its latest checkpoint by itself. Of ended trials these are kept,
in this order, in which a quota is spent:

1. the best checkpoint of the best trial;
2. the latest of each stopped trial that the scheduler keeps for another study to continue;
3. the latest of each stopped trial that trials still to come may promote, the highest rung and the
   best rank first;
4. the best of the next best trials, `--keep-best` in total (all, if the study searches nothing);
5. the latest of the other stopped trials: if the study is extended, they may be promoted.

All others are deleted at once. A trial that is promoted after its latest checkpoint was deleted
resumes from its best one, or restarts, and reaches the same values: this costs time, and is
printed. The checkpoints of running members of a population and of their donors are never deleted.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from search_spaces.objective import Mode
from search_spaces.schedulers.base import StudyScheduler
from search_spaces.trial_events import Ended, EpochsLost, Event, Promoted, Result
from tune_cluster.callbacks.base import Callback
from tune_cluster.storage.checkpoints import (
    Checkpoint,
    TrialCheckpoints,
    checkpoint_sizes,
    dirname_of,
)
from tune_cluster.storage.quota import Quota
from tune_cluster.storage.retry import StorageRetry, print_line
from tune_cluster.storage.store import Store
from tune_cluster.study.events import Closed, Session, Unkept
from tune_cluster.study.state import StudyState, TrialState

PARALLEL_READERS = 16
"""Number of directories read in parallel when a session begins: listing one in a bucket takes
50 ms."""


@dataclass
class Kept:
    """The remaining checkpoints of a trial that has ended."""

    sizes: dict[str, int]
    """Bytes of each checkpoint, by name."""
    best: list[str]
    """Name of the best checkpoint, if any is readable."""
    latest: list[str]
    """Names of the newest readable checkpoint and of newer ones, which may be readable later."""


class Retention(Callback):
    """Deletes the checkpoints that a study no longer needs.

    The cost of an event does not grow with the number of ended trials; with a quota, it grows with
    the number of those that fit into it.

    Args:
        state: state of the study.
        checkpoints: store of the checkpoints of all trials.
        keep_best: number of trials whose best checkpoint is kept; None for all.
        scheduler: scheduler of the study, which knows the stopped trials that may be promoted.
        total: number of trials of the study.
        in_bucket: whether the checkpoints are in a bucket.
        quota: quota in bytes, divided; None for no limit.
        retry: retries of the storage.
        emit: called with an event if the best checkpoint of all does not fit.
    """

    def __init__(
        self,
        state: StudyState,
        checkpoints: Store,
        *,
        keep_best: int | None,
        scheduler: StudyScheduler,
        total: int,
        in_bucket: bool,
        quota: Quota | None,
        retry: StorageRetry,
        emit: Callable[[Event], None],
    ) -> None:
        self._state = state
        self._checkpoints = checkpoints
        self._mode = state.objective.mode
        self._keep_best = keep_best
        self._scheduler = scheduler
        self._total = total
        self._in_bucket = in_bucket
        self._quota = quota
        self._retry = retry
        self._emit = emit
        self._kept: dict[int, Kept] = {}
        self._leaders = state.leaders(keep_best)
        # In a thread, so that the study does not wait for a slow storage.
        self._deleter = ThreadPoolExecutor(1, thread_name_prefix="retention")
        self._deleting: list[Future[None]] = []

    def on_event(self, event: Event, state: StudyState, replay: bool) -> None:
        """Delete the checkpoints that are no longer needed after an event."""
        if replay:
            return
        if isinstance(event, Session):
            self._begin()
        elif isinstance(event, Result):
            best = state.trials[event.trial].best
            if best is not None and best.epoch == event.epoch:
                self._follow_leaders()
        elif isinstance(event, EpochsLost):
            self._follow_leaders()
        elif isinstance(event, Ended):
            self._look_at(event.trial)
            self._settle({event.trial})
        elif isinstance(event, Promoted):
            # From here on the trial manages its directory itself.
            self._kept.pop(event.trial, None)
            self._wait()
        elif isinstance(event, Closed):
            self._wait()
            self._deleter.shutdown()

    def _begin(self) -> None:
        """Delete what a killed session has left behind, before any trial runs."""
        self._retry.wait()
        if not self._in_bucket:
            drop_ahead(self._checkpoints, self._state.trials, self._mode, self._retry)
        with ThreadPoolExecutor(PARALLEL_READERS) as readers:
            list(readers.map(self._take_up, list(self._state.trials.values())))
        self._settle(set(self._kept))

    def _take_up(self, trial: TrialState) -> None:
        store = self._checkpoints / dirname_of(trial.index)
        store.drop_unfinished()
        if trial.ended:
            self._look_at(trial.index)
        elif self._quota is not None:
            # The previous session may have allowed more.
            allowance = self._quota.per_trial
            TrialCheckpoints(store, self._mode, self._retry, allowance).make_room(0)

    def _look_at(self, index: int) -> None:
        store = self._checkpoints / dirname_of(index)
        checkpoints = TrialCheckpoints(store, self._mode, self._retry)
        sizes = self._retry(partial(checkpoint_sizes, store))
        newest = checkpoints.newest_first()
        best = checkpoints.best_of(newest)
        latest = [name for name in sizes if not newest or name >= newest[0].name]
        self._kept[index] = Kept(sizes, [] if best is None else [best.name], latest)

    def _follow_leaders(self) -> None:
        before, self._leaders = self._leaders, self._state.leaders(self._keep_best)
        if before != self._leaders:
            self._settle({*before} ^ {*self._leaders})

    def _settle(self, changed: set[int]) -> None:
        """Delete unwanted checkpoints; without a quota only those of the trials in `changed`."""
        if self._quota is None:
            for index in changed & self._kept.keys():
                self._keep(index, self._wanted_of(index))
            return
        self._settle_in(self._quota.ended)
        # The next trial may write as soon as this one is deleted.
        self._wait()

    def _settle_in(self, room: float) -> None:
        left = room
        wanted: dict[int, set[str]] = {index: set() for index in self._kept}
        for index, names in self._by_priority():
            mine, sizes = wanted[index], self._kept[index].sizes
            needed = sum(sizes[name] for name in names if name not in mine)
            if needed <= left:
                left -= needed
                mine.update(names)
        for index in self._kept.keys() & set(self._leaders[:1]):
            kept = self._kept[index]
            if not wanted[index].issuperset(kept.best):
                needed = sum(kept.sizes[name] for name in kept.best)
                self._emit(Unkept(trial=index, needed=needed, allowed=int(room)))
        for index, kept_names in wanted.items():
            self._keep(index, kept_names)

    def _keep(self, index: int, wanted: set[str]) -> None:
        kept, store = self._kept[index], self._checkpoints / dirname_of(index)
        for name in kept.sizes.keys() - wanted:
            act: Callable[[], None] = partial(store.drop, name)
            if self._quota is not None:
                act = partial(self._retry, partial(_drop_for_sure, store, name))
            self._deleting.append(self._deleter.submit(act))
        kept.sizes = {name: size for name, size in kept.sizes.items() if name in wanted}
        kept.best = [name for name in kept.best if name in wanted]
        kept.latest = [name for name in kept.latest if name in wanted]
        if not kept.sizes:
            del self._kept[index]

    def _wanted_of(self, index: int) -> set[str]:
        trial, kept = self._state.trials[index], self._kept[index]
        best = kept.best if index in self._leaders else []
        stays = trial.status == "stopped" and self._scheduler.promotes
        return {*best, *(kept.latest if stays or self._is_kept(index) else [])}

    def _by_priority(self) -> Iterator[tuple[int, list[str]]]:
        """Yield trials and their wanted checkpoints, the most wanted first."""
        kept = self._kept
        leaders = [index for index in self._leaders if index in kept]
        within, beyond = self._scheduler.may_continue(self._total)
        yield from ((index, kept[index].best) for index in leaders[:1])
        yield from ((index, kept[index].latest) for index in sorted(kept) if self._is_kept(index))
        yield from ((index, kept[index].latest) for index in within if index in kept)
        yield from ((index, kept[index].best) for index in leaders[1:])
        yield from ((index, kept[index].latest) for index in beyond if index in kept)

    def _is_kept(self, index: int) -> bool:
        return self._state.trials[index].status == "stopped" and self._scheduler.keeps(index)

    def _wait(self) -> None:
        deleting, self._deleting = self._deleting, []
        for one in deleting:
            one.result()


def largest_checkpoint(checkpoints: Store, trials: Iterable[int], retry: StorageRetry) -> int:
    """Return the bytes of the largest stored checkpoint; 0 without one."""
    with ThreadPoolExecutor(PARALLEL_READERS) as readers:
        sizes = readers.map(
            lambda i: retry(partial(checkpoint_sizes, checkpoints / dirname_of(i))), trials
        )
        return max((size for of_one in sizes for size in of_one.values()), default=0)


def _drop_for_sure(store: Store, name: str) -> None:
    """Delete a checkpoint; raise an OSError if its bytes are not free afterwards."""
    store.drop(name)
    if name in store.folders():
        raise OSError(errno.EROFS, f"{store / name} cannot be deleted")


def drop_ahead(
    checkpoints: Store, trials: Mapping[int, TrialState], mode: Mode, retry: StorageRetry
) -> None:
    """Delete checkpoints of epochs that are missing in the journal, and print a line.

    A disk that lost power may keep a trial's checkpoint and lose the lines of the epochs before it:
    a trial resumed from it would never report those epochs, so they are trained again. A checkpoint
    is written before its report, so one of the next report is no sign of a loss. In a bucket a
    checkpoint includes the trial's earlier reports.

    Args:
        checkpoints: store of all trials, in a file system.
        trials: trials by index, from the journal.
        mode: mode of the study's metric.
        retry: retries of the storage; raises StorageLostError.
    """
    for name in retry(checkpoints.folders):
        if not name.isdigit() or name != dirname_of(int(name)):
            continue
        index, store = int(name), checkpoints / name
        trial = trials.get(index)
        found = TrialCheckpoints(store, mode, retry).newest_first()
        ahead = [one for one in found if trial is None or _is_ahead(one, trial)]
        for checkpoint in [one.name for one in ahead] if trial else retry(store.folders):
            store.drop(checkpoint)
        if ahead:
            known = 0 if trial is None else trial.epochs
            print_line(
                f"storage: trial {index} has a checkpoint of epoch {ahead[0].epoch}, but the "
                f"journal ends with its epoch {known}: later ones are trained again"
            )


def _is_ahead(checkpoint: Checkpoint, trial: TrialState) -> bool:
    if checkpoint.epoch <= trial.epochs:
        return False
    return trial.ended or checkpoint.iteration > trial.start_epoch + len(trial.results) + 1
