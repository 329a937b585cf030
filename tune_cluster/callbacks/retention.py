"""Which checkpoints a study keeps: the driver decides, by the journal.

A trial that runs keeps its best and its latest by itself. Of those that have ended stay, in this
order, in which a quota is spent:

1. the best checkpoint of the best trial;
2. the latest of each stopped trial that the scheduler keeps, for another study to continue it;
3. the latest of each stopped trial that the trials still to come may bring among those that are
   promoted, the highest rung and the best rank first;
4. the best of the next best trials, `--keep-best` in all (of a study that searches nothing: all);
5. the latest of the other stopped trials: a study that grows may promote them.

All else is deleted at once. A trial that is promoted when its latest is gone goes on from its best,
or begins anew, and reaches the same values: that costs time, and is printed. The members of a
population run, and so do their donors: nothing of theirs is touched.
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
    CHECKPOINT_PREFIX,
    Checkpoint,
    TrialCheckpoints,
    dirname_of,
)
from tune_cluster.storage.quota import Quota
from tune_cluster.storage.retry import StorageRetry, print_line
from tune_cluster.storage.store import Store
from tune_cluster.study.events import Closed, Session, Unkept
from tune_cluster.study.state import StudyState, TrialState

PARALLEL_READERS = 16
"""Directories read at once as a session begins: to list one in a bucket takes 50 ms."""


@dataclass
class Kept:
    """The checkpoints that are left of a trial that has ended."""

    sizes: dict[str, int]
    """Bytes by name."""
    best: list[str]
    """The best one, if any can be read."""
    latest: list[str]
    """The newest that can be read, and what is newer, which may be readable later."""


class Retention(Callback):
    """Deletes the checkpoints that a study needs no more.

    The cost of an event does not grow with the trials that have ended; with a quota, it grows with
    those that it has room for.

    Args:
        state: of the study.
        checkpoints: where the checkpoints of all trials lie.
        keep_best: trials whose best checkpoint stays; None for all.
        scheduler: of the study: which of the stopped trials may go on.
        total: trials that the study shall have.
        in_bucket: whether the checkpoints are in a bucket.
        quota: bytes, divided; None without a limit.
        retry: of the storage.
        emit: gets an event when the best checkpoint of all has no room.
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
        # The study does not wait for a slow storage.
        self._deleter = ThreadPoolExecutor(1, thread_name_prefix="retention")
        self._deleting: list[Future[None]] = []

    def on_event(self, event: Event, state: StudyState, replay: bool) -> None:
        """Delete what nobody needs any more."""
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
            # From here on its directory is its own.
            self._kept.pop(event.trial, None)
            self._wait()
        elif isinstance(event, Closed):
            self._wait()
            self._deleter.shutdown()

    def _begin(self) -> None:
        """Delete what a killed session has left, before any trial runs."""
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
            # The session before may have allowed more.
            allowance = self._quota.per_trial
            TrialCheckpoints(store, self._mode, self._retry, allowance).make_room(0)

    def _look_at(self, index: int) -> None:
        store = self._checkpoints / dirname_of(index)
        checkpoints = TrialCheckpoints(store, self._mode, self._retry)
        found = self._retry(store.sizes)
        sizes = {name: size for name, size in found.items() if name.startswith(CHECKPOINT_PREFIX)}
        newest = checkpoints.newest_first()
        best = checkpoints.best_of(newest)
        latest = [name for name in sizes if not newest or name >= newest[0].name]
        self._kept[index] = Kept(sizes, [] if best is None else [best.name], latest)

    def _follow_leaders(self) -> None:
        before, self._leaders = self._leaders, self._state.leaders(self._keep_best)
        if before != self._leaders:
            self._settle({*before} ^ {*self._leaders})

    def _settle(self, changed: set[int]) -> None:
        """Delete what is not wanted; without a quota, of the trials that have `changed` alone."""
        if self._quota is None:
            for index in changed & self._kept.keys():
                self._keep(index, self._wanted_of(index))
            return
        self._settle_in(self._quota.ended)
        # The next trial may write as soon as this one is out of its way.
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
        """Trials and the checkpoints that are wanted of them, the most wanted first."""
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
    """Bytes of the largest one that lies there; 0 where none does."""
    with ThreadPoolExecutor(PARALLEL_READERS) as readers:
        sizes = readers.map(lambda i: retry((checkpoints / dirname_of(i)).sizes), trials)
        return max((size for of_one in sizes for size in of_one.values()), default=0)


def _drop_for_sure(store: Store, name: str) -> None:
    """Deletes a checkpoint; an OSError says that its bytes are not free."""
    store.drop(name)
    if name in store.folders():
        raise OSError(errno.EROFS, f"{store / name} cannot be deleted")


def drop_ahead(
    checkpoints: Store, trials: Mapping[int, TrialState], mode: Mode, retry: StorageRetry
) -> None:
    """Deletes checkpoints of epochs that the journal does not have, and prints a line.

    A disk that lost power may keep a trial's checkpoint and lose the lines of the epochs before it:
    a trial that went on from there would never report those epochs. They are trained again. A
    checkpoint is written before its report, so that one of the next report is no sign of a loss.
    In a bucket a checkpoint has what its trial had reported before it.

    Args:
        checkpoints: of all trials, in a file system.
        trials: by index, as the journal has them.
        mode: of the study's metric.
        retry: of the storage, raises StorageLostError.
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
                f"storage: trial {index} has a checkpoint of epoch {ahead[0].epoch}, and the "
                f"journal ends with its epoch {known}: later ones are trained again"
            )


def _is_ahead(checkpoint: Checkpoint, trial: TrialState) -> bool:
    if checkpoint.epoch <= trial.epochs:
        return False
    return trial.ended or checkpoint.iteration > trial.start_epoch + len(trial.results) + 1
