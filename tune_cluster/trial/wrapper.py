"""The wrapper around any trainable, ours or a person's own, in the process of its trial.

It turns what would end or mislead a study into an orderly end of that one trial: an exception, an
exit, a missing metric, a value that is not finite, an epoch that was told before. It writes the
checkpoints before it reports, so that an epoch which was reported can always be gone on from, and
goes on from them by itself, whether Tune restarts the trial (a node was lost) or a person resumes
the study. A trainable that cannot go on, or does not, begins again at epoch 1; its first report
says so.

Beside Tune's own methods a trainable class may offer these, and the launcher uses what it finds:

- `check_config(config)`, or `check_config(config, data)` where the study has a dataset: a static
  method that raises ValueError for a bad configuration; called on the driver before anything is
  scheduled.
- `measure(config, checkpoint_dir, *, cpus, on_gpu) -> dict`, with `data` too where the study has a
  dataset: a static method that tries a few steps, saves a checkpoint in that folder, and returns
  `step_seconds` and `epoch_seconds`; where trials have GPUs it is called on one, with
  `on_gpu=True`. Without it no price is told before the study.
- `reuse_actors = True`: its `reset_config` leaves nothing of one trial to the next, so that a
  process is used for many. Without it each trial has a process of its own, as in Tune: many a
  `reset_config` sets a learning rate and keeps the weights.
- `takes_seed = True`: its configuration has the trial's `seed`, unless the space has one.
- `evaluate(config, checkpoint_dir, dataset) -> dict`: a static method, the metrics of the best
  checkpoint on the test set, called once at the end.
"""

from __future__ import annotations

import copy
import math
import reprlib
import shutil
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, Literal

import ray
from ray import tune
from ray.train._internal.session import shutdown_session
from ray.tune.result import RESULT_DUPLICATE
from ray.tune.trainable.function_trainable import FunctionTrainable

from tune_cluster.cluster.notices import telling
from tune_cluster.execution.controls import stopped_dirname
from tune_cluster.storage.checkpoints import Checkpoint, NoRoomError, TrialCheckpoints
from tune_cluster.storage.retry import StorageLostError, StorageRetry
from tune_cluster.storage.store import Store
from tune_cluster.study.journal import Epoch
from tune_cluster.trial.dict_checkpoint import keep_returned, returned_or
from tune_cluster.trial.epochs import EpochCount
from tune_cluster.trial.exits import Exits, exited, exited_well, raised, telling_exits
from tune_cluster.trial.function_session import (
    OfferedCheckpoint,
    offer,
    reported_metrics,
    take_reports,
)
from tune_cluster.trial.gpu_share import gpus_of_process, hold, out_of_memory
from tune_cluster.trial.log import TrialLog
from tune_cluster.trial.lost_lines import Past
from tune_cluster.trial.process_memory import free_memory, freeze_imports
from tune_cluster.trial.report import FreshProcess, Restored, Retry, TrialReport, Unsaved
from tune_cluster.trial.reported import (
    STEP_LOSSES,
    metrics_of,
    no_number,
    not_finite,
    reported,
)
from tune_cluster.trial.retries import Retries, blameless, device_lost
from tune_cluster.trial.seeds import Generators, trial_seed
from tune_cluster.trial.settings import TrialSettings
from tune_cluster.trial.tune_storage import move_to_this_node
from tune_cluster.trial.working_directory import enter, sought_in


