"""A task as a trainable of Tune; the only file of the trainables that imports Ray."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from ray import tune

from trainables.data.dataset import Dataset, SearchData
from trainables.data.look import Look, OwnLook, look_at
from trainables.data.splits import order_again, split_again
from trainables.prediction.answers import PreparedData, answers, write_answers
from trainables.prediction.baselines import constant_scores
from trainables.training.batch_size_search import FoundBatchSize, find_batch_size
from trainables.training.config import TrainingConfig
from trainables.training.evaluation import evaluate_part, predict_held_out, predict_part
from trainables.training.loop import Metrics, fit, is_over
from trainables.training.soup import averaged
from trainables.training.state import STATE_FILE, State, load_state, save_state
from trainables.training.step_log import LoggedStep, in_one_line
from trainables.training.task import TaskData
from trainables.training.timing import time_epoch


class PredictableData(TaskData[Any], PreparedData, Protocol):
    """A `TaskData` that says how it prepares samples."""


class DataOnDevice(Protocol):
    """Constructor of the `TaskData` of a task."""

    def __call__(self, search: Any, device: torch.device | str = "cpu") -> PredictableData:
        """Return the source of a trial's tasks on a device."""


class TaskTrainable(tune.Trainable):
    """Trains the network of a task, one epoch a step; a task's own trainable names its parts.

    Pass the data by `tune.with_parameters(trainable, data=dataset.search)`. A process that Tune
    reuses keeps its imports and its data: only the model is built anew.
    """

    task: ClassVar[str]
    """Name of the task's folder, whose `predict.py` an export takes."""
    config_type: ClassVar[type[TrainingConfig]]
    """Configuration of the task."""
    data_type: ClassVar[DataOnDevice]
    """Source of its networks and batches."""

    reuse_actors = True
    takes_seed = True
    """Whether its configuration includes the seed of all its random streams."""
    takes_split_seed = True
    """Whether its configuration may have a seed by which a trial splits its data anew."""

    state: State | None
    """State after the last step; None before the first."""

    _steps: Iterator[tuple[Metrics, State]]
    _answers: dict[str, Any] | None = None
    """Answers of this trial; None before its first checkpoint."""

    def setup(self, config: dict[str, Any], data: SearchData[Any] | None = None) -> None:
        """Prepare a trial.

        Raises:
            ValueError: data is missing, or the config is not valid.
        """
        if data is None:
            raise ValueError(
                f"{type(self).__name__} got no data: pass "
                f"tune.with_parameters({type(self).__name__}, data=dataset.search) to the Tuner"
            )
        self.data = data
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Switch to the trial of another config, in the same process and with the same data."""
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train one epoch.

        Returns:
            The metrics of `loop.fit`, and `done`, which is true after the last epoch, when patience
            is over, or after a loss that is not finite.
        """
        step = next(self._steps, None)
        if step is None:
            raise ValueError(
                f"this trial has ended, after {self.state.epoch if self.state else 0} of "
                f"{self.settings.passes} epochs: raise epochs, or patience if it was over"
            )
        metrics, self.state = step
        return {**metrics, "done": is_over(self.settings, metrics, self.state)}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the state after the last step to `state.pt`, and `answers.json`, with which it
        predicts without its data."""
        if self.state is None:
            raise ValueError("a trial has no state to save before its first step")
        save_state(self.state, Path(checkpoint_dir) / STATE_FILE)
        if self._answers is None:
            self._answers = self.answers(self.settings, self.data)
        write_answers(Path(checkpoint_dir), self._answers)

    # Ray's annotation is a dictionary; for a checkpoint saved as files it passes their folder.
    def load_checkpoint(self, checkpoint_dir: str) -> None:  # type: ignore[override]
        """Resume from a checkpoint, with the hyperparameters of this trial's config."""
        self.state = load_state(Path(checkpoint_dir) / STATE_FILE)
        self._steps = self._fit(self.state)

    def cleanup(self) -> None:
        """Release the model and its memory."""
        self.state, self._steps = None, iter(())

    @classmethod
    def check_config(
        cls, config: Mapping[str, object], data: SearchData[Any] | None = None
    ) -> None:
        """Check that a trial can run with this config, on this data if it is given.

        Raises:
            ValueError: it cannot; the message names the hyperparameter, the value and the rule.
        """
        checked = cls.config_type.from_dict(config)
        path = Path(checked.pretrained)
        if checked.pretrained and not path.is_absolute():
            raise ValueError(
                f"pretrained {path}: must be an absolute path, since a trial may run on another "
                f"node; give {path.absolute()}"
            )
        if data is not None:
            cls.data_type(data).check(checked)

    @classmethod
    def measure(
        cls,
        config: Mapping[str, object],
        checkpoint_dir: str,
        *,
        data: SearchData[Any],
        cpus: float = 1,
        on_gpu: bool = False,
    ) -> dict[str, float]:
        """Estimate the seconds of an update and of an epoch, on `cpus` cores or on a GPU, in about
        a quarter of a second, and write a checkpoint."""
        threads = torch.get_num_threads()
        torch.set_num_threads(_threads(cpus))
        try:
            timing = time_epoch(
                cls.config_type.from_dict(config), cls.data_type(data, _device(on_gpu))
            )
        finally:
            torch.set_num_threads(threads)
        save_state(timing.state, Path(checkpoint_dir) / STATE_FILE)
        return {"step_seconds": timing.step_seconds, "epoch_seconds": timing.epoch_seconds}

    @classmethod
    def find_batch_size(
        cls,
        config: Mapping[str, object],
        *,
        data: SearchData[Any],
        cpus: float = 1,
        on_gpu: bool = False,
    ) -> FoundBatchSize:
        """Return the largest batch size that fits and pays, on `cpus` cores or on a GPU, as
        `batch_size_search.find_batch_size`."""
        threads = torch.get_num_threads()
        torch.set_num_threads(_threads(cpus))
        try:
            return find_batch_size(
                cls.config_type.from_dict(config), cls.data_type(data, _device(on_gpu))
            )
        finally:
            torch.set_num_threads(threads)

    @classmethod
    def evaluate(
        cls, config: Mapping[str, object], checkpoint_dir: str, dataset: Dataset[Any]
    ) -> dict[str, float]:
        """Return the scores of a checkpoint on the test set: those of `evaluate_part`, named
        `test_loss` and so on."""
        checked = cls.config_type.from_dict(config)
        scores = evaluate_part(
            checked,
            load_state(Path(checkpoint_dir) / STATE_FILE),
            cls.data_type(data_of(checked, dataset.search)),
            dataset.test,
        )
        return {f"test_{name}": score for name, score in scores.items()}

    @classmethod
    def predict(
        cls,
        config: Mapping[str, object],
        checkpoint_dir: str,
        dataset: Dataset[Any],
        part: Literal["validation", "test"],
    ) -> dict[str, NDArray[Any]]:
        """Return what a checkpoint predicts, on a GPU if this process sees one.

        With folds the validation part is all samples of the search, each predicted by the network
        that was not trained on it; test samples are predicted by all networks together.

        Returns:
            `rows` int64 `[n]`, indices in the data of the search or in the test set, `targets`
            `[n]`, and `predicted`: the probability of each class, float `[n, classes]`, or numbers
            in the targets' unit, `[n]`.
        """
        checked = cls.config_type.from_dict(config)
        state = load_state(Path(checkpoint_dir) / STATE_FILE)
        search = data_of(checked, dataset.search)
        data = cls.data_type(search, _device(True))
        if part == "test":
            predicted, targets = (
                predict_part(checked, state, data, dataset.test),
                dataset.test.targets,
            )
            rows = np.arange(len(targets))
        else:
            rows, predicted = predict_held_out(checked, state, data)
            targets = search.targets[rows]
            if checked.split_seed is not None:
                rows = order_again(dataset.search, checked.split_seed)[rows]
        if dataset.search.classes:
            predicted = predicted.double().exp()
        return {"rows": rows, "targets": targets, "predicted": predicted.cpu().numpy()}

    @classmethod
    def average(
        cls,
        configs: Sequence[Mapping[str, object]],
        checkpoint_dirs: Sequence[str],
        dataset: Dataset[Any],
        target_dir: str,
    ) -> None:
        """Write a checkpoint with the mean of the weights of several, to be used with the first
        configuration.

        Raises:
            ValueError: their networks are not equal, or their inputs are not prepared alike.
        """
        checked = [cls.config_type.from_dict(config) for config in configs]
        states = [load_state(Path(folder) / STATE_FILE) for folder in checkpoint_dirs]
        search = data_of(checked[0], dataset.search)
        soup = averaged(checked, states, cls.data_type(search, _device(True)), search)
        save_state(soup, Path(target_dir) / STATE_FILE)
        write_answers(Path(target_dir), cls.answers(checked[0], dataset.search))

    @classmethod
    def answers(cls, config: TrainingConfig, data: SearchData[Any]) -> dict[str, Any]:
        """Return what inputs and outputs of networks of this config mean, as
        `prediction.answers.answers`."""
        return answers(cls.task, config, cls.data_type(data_of(config, data)))

    @classmethod
    def baselines(
        cls, dataset: Dataset[Any], *, on_test: bool = False
    ) -> dict[str, dict[str, float] | str]:
        """Return the scores of simple predictors, under the names of a trial's metrics.

        Args:
            dataset: the dataset; predictors learn from the training part of its split.
            on_test: whether the test set is scored, else the validation part.

        Returns:
            By the name of each predictor its scores, or a text on why it has none.
        """
        part = dataset.test if on_test else dataset.search.validation
        name, scores = constant_scores(dataset.search, part.targets)
        return {name: named(scores, on_test)}

    @classmethod
    def look(cls, dataset: Dataset[Any]) -> Look:
        """Return what was found in a dataset: sentences that a person should read before the first
        trial, and a page."""
        return look_at(dataset, cls.own_look())

    @classmethod
    def own_look(cls) -> OwnLook[Any] | None:
        """Return what the task's kind of data adds to the look; imported by the driver alone."""
        return None

    @classmethod
    def reader(cls) -> Callable[..., Dataset[Any]]:
        """Return a function that reads and splits a dataset of the task, whose parameters are
        command-line flags; imported by the driver alone."""
        raise NotImplementedError(f"{cls.__name__} names no reader of its data")

    def _begin(self, config: Mapping[str, object]) -> None:
        self.settings = self.config_type.from_dict(config)
        granted = self.trial_resources.required_resources if self.trial_resources else {}
        torch.set_num_threads(_threads(granted.get("CPU", 1)))
        self.device = _device(granted.get("GPU", 0) > 0)
        self.state, self._answers = None, None
        self._steps = self._fit(None)

    def _fit(self, state: State | None) -> Iterator[tuple[Metrics, State]]:
        data = self.data_type(data_of(self.settings, self.data), self.device)
        return fit(self.settings, data, state, listener=_print_step)


def data_of(config: TrainingConfig, search: SearchData[Any]) -> SearchData[Any]:
    """Return the samples as the trial of a config splits them."""
    return search if config.split_seed is None else _split_again(search, config.split_seed)


@functools.lru_cache(maxsize=1)
def _split_again(search: SearchData[Any], seed: int) -> SearchData[Any]:
    # Consecutive trials of a process often have the same seed, and share the copy.
    return split_again(search, seed)


def _print_step(epoch: float, step: LoggedStep) -> None:
    # To the trial's log, `log.txt`.
    print(in_one_line(epoch, step))


def named(scores: Mapping[str, float], on_test: bool) -> dict[str, float]:
    """Return scores under the names of metrics, such as `val_rmse` or `test_rmse`."""
    return {f"{'test' if on_test else 'val'}_{name}": score for name, score in scores.items()}


def _threads(cpus: float) -> int:
    # Two processes of one thread each are faster than one of two: use the granted cores only.
    return max(1, int(cpus))


def _device(on_gpu: bool) -> torch.device:
    there = on_gpu and torch.cuda.is_available()
    return torch.device("cuda", 0) if there else torch.device("cpu")
