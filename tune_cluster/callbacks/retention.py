"""Which checkpoints a study keeps: the driver decides, from what the journal has told.

A trial that runs keeps its best and its latest by itself. Of those that have ended stay, in this
order, in which a budget is spent:

1. the best checkpoint of the best trial;
2. the latest of each that is to be finished as a control;
3. the latest of each stopped trial that the trials still to come may bring among those that are
   promoted, the highest rung and the best rank first;
4. the best of the next best trials, `--keep-best` in all (of a study that searches nothing: all);
5. the latest of the other stopped trials: a study that grows may promote them.

All else is deleted, as soon as that is known. A trial that is promoted when its latest is gone goes
on from its best, or begins anew, and reaches the same values: that costs time, and is told. A
population's donors run, and so do its members: nothing of theirs is touched.
"""

from __future__ import annotations

import errno
import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from rich.filesize import decimal

from search_spaces.mode import Mode, sign_of
from tune_cluster.execution.controls import control_dirname
from tune_cluster.execution.parts import Parts
from tune_cluster.execution.ray_tune.searcher import dirname_of
from tune_cluster.storage.checkpoints import PREFIX, TrialCheckpoints
from tune_cluster.storage.quota import Budget
from tune_cluster.storage.retry import StorageRetry
from tune_cluster.storage.store import Store
from tune_cluster.study.journal import Event, TrialRecord

READERS = 16
"""Directories looked at together as a session begins: a look at a bucket takes 50 ms."""


@dataclass
class Held:
    """The checkpoints of a trial that has ended."""

    sizes: dict[str, int]
    """Bytes by name."""
    best: list[str]
    """The best one, if any can be read."""
    latest: list[str]
    """The newest that can be read, and what is newer: perhaps it only could not be read now."""


