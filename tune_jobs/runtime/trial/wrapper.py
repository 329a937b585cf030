"""The wrapper around any trainable, ours or a person's own, in the process of its trial.

It turns what would end or mislead a study into an orderly end of that one trial: an exception, a
missing metric, a value that is not finite. It writes the checkpoints before it reports, so that an
epoch which was reported can always be gone on from, and goes on from them by itself, whether Tune
restarts the trial (a node was lost) or a person resumes the study.

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
import shutil
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

from ray import tune
from ray.train._internal.session import get_session, shutdown_session
from ray.tune.result import RESULT_DUPLICATE, SHOULD_CHECKPOINT
from ray.tune.trainable.function_trainable import FunctionTrainable

from tune_jobs.runtime.controls import stopped_dirname
from tune_jobs.runtime.notices import telling
from tune_jobs.runtime.storage.checkpoints import Checkpoint, NoRoomError, TrialCheckpoints
from tune_jobs.runtime.storage.outage import Outages, StorageLostError
from tune_jobs.runtime.storage.places import place_at
from tune_jobs.runtime.trial import report
from tune_jobs.runtime.trial.dict_checkpoint import keep_returned, returned_or
from tune_jobs.runtime.trial.gpu_share import gpus_of_process, hold, out_of_memory
from tune_jobs.runtime.trial.log import TrialLog
from tune_jobs.runtime.trial.lost_lines import Past
from tune_jobs.runtime.trial.process_memory import free_memory, freeze_imports
from tune_jobs.runtime.trial.reported import not_finite, plain
from tune_jobs.runtime.trial.retries import Retries, blameless, device_lost, raised
from tune_jobs.runtime.trial.seeds import Generators, trial_seed
from tune_jobs.runtime.trial.settings import TrialSettings
from tune_jobs.runtime.trial.tune_storage import move_to_this_node


def guarded(trainable: type[tune.Trainable], settings: TrialSettings) -> type[tune.Trainable]:
    """A subclass of `trainable` that ends in order, writes checkpoints and goes on from them."""

    is_function = issubclass(trainable, FunctionTrainable)

    # Two underscores: whatever a trainable calls its own methods, these are not they.
    class GuardedTrial(trainable):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            # Once a process, whatever calls setup(): many a reset_config() does.
            freeze_imports()
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
            self.__retried: list[dict[str, Any]] = []
            self.__unsaved: dict[str, int] | None = None
            self.__last: dict[str, Any] = {}
            self.__epoch = 0
            self.__take_up(start)

        def __take_up(self, start: Callable[[], object]) -> None:
            """Starts a trial and takes up what the storage has of it."""
            self._iteration, self._time_total = 0, 0.0
            self.__error: Exception | None = None
            self.__found: list[dict[str, Any]] = []
            self.__past = Past(self.config)
            self.__restored: dict[str, Any] | None = None
            self.__files = ExitStack()
            """Holds what a function has yet to read."""
            # Tune gives who was promoted, a trial of its own to it, a second name: `0012_5e72`.
            name = self._storage.trial_dir_name.partition("_")[0]
            self.__place = place_at(settings.checkpoints) / name
            tell = telling(settings.checkpoints, name)
            self.__outages = Outages(place_at(settings.checkpoints), tell, waits=settings.waits)
            allowance = None if settings.budget is None else settings.budget.per_trial
            self.__checkpoints = TrialCheckpoints(
                self.__place, settings.mode, self.__outages, allowance
            )
            if is_function:
                move_to_this_node(self._storage)
            try:
                hold(gpus_of_process())
                self.__generators.seed(trial_seed(settings.seed, self.__index()))
                ready = start()
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
                place = place_at(settings.checkpoints) / stopped
                left.append(TrialCheckpoints(place, settings.mode, self.__outages))
            there = [(these, name) for these in left for name in these.names()]
            for checkpoints, name in there:
                try:
                    found = self.__outages(partial(self.__load, checkpoints, name))
                    if found is None:
                        continue
                except StorageLostError:
                    raise
                except Exception as error:
                    if out_of_memory(error):
                        raise
                    unreadable.append(name)
                    self._iteration, self._time_total = 0, 0.0
                    continue
                self.__found = self.__past.take_up(found, self.__known())
                # Each of them is a step to Tune.
                self._iteration -= len(self.__found)
                self.__restored = {"epoch": found.epoch, "unreadable": unreadable}
                return
            if unreadable:
                self.__restored = {"epoch": 0, "unreadable": unreadable}

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
                    get_session().loaded_checkpoint = tune.Checkpoint.from_directory(folder)
                    self.__files = until_loaded.pop_all()
                else:
                    # As Tune does, before it loads one: learning rates are computed from these.
                    self._iteration = checkpoint.iteration
                    self._time_total = checkpoint.time_total
                    self.load_checkpoint(returned_or(folder))
            return checkpoint

        def step(self) -> dict[str, Any]:
            if self.__harms:
                return report.elsewhere(self.__harms)
            if self.__reset is not None:
                self.__begin(self.__reset)
                self.__reset = None
                lost = isinstance(self.__error, StorageLostError)
                if self.__error is not None and not lost:
                    reason = self.__note(self.__error)
                    return report.again(self.__epoch, "reset", self.__retried, reason=reason)
            while True:
                try:
                    return self.__step()
                except StorageLostError:
                    # Tune starts the trial again, perhaps on a node whose storage is there.
                    raise
                except Exception as error:
                    reason = self.__note(error)
                    if out_of_memory(raised(error)) and 0 < gpus_of_process() < 1:
                        return report.again(self.__epoch, "share", self.__retried)
                    if device_lost(raised(error)):
                        # As if it had been killed: in another process.
                        raise
                    if not self.__retries.again(reason):
                        return self.__failed(error, reason)
                # Out here the error is gone, with its frames and the memory that they held.
                self.__start_again(reason)

        def __step(self) -> dict[str, Any]:
            if self.__error is not None:
                raise self.__error
            if self.__found:
                # Reported with the checkpoint, or lost on the way: the driver knows which.
                return self.__told(self.__found.pop(0), checkpoint=None)
            began = time.monotonic()
            result = super().step()
            if RESULT_DUPLICATE in result:
                # A function that returns has said before what it had to say.
                return self.__told({**self.__last, "done": True}, checkpoint=None)
            reported = self.__reported(result, time.monotonic() - began)
            self.__retries.epoch_done()
            return reported

        def __start_again(self, reason: str) -> None:
            """In this process: another one would cost seconds, and an error in the first line of a
            script would be told a minute later."""
            self.__retried.append({"epoch": self.__epoch + 1, "reason": reason})
            if is_function:
                shutdown_session()
            else:
                # As Tune does, which starts another process.
                with suppress(Exception):
                    self.cleanup()
            config = copy.deepcopy(self.config)
            self.__take_up(lambda: super(GuardedTrial, self).setup(config))

        def __reported(self, result: dict[str, Any], seconds: float) -> dict[str, Any]:
            save = self.__saving()
            # Tune is to save none of its own.
            told = {key: value for key, value in result.items() if key != SHOULD_CHECKPOINT}
            result = {key: plain(value) for key, value in told.items()}
            result.setdefault("epoch", self.__epoch + 1)
            epoch = int(result["epoch"])
            if settings.metric not in result:
                reported = ", ".join(sorted(set(result) - {"done"}))
                return self.__ended("failed", epoch, f"no {settings.metric} in {reported}")
            name = not_finite(result, settings.metric)
            if name is not None:
                return self.__ended("diverged", epoch, f"{name} is {result[name]}")
            checkpoint = None
            if save is not None:
                value = result[settings.metric]
                more = self.__past.to_keep() if settings.in_bucket else {}
                more.update(iteration=self._iteration + 1, time_total=self._time_total + seconds)
                try:
                    checkpoint = self.__checkpoints.write(epoch, value, result, save, **more)
                except NoRoomError as error:
                    self.__unsaved = {"needed": error.needed, "allowed": error.allowed}
            self.__past.add(result)
            return self.__told(result, checkpoint)

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
            keep_returned(self.save_checkpoint(folder), folder)

        def __told(self, result: dict[str, Any], checkpoint: str | None) -> dict[str, Any]:
            self.__epoch, self.__last = int(result["epoch"]), result
            more = {
                "checkpoint": checkpoint,
                "restored": self.__restored,
                "retried": self.__retried,
                "unsaved": self.__unsaved,
            }
            self.__restored, self.__retried, self.__unsaved = None, [], None
            return report.told(result, **more)

        def __ended(self, status: str, epoch: int, reason: str, **more: Any) -> dict[str, Any]:
            told = {"status": status, "reason": reason, **more}
            told.update(restored=self.__restored, retried=self.__retried)
            if status == "failed":
                told["log"] = "\n".join(self.__log.tail())
            return report.bad_end(settings.metric, settings.mode, epoch, **told)

        def __note(self, error: Exception) -> str:
            """Prints an error to the trial's log; the same in one line."""
            error = raised(error)
            traceback.print_exception(error)
            return f"{type(error).__name__}: {error}"

        def __failed(self, error: Exception, reason: str) -> dict[str, Any]:
            error = raised(error)
            return self.__ended(
                "failed",
                self.__epoch + 1,
                reason,
                blameless=blameless(error, gpus_of_process(), settings.alone),
                traceback="".join(traceback.format_exception(error)),
            )

    GuardedTrial.__name__ = trainable.__name__
    return GuardedTrial


def overrides(trainable: object, method: str) -> bool:
    """Whether a trainable is a class that has a `method` of its own."""
    return getattr(trainable, method, None) not in (None, getattr(tune.Trainable, method))
