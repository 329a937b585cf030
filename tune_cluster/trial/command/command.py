"""A user's command line, unchanged, and the source of its metrics."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tune_cluster.trial.command.config_file import with_values
from tune_cluster.trial.command.printed import PrintedMetrics
from tune_cluster.trial.command.template import names_in

STDOUT = "stdout"

IN_TRIAL_DIR = "{trial_dir}/"

GIVEN = ("trial_dir", "config_json", "config_file", "checkpoint")
"""Names in braces that are no hyperparameters."""


@dataclass(frozen=True)
class Command:
    """A command line that trains, and the source of its metrics.

    Args:
        words: words of the command, with names in braces: hyperparameters, and `{trial_dir}`, a
            folder of the trial; `{config_json}`, a file with the searched values; `{config_file}`.
        metric: metric of the study.
        patterns: regular expressions with named groups that read printed metrics.
        metrics_from: "stdout"; or a CSV file, a file of JSON lines or a folder with TensorBoard's
            event files, which may contain names in braces.
        checkpoint: path, with `*`, of the checkpoints that the command writes; empty without.
        resume_words: additional words of the command when it resumes, from `{checkpoint}` or, if
            they do not name it, from where it has saved it.
        config_file: file whose copy with the searched values is `{config_file}`; empty without.

    Raises:
        ValueError: they are not compatible.
    """

    words: tuple[str, ...]
    metric: str
    patterns: tuple[str, ...] = ()
    metrics_from: str = STDOUT
    checkpoint: str = ""
    resume_words: tuple[str, ...] = ()
    config_file: str = ""

    def __post_init__(self) -> None:
        if not self.words or not shutil.which(self.words[0]):
            what = f"{self.words[0]}: no such program is there" if self.words else "it is missing"
            raise ValueError(f"the command: {what}; give it after --, such as -- python train.py")
        PrintedMetrics(self.patterns)
        if self.patterns and self.metrics_from != STDOUT:
            raise ValueError("--pattern reads what is printed: give it or --metrics-from, not both")
        if self.resume_words and not self.checkpoint:
            raise ValueError(
                "--resume-args: give --checkpoint PATH too, where the command saves what it "
                "resumes from"
            )
        if self.resumes_in_place and not self.checkpoint.startswith(IN_TRIAL_DIR):
            raise ValueError(
                "--resume-args: give {checkpoint} in it, the file to resume from; without it the "
                "command resumes from where it saves, which must be in the folder of the trial: "
                f"--checkpoint {IN_TRIAL_DIR}PATH"
            )
        if ("config_file" in names_in(self.words)) != bool(self.config_file):
            raise ValueError(
                "give both or none: --config-file FILE, and {config_file} in the command"
            )

    @property
    def writes_files(self) -> bool:
        """Whether the command uses `{trial_dir}`."""
        return "trial_dir" in self._named()

    @property
    def resumes_in_place(self) -> bool:
        """Whether it resumes from where it has saved, and not from a file that it is given."""
        return bool(self.resume_words) and "checkpoint" not in names_in(self.resume_words)

    def check_apart(self) -> None:
        """Check that trials at once do not read each other's files.

        Raises:
            ValueError: they do; the message names the flag.
        """
        files = {"--checkpoint": self.checkpoint, "--metrics-from": self.metrics_from}
        for flag, path in files.items():
            if path not in ("", STDOUT) and not names_in([path]):
                raise ValueError(
                    f"{flag} {path}: it is one for all trials, which would read each other's; let "
                    f"the command write to {IN_TRIAL_DIR}…, such as by -- sh -c 'cd {{trial_dir}} "
                    "&& python /folder/train.py …', or run one trial at a time: --max-concurrent 1"
                )

    def check_names(self, searched: Iterable[str]) -> None:
        """Check that every name in braces has a value, and every hyperparameter a place.

        Raises:
            ValueError: one has not; the message names it.
        """
        hyperparameters = {*searched}
        named = self._named()
        if unknown := sorted(named - hyperparameters - {*GIVEN}):
            raise ValueError(
                f"the command: {{{unknown[0]}}} is not searched; searched are "
                f"{', '.join(sorted(hyperparameters))}, and there are "
                f"{', '.join(f'{{{name}}}' for name in GIVEN)}; for braces as they are double them"
            )
        if taken := sorted(hyperparameters & {*GIVEN}):
            raise ValueError(f"--search {taken[0]}: the name is taken: {{{taken[0]}}}; rename it")
        whole = {"config_json", "config_file"} & named
        if not whole and (unused := sorted(hyperparameters - named)):
            raise ValueError(
                f"--search {unused[0]}: the command has no {{{unused[0]}}}; say where its value "
                f"goes, such as --{unused[0].replace('_', '-')} {{{unused[0]}}}"
            )

    def check_config(self, config: Mapping[str, Any]) -> None:
        """Check that the configuration file has a place for all values.

        Raises:
            ValueError: it lacks one; the message names it.
        """
        if self.config_file:
            with_values(self.config_file, config)

    def _named(self) -> set[str]:
        return names_in([*self.words, *self.resume_words, self.metrics_from, self.checkpoint])