class Retention:
    """Listens to the events of a study, and deletes.

    Args:
        trials: by index, kept up to date by the recorder.
        checkpoints: the place of all trials' checkpoints.
        metric, mode: of the study.
        keep_best: trials whose best checkpoint stays; None for all.
        parts: of the study, for its rungs.
        total: trials that the study shall have.
        budget: bytes, divided; None without a limit.
        retry: of the storage.
    """

    def __init__(
        self,
        trials: Mapping[int, TrialRecord],
        checkpoints: Store,
        *,
        metric: str,
        mode: Mode,
        keep_best: int | None,
        parts: Parts,
        total: int,
        budget: Budget | None,
        retry: StorageRetry,
    ) -> None:
        self._trials = trials
        self._place = checkpoints
        self._metric = metric
        self._mode = mode
        self._keep_best = keep_best
        self._parts = parts
        self._total = total
        self._budget = budget
        self._retry = retry
        self.note: Callable[[Event, str], None] = lambda event, line: None
        """Told when the best checkpoint of all has no room, for the journal and for a person."""
        self._held: dict[int, Held] = {}
        self._values = {
            index: best[1] for index, trial in trials.items() if (best := trial.best(metric, mode))
        }
        self._leaders = self._best_trials()
        # Deleting may be slow, and is no reason for the study to wait.
        self._deleter = ThreadPoolExecutor(1, thread_name_prefix="retention")
        self._deleting: list[Future[None]] = []

    def begin(self) -> None:
        """Deletes what a killed session has left, before any trial runs.

        Raises:
            StorageLostError: the storage failed, and did not come back.
        """
        self._retry.wait()
        with ThreadPoolExecutor(READERS) as readers:
            list(readers.map(self._take_up, list(self._trials.values())))
        self._settle()

    def on_event(self, event: Event, trial: TrialRecord) -> None:
        """Deletes what nobody needs any more."""
        kind = event["event"]
        if kind == "result":
            self._note(trial.index, event["metrics"].get(self._metric))
        elif kind == "epochs_lost":
            self._values.pop(trial.index, None)
            best = trial.best(self._metric, self._mode)
            self._note(trial.index, None if best is None else best[1])
        elif kind == "ended":
            self._hold(trial.index)
            self._settle()
        elif kind == "control_ended":
            control = self._place / control_dirname(trial.index)
            self._delete(control, TrialCheckpoints(control, self._mode).names())
            self._settle()
        elif kind == "promoted":
            # From here on its directory is its own.
            self._held.pop(trial.index, None)
            self._wait()

    def close(self) -> None:
        """Waits for what is being deleted."""
        self._wait()
        self._deleter.shutdown()

    def _take_up(self, trial: TrialRecord) -> None:
        place, control = (self._place / of(trial.index) for of in (dirname_of, control_dirname))
        for left in (place, control):
            left.drop_unfinished()
        if not trial.control_left:
            for name in control.folders():
                control.drop(name)
        if trial.ended:
            self._hold(trial.index)
        if self._budget is None:
            return
        # It may have been larger in the session before.
        allowance = self._budget.per_trial
        for running, its in ((not trial.ended, place), (trial.control_left, control)):
            if running:
                TrialCheckpoints(its, self._mode, self._retry, allowance).make_room(0)

    def _hold(self, index: int) -> None:
        place = self._place / dirname_of(index)
        checkpoints = TrialCheckpoints(place, self._mode, self._retry)
        found = self._retry(place.sizes)
        sizes = {name: size for name, size in found.items() if name.startswith(PREFIX)}
        newest = checkpoints.newest_first()
        best = checkpoints.best_of(newest)
        latest = [name for name in sizes if not newest or name >= newest[0].name]
        self._held[index] = Held(sizes, [] if best is None else [best.name], latest)

    def _note(self, index: int, value: float | None) -> None:
        sign = sign_of(self._mode)
        if value is None or sign * value <= sign * self._values.get(index, -sign * math.inf):
            return
        self._values[index] = value
        leaders = self._best_trials()
        if leaders != self._leaders:
            self._leaders = leaders
            self._settle()

    def _best_trials(self) -> list[int]:
        """The best first, of equals the one with the lower index."""
        sign = -sign_of(self._mode)
        count = len(self._values) if self._keep_best is None else self._keep_best
        return heapq.nsmallest(count, self._values, key=lambda i: (sign * self._values[i], i))

    def _settle(self) -> None:
        room = math.inf if self._budget is None else self._budget.ended
        left = room
        kept: dict[int, set[str]] = {}
        for index, names in self._wanted():
            mine = kept.setdefault(index, set())
            sizes = self._held[index].sizes
            needed = sum(sizes[name] for name in names if name not in mine)
            if needed <= left:
                left -= needed
                mine.update(names)
        for index in self._held.keys() & set(self._leaders[:1]):
            if not kept.get(index, set()).issuperset(self._held[index].best):
                self._tell_unkept(index, room)
        for index, held in self._held.items():
            gone = [name for name in held.sizes if name not in kept.get(index, set())]
            held.sizes = {name: s for name, s in held.sizes.items() if name not in gone}
            held.best = [name for name in held.best if name in held.sizes]
            held.latest = [name for name in held.latest if name in held.sizes]
            self._delete(self._place / dirname_of(index), gone)
        self._held = {index: held for index, held in self._held.items() if held.sizes}
        if self._budget is not None:
            # The next trial may write as soon as this one is out of its way.
            self._wait()

    def _tell_unkept(self, index: int, room: float) -> None:
        held = self._held[index]
        needed = sum(held.sizes[name] for name in held.best)
        event = {"event": "unkept", "trial": index, "needed": needed, "allowed": int(room)}
        self.note(
            event,
            f"unkept     trial {index}, the best: its checkpoint of {decimal(needed)} does not fit "
            f"into the {decimal(int(room))} that --checkpoint-budget leaves for trials that have "
            "ended, and is deleted",
        )

    def _wanted(self) -> Iterator[tuple[int, list[str]]]:
        """Trials and the checkpoints that are wanted of them, the most wanted first."""
        held = self._held
        leaders = [index for index in self._best_trials() if index in held]
        yield from ((index, held[index].best) for index in leaders[:1])
        controls = [index for index in sorted(held) if self._trials[index].control_left]
        yield from ((index, held[index].latest) for index in controls)
        within, beyond = self._promotable()
        yield from ((index, held[index].latest) for index in within)
        yield from ((index, held[index].best) for index in leaders[1:])
        yield from ((index, held[index].latest) for index in beyond)

    def _promotable(self) -> tuple[list[int], list[int]]:
        """The stopped trials that may still be promoted in this study, and the others, each with
        the highest rung and the best rank first."""
        within: list[int] = []
        beyond: list[int] = []
        asha = self._parts.asha
        if asha is None or not self._parts.promotes():
            return within, beyond
        sign = -sign_of(self._mode)
        for rung in reversed(asha.rungs.milestones):
            reached = asha.rungs.values[rung]
            # Whoever comes later can only push it back.
            most = self._total // asha.rungs.reduction_factor
            for place, key in enumerate(sorted(reached, key=lambda k: sign * reached[k])):
                index = int(key)
                if index in self._held and self._trials[index].rung == rung:
                    (within if place < most else beyond).append(index)
        return within, beyond

    def _delete(self, place: Store, names: list[str]) -> None:
        for name in names:
            act: Callable[[], None] = partial(place.drop, name)
            if self._budget is not None:
                act = partial(self._retry, partial(_drop_for_sure, place, name))
            self._deleting.append(self._deleter.submit(act))

    def _wait(self) -> None:
        deleting, self._deleting = self._deleting, []
        for one in deleting:
            one.result()


def largest_checkpoint(checkpoints: Store, trials: Iterable[int], retry: StorageRetry) -> int:
    """Bytes of the largest one that lies there; 0 where none does."""
    with ThreadPoolExecutor(READERS) as readers:
        sizes = readers.map(lambda i: retry((checkpoints / dirname_of(i)).sizes), trials)
        return max((size for of_one in sizes for size in of_one.values()), default=0)


def _drop_for_sure(place: Store, name: str) -> None:
    """Deletes a checkpoint.

    Raises:
        OSError: it is still there, so that its bytes are not free.
    """
    place.drop(name)
    if name in place.folders():
        raise OSError(errno.EROFS, f"{place / name} cannot be deleted")
