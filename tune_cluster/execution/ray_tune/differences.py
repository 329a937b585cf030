"""Fields of Ray Tune's `TuneConfig` and `RunConfig` that a study takes and does otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ray import tune

from tune_cluster.execution.ray_tune.ray_callbacks import FOLDER, is_rays, methods_never_called
from tune_cluster.trial.failures import ERROR_RETRIES, LOST_PROCESS_RETRIES

REASONS = {
    "trial_name_creator": "a trial is named by its number",
    "trial_dirname_creator": "the folder of a trial is its number, such as trials/0012",
    "sync_config": "a study writes to its storage at once",
    "progress_reporter": "a study prints its own lines",
    "log_to_file": "what a trial prints is always in a file of its folder",
}
"""Fields that change nothing, each with what a study does."""


def differences(tune_config: Any, run_config: Any) -> list[str]:
    """Return a sentence for each field that was given and means something else here."""
    found = []
    for config in (tune_config, run_config):
        for name, instead in REASONS.items():
            if getattr(config, name, None):
                found.append(f"{type(config).__name__}({name}=...) changes nothing: {instead}")
    return [
        *found,
        *_of_checkpoints(run_config.checkpoint_config),
        *_of_failures(run_config.failure_config),
        *_of_callbacks(run_config.callbacks or ()),
    ]


def _changed(config: Any, default: Any) -> set[str]:
    return {name for name, value in vars(default).items() if getattr(config, name) != value}


def _of_checkpoints(config: tune.CheckpointConfig | None) -> Iterator[str]:
    changed = set() if config is None else _changed(config, tune.CheckpointConfig())
    if changed & {"num_to_keep", "checkpoint_score_attribute", "checkpoint_score_order"}:
        yield (
            "CheckpointConfig(num_to_keep=..., checkpoint_score_...=...): a running trial keeps "
            "its latest checkpoint and the best by the study's metric, an ended one the best, "
            "where the study keeps it (see --keep-best)"
        )
    if changed & {"checkpoint_frequency", "checkpoint_at_end"}:
        yield (
            "CheckpointConfig(checkpoint_frequency=..., checkpoint_at_end=...): a class is saved "
            "after every epoch, so that nothing is trained twice; a function when it reports "
            "checkpoint="
        )


def _of_failures(config: tune.FailureConfig | None) -> Iterator[str]:
    changed = set() if config is None else _changed(config, tune.FailureConfig())
    if "max_failures" in changed:
        yield (
            "FailureConfig(max_failures=...): a trial whose process or node is lost is started "
            f"again up to {LOST_PROCESS_RETRIES} times, after an error of its own up to "
            f"{ERROR_RETRIES} times, and no more once it is the same error again"
        )
    if "fail_fast" in changed:
        yield (
            "FailureConfig(fail_fast=...): a study ends early only if its first trials all fail "
            "with the same error"
        )


def _of_callbacks(callbacks: Sequence[object]) -> Iterator[str]:
    for callback in callbacks:
        if is_rays(callback):
            never = methods_never_called(callback)
            besides = f"; {', '.join(never)} of it are never called" if never else ""
            yield (
                f"{type(callback).__name__} writes to trials/<number>/{FOLDER}, and is passed no "
                f"epoch twice{besides}"
            )
