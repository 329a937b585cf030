"""Lightning: report the metrics of each epoch, save and resume.

    callback = TuneCallback()
    trainer = L.Trainer(max_epochs=20, callbacks=[callback])
    trainer.fit(model, data, ckpt_path=callback.ckpt_path)

Import it after the package that the script uses, `lightning` or `pytorch_lightning`. The best
checkpoint of the study is `best/checkpoint.ckpt`, for `load_from_checkpoint`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tune_cluster.trial.script_trial import (
    ScriptTrial,
    current_trial,
    random_state,
    set_random_state,
)

if TYPE_CHECKING or "lightning" in sys.modules or "pytorch_lightning" not in sys.modules:
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.callbacks import Callback, Checkpoint
else:
    # The same classes exist in two packages, independent of each other: use that of the script.
    from pytorch_lightning import LightningModule, Trainer
    from pytorch_lightning.callbacks import Callback, Checkpoint

CHECKPOINT_FILE = "checkpoint.ckpt"


class TuneCallback(Callback):
    """Reports all metrics that the model has logged, after each epoch with a validation.

    Without validation it reports each epoch. A resumed training draws the same random numbers as an
    uninterrupted one.
    """

    def __init__(self) -> None:
        self._trial = current_trial()
        self._asked = False
        self._random: Mapping[str, Any] | None = None
        """Random streams of the checkpoint, until training begins."""

    @property
    def ckpt_path(self) -> str | None:
        """Path of the checkpoint to resume from, for `Trainer.fit`; None without one."""
        self._asked = True
        folder = None if self._trial is None else self._trial.checkpoint_folder()
        return None if folder is None else str(folder / CHECKPOINT_FILE)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Let the trainer save and report.

        Raises:
            ValueError: a promoted trial would restart the training, or the trainer has several
                processes.
        """
        if self._trial is None or stage != "fit":
            return
        if not self._asked:
            raise ValueError(
                "TuneCallback: give trainer.fit the checkpoint to resume from, "
                "trainer.fit(model, ckpt_path=callback.ckpt_path)"
            )
        if trainer.world_size > 1:
            raise ValueError(
                f"TuneCallback: the trainer has {trainer.world_size} processes, a trial has one; "
                "give Trainer(devices=1)"
            )
        others = [one for one in trainer.callbacks if not isinstance(one, _Reporter)]
        # Last, after all callbacks whose state belongs to the checkpoint.
        trainer.callbacks[:] = [*others, _Reporter(self._trial)]

    def state_dict(self) -> dict[str, Any]:
        """Return the random streams, which Lightning does not save."""
        return {} if self._trial is None else {"random": random_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the random streams of a checkpoint."""
        if self._trial is not None:
            self._random = state_dict["random"]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the random streams."""
        if self._random is not None:
            set_random_state(self._random)
            self._random = None


class _Reporter(Checkpoint):
    """Saves and reports at the end of an epoch: Lightning calls checkpoint callbacks after the
    hooks of the model and of all other callbacks."""

    def __init__(self, trial: ScriptTrial) -> None:
        self._trial = trial
        self._validated = False
        """Whether a validation was run in this epoch."""
        self._checked = False
        """Whether a checkpoint was checked to contain only data."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._validated and trainer.enable_validation:
            return
        self._validated = False
        metrics = {name: value.item() for name, value in trainer.callback_metrics.items()}
        epoch = trainer.current_epoch + 1
        self._trial.report_saved({**metrics, "epoch": epoch}, partial(self._save, trainer))

    def _save(self, trainer: Trainer, folder: str) -> None:
        file = Path(folder, CHECKPOINT_FILE)
        trainer.save_checkpoint(file)
        if self._checked:
            return
        refused = torch.serialization.get_unsafe_globals_in_checkpoint(file)
        if refused:
            raise ValueError(
                f"the checkpoint holds more than data ({', '.join(sorted(refused))}), and nothing "
                "of a study is unpickled: leave it out, as by save_hyperparameters(ignore=[...])"
            )
        self._checked = True