def guarded(trainable: type[tune.Trainable], settings: TrialSettings) -> type[tune.Trainable]:
    """A subclass of `trainable` that ends in order, writes checkpoints and goes on from them."""

    is_function = issubclass(trainable, FunctionTrainable)

    # Two underscores: whatever a trainable calls its own methods, these are not they.
    class GuardedTrial(trainable):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            # Once a process, whatever calls setup(): many a reset_config() does.
            freeze_imports()
            enter(settings.working_directory)
            self.__exits = Exits()
            self.__log, self.__retries = TrialLog(), Retries()
            self.__generators = Generators()
            self.__reset: Callable[[], bool] | None = None
            super().__init__(*args, **kwargs)

        def setup(self, config: dict[str, Any]) -> None:
            if self.__reset is not None:
                # Called by its own reset_config().
                super().setup(config)
                return
            self.__harms = [] if settings.admission is None else settings.admission.harms()
            if not self.__harms:
                self.__begin(lambda: super(GuardedTrial, self).setup(config))

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            # In the first step: of a trial that Tune still resets it says that it has failed, twice
            # over, if its process is lost.
            self.__reset = lambda: super(GuardedTrial, self).reset_config(new_config)
            return True

        def __begin(self, start: Callable[[], object]) -> None:
            self.__log.begin()
            self.__retries.begin()
            self.__retried: list[Retry] = []
            self.__unsaved: Unsaved | None = None
            self.__left_out: set[str] = set()
            self.__epoch: Epoch = 0
            self.__take_up(start)

        def __take_up(self, start: Callable[[], object]) -> None:
            """Starts a trial and takes up what the storage has of it."""
            self._iteration, self._time_total = 0, 0.0
            self.__exits.forget()
            self.__error: Exception | None = None
            self.__found: list[dict[str, Any]] = []
            self.__past = Past(self.config)
            self.__last: dict[str, Any] = {}
            self.__count = EpochCount()
            self.__offered: OfferedCheckpoint | None = None
            self.__overwrites = False
            self.__restored: Restored | None = None
            self.__files = ExitStack()
            """Holds what a function has yet to read."""
            # Tune gives who was promoted, a trial of its own to it, a second name: `0012_5e72`.
            name = self._storage.trial_dir_name.partition("_")[0]
            self.__place = Store.at(settings.checkpoints) / name
            tell = telling(settings.checkpoints, name)
            self.__outages = StorageRetry(
                Store.at(settings.checkpoints), tell, policy=settings.waits
            )
            allowance = None if settings.budget is None else settings.budget.per_trial
            self.__checkpoints = TrialCheckpoints(
                self.__place, settings.mode, self.__outages, allowance
            )
            if is_function:
                move_to_this_node(self._storage)
            try:
                hold(gpus_of_process())
                # A trial that was here before may have left it.
                enter(settings.working_directory)
                self.__generators.seed(trial_seed(settings.seed, self.__index()))
                ready = telling_exits(start)
                if is_function:
                    take_reports()
                free_memory()
                if self.__reset is not None and not ready:
                    raise ValueError(f"reset_config() has returned {ready}")
                self.__go_on()
            except Exception as error:
                self.__error = error

        def __go_on(self) -> None:
            self.__outages.wait()
            unreadable = []
            left = [self.__checkpoints]
            stopped = stopped_dirname(self.__place.name)
            if stopped is not None:
                place = Store.at(settings.checkpoints) / stopped
                left.append(TrialCheckpoints(place, settings.mode, self.__outages))
            there = [(these, name) for these in left for name in these.names()]
            self.__overwrites = any(these is self.__checkpoints for these, _ in there)
            for checkpoints, name in there:
                try:
                    found = self.__outages(partial(self.__load, checkpoints, name))
                    if found is None:
                        continue
                except StorageLostError:
                    raise
                except Exception as error:
                    if out_of_memory(error) or exited(error):
                        raise
                    unreadable.append(name)
                    self._iteration, self._time_total = 0, 0.0
                    continue
                self.__found = self.__past.take_up(found, self.__known())
                # Each of them is a step to Tune.
                self._iteration -= len(self.__found)
                self.__count = EpochCount(found.epoch, from_zero=found.from_zero)
                self.__restored = Restored(found.epoch, unreadable)
                return
            if unreadable:
                self.__restored = Restored(0, unreadable)

        def __known(self) -> float:
            """Epochs that the driver has been told, here or in an earlier session."""
            if settings.reported is None:
                return math.inf
            return max(self.__epoch, settings.reported.get(self.__index(), 0))

        def __index(self) -> int:
            return int(self.__place.name.partition("-")[0])

        def __load(self, checkpoints: TrialCheckpoints, name: str) -> Checkpoint | None:
            """Loads a checkpoint; None if it is another trial's."""
            checkpoint = checkpoints.read(name)
            if not self.__past.is_of(checkpoint):
                return None
            with ExitStack() as until_loaded:
                folder = until_loaded.enter_context(checkpoint.whole())
                if is_function:
                    # What `tune.get_checkpoint()` gives it, which it reads when it likes.
                    self.__offered = offer(folder)
                    self.__files = until_loaded.pop_all()
                else:
                    # As Tune does, before it loads one: learning rates are computed from these.
                    self._iteration = checkpoint.iteration
                    self._time_total = checkpoint.time_total
                    telling_exits(self.load_checkpoint, returned_or(folder))
            return checkpoint

        def step(self) -> dict[str, Any]:
            return self.__report().to_result(settings.metric, settings.mode)

        def __report(self) -> TrialReport:
            if self.__harms:
                node = ray.get_runtime_context().get_node_id()
                wish = FreshProcess("node", node=node, problems=self.__harms)
                return TrialReport(epoch=0, fresh_process=wish)
            if self.__reset is not None:
                self.__begin(self.__reset)
                self.__reset = None
                lost = isinstance(self.__error, StorageLostError)
                if self.__error is not None and not lost:
                    reason = self.__note(self.__error)
                    return self.__in_fresh_process(FreshProcess("reset", reason=reason))
            while True:
                try:
                    return self.__step()
                except StorageLostError:
                    # Tune starts the trial again, perhaps on a node whose storage is there.
                    raise
                except Exception as error:
                    reason = self.__note(error)
                    if out_of_memory(raised(error)) and 0 < gpus_of_process() < 1:
                        wish = FreshProcess("share", gpus=gpus_of_process())
                        return self.__in_fresh_process(wish)
                    if device_lost(raised(error)):
                        # As if it had been killed: in another process.
                        raise
                    if exited_well(error):
                        return self.__returned()
                    if exited(error) or not self.__retries.again(reason):
                        return self.__failed(error, reason)
                # Out here the error is gone, with its frames and the memory that they held.
                self.__start_again(reason)

        def __in_fresh_process(self, wish: FreshProcess) -> TrialReport:
            return TrialReport(epoch=self.__epoch, retried=self.__retried, fresh_process=wish)

        def __step(self) -> TrialReport:
            if self.__error is not None:
                raise self.__error
            if self.__found:
                # Reported with the checkpoint, or lost on the way: the driver knows which.
                return self.__told(self.__found.pop(0), checkpoint=None)
            began = time.monotonic()
            result = telling_exits(super().step)
            if not isinstance(result, dict):
                reason = f"step() has returned {reprlib.repr(result)}, which is no dictionary"
                return self.__ended("failed", self.__under_way(), reason)
            if RESULT_DUPLICATE in result:
                self.__exits.check_threads()
                return self.__returned()
            metrics = reported_metrics(result) if is_function else result
            told = self.__reported(metrics, time.monotonic() - began)
            self.__retries.epoch_done()
            return told

        def _trainable_func(self, config: dict[str, Any]) -> Any:
            return telling_exits(super()._trainable_func, config)

        def __returned(self) -> TrialReport:
            """The end of a trainable that has ended by itself, with all said or nothing."""
            if self.__last:
                return self.__told({**self.__last, "done": True}, checkpoint=None)
            reason = f"it has ended and reported nothing: no {settings.metric}"
            return self.__ended("failed", self.__under_way(), reason)

        def __start_again(self, reason: str) -> None:
            """In this process: another one would cost seconds, and an error in the first line of a
            script would be told a minute later."""
            self.__retried.append(Retry(self.__under_way(), reason))
            if is_function:
                shutdown_session()
            else:
                # As Tune does, which starts another process.
                with suppress(Exception):
                    self.cleanup()
            config = copy.deepcopy(self.config)
            self.__take_up(lambda: super(GuardedTrial, self).setup(config))

        def __reported(self, result: Mapping[Any, Any], seconds: float) -> TrialReport:
            save = self.__saving()
            told = reported(result)
            numbers, said = told.numbers, result.get("epoch")
            begins = {} if self.__count.begun else self.__begins()
            try:
                epoch = self.__count.of(said)
            except ValueError as error:
                return self.__ended("failed", self.__under_way(), str(error), **begins)
            if settings.metric not in numbers:
                reason = no_number(result, numbers, settings.metric)
                return self.__ended("failed", epoch, reason, **begins)
            name = not_finite(numbers, settings.metric)
            if name is not None:
                reason = f"{name} is {numbers[name]}"
                return self.__ended("diverged", epoch, reason, **begins)
            if begins and self.__overwrites:
                self.__checkpoints.drop_from(epoch)
            whole = {**numbers, "epoch": epoch, STEP_LOSSES: told.step_losses, "done": told.done}
            checkpoint = None
            if save is not None:
                value = numbers[settings.metric]
                more = self.__past.to_keep() if settings.in_bucket else {}
                more.update(iteration=self._iteration + 1, time_total=self._time_total + seconds)
                if self.__count.from_zero:
                    more["from_zero"] = True
                try:
                    checkpoint = self.__checkpoints.write(epoch, value, whole, save, **more)
                except NoRoomError as error:
                    self.__unsaved = Unsaved(error.needed, error.allowed)
            self.__past.add(whole)
            left_out = {n: why for n, why in told.left_out.items() if n not in self.__left_out}
            self.__left_out.update(left_out)
            return self.__told(whole, checkpoint, left_out=left_out, **begins)

        def __begins(self) -> dict[str, Any]:
            """Of the first report since the trial has begun, or has gone on: what that was."""
            if not self.__offered_in_vain():
                return {"starts_over": True}
            unread, self.__offered = self.__count.last, None
            self.__count, self.__past, self.__restored = EpochCount(), Past(self.config), None
            return {"starts_over": True, "ignored_checkpoint": unread}

        def __offered_in_vain(self) -> bool:
            """Whether a function was offered a checkpoint, and has not looked at it."""
            return self.__offered is not None and not self.__offered.used

        def __under_way(self) -> Epoch:
            """The epoch that is to be reported next."""
            return 1 if self.__offered_in_vain() else self.__count.last + 1

        def __saving(self) -> Callable[[str], object] | None:
            """What writes the checkpoint of this epoch to a folder, if there is one."""
            if not is_function:
                return self.__save if overrides(trainable, "save_checkpoint") else None
            reported = self._last_training_result.checkpoint
            if reported is None:
                return None

            def take_over(folder: str) -> None:
                reported.to_directory(folder)
                shutil.rmtree(reported.path, ignore_errors=True)

            return take_over

        def __save(self, folder: str) -> None:
            keep_returned(telling_exits(self.save_checkpoint, folder), folder)

        def __told(
            self, result: dict[str, Any], checkpoint: str | None, **more: Any
        ) -> TrialReport:
            self.__epoch, self.__last = result["epoch"], result
            more.update(checkpoint=checkpoint, restored=self.__take_restored())
            more.update(retried=self.__retried, unsaved=self.__unsaved)
            self.__retried, self.__unsaved = [], None
            return TrialReport(
                epoch=result["epoch"],
                metrics=metrics_of(result),
                step_losses=result.get(STEP_LOSSES, []),
                node=ray.get_runtime_context().get_node_id()[:8],
                status="finished" if result.get("done") else None,
                **more,
            )

        def __take_restored(self) -> Restored | None:
            """What it went on from, to be told once, and of a function once that is known."""
            if self.__offered_in_vain():
                return None
            restored, self.__restored = self.__restored, None
            return restored

        def __ended(
            self, status: Literal["diverged", "failed"], epoch: Epoch, reason: str, **more: Any
        ) -> TrialReport:
            return TrialReport(
                epoch=epoch,
                status=status,
                reason=reason,
                log="\n".join(self.__log.tail()) if status == "failed" else "",
                restored=self.__take_restored(),
                retried=self.__retried,
                **more,
            )

        def __note(self, error: Exception) -> str:
            """Prints an error to the trial's log; the same in one line."""
            cause = raised(error)
            traceback.print_exception(cause)
            return f"{type(cause).__name__}: {cause}".removesuffix(": ") + sought_in(cause)

        def __failed(self, error: Exception, reason: str) -> TrialReport:
            cause = raised(error)
            return self.__ended(
                "failed",
                self.__under_way(),
                reason,
                infrastructure_failure=blameless(cause, gpus_of_process(), settings.alone),
                traceback="".join(traceback.format_exception(cause)),
            )

    GuardedTrial.__name__ = trainable.__name__
    return GuardedTrial


def overrides(trainable: object, method: str) -> bool:
    """Whether a trainable is a class that has a `method` of its own."""
    return getattr(trainable, method, None) not in (None, getattr(tune.Trainable, method))
