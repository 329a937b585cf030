"""Hugging Face Trainer: report the metrics of each evaluation, save and resume.

    callback = TuneCallback()
    trainer = Trainer(model, args, callbacks=[callback], ...)
    trainer.train(resume_from_checkpoint=callback.checkpoint)

The best checkpoint of the study is `best/`, for `from_pretrained`.
"""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, IntervalStrategy, SaveStrategy

from tune_cluster.storage.store import scratch
from tune_cluster.trial.script_trial import current_trial


class TuneCallback(TrainerCallback):
    """Reports the metrics of each evaluation during training, `eval_loss` and the others.

    In a trial the trainer saves at each evaluation, to a folder of the trial and not to
    `output_dir`, which all trials share.
    """

    def __init__(self) -> None:
        self._trial = current_trial()
        self._asked = False
        self._metrics: dict[str, float] | None = None
        """Metrics of an evaluation whose checkpoint is not saved yet."""
        self._folder = None if self._trial is None else scratch()

    @property
    def checkpoint(self) -> str | None:
        """Path of the checkpoint to resume from, for `Trainer.train`; None without one."""
        self._asked = True
        folder = None if self._trial is None else self._trial.checkpoint_folder()
        return None if folder is None else str(folder)

    def on_init_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Let the trainer save at each evaluation.

        Raises:
            ValueError: it does not evaluate, could not resume, or has several processes.
        """
        if self._folder is None:
            return
        if args.eval_strategy == IntervalStrategy.NO:
            raise ValueError(
                "TuneCallback: the trainer does not evaluate while it trains; give "
                'TrainingArguments(eval_strategy="epoch") or "steps"'
            )
        if args.save_only_model:
            raise ValueError(
                "TuneCallback: save_only_model=True saves no optimizer to resume with; leave it out"
            )
        if args.world_size > 1:
            raise ValueError(
                f"TuneCallback: the trainer has {args.world_size} processes, a trial has one"
            )
        args.output_dir = self._folder.name
        args.save_strategy = SaveStrategy(args.eval_strategy.value)
        args.save_steps, args.save_total_limit = args.eval_steps or args.save_steps, 1

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Check that a promoted trial would resume the training instead of restarting it.

        Raises:
            ValueError: the training did not get the checkpoint.
        """
        self._metrics = None
        if self._trial is not None and not self._asked:
            raise ValueError(
                "TuneCallback: give trainer.train the checkpoint to resume from, "
                "trainer.train(resume_from_checkpoint=callback.checkpoint)"
            )

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Store the metrics of an evaluation."""
        self._metrics = metrics

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Report the preceding evaluation, with the checkpoint."""
        if self._trial is None or self._metrics is None or state.epoch is None:
            return
        metrics, self._metrics = {**self._metrics, "epoch": round(state.epoch, 6)}, None
        saved = Path(args.output_dir or "", f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}")
        self._trial.report_saved(metrics, partial(_link, saved))


def _link(saved: Path, folder: str) -> None:
    """Link the files of a folder to another one on the same disk."""
    shutil.copytree(saved, folder, dirs_exist_ok=True, copy_function=os.link)
