"""Which values of a command's flags are best? The command trains, without changes to its code:

    tune-cluster run --search lr=log:1e-4:1e-1 --metric val_loss -- python train.py --lr {lr}

See the curves in TensorBoard: they end one after the other at the rungs. The output of the command
is in log.txt of each trial's directory. If the best trials are at an end of a range, search a wider
one.
"""

import shlex
from typing import Literal

from search_spaces.schedulers.asha import ASHA
from search_spaces.search_flag import space_of
from search_spaces.searchers.auto_search import LearningFlags
from tune_cluster import Options, RunConfig, TuneConfig, Tuner, main
from tune_cluster.execution.ray_tune.command import command_trainable
from tune_cluster.storage.store import SCHEME
from tune_cluster.trial.command.command import STDOUT, Command


def job(
    options: Options,
    *,
    asha: ASHA.Flags,
    learning: LearningFlags,
    command: str = "",
    search: tuple[str, ...] = (),
    metric: str = "",
    mode: Literal["min", "max"] = "min",
    metrics_from: str = STDOUT,
    pattern: tuple[str, ...] = (),
    checkpoint: str = "",
    resume_args: str = "",
    config_file: str = "",
) -> Tuner:
    """Which values of a command's flags are best?

    Args:
        command: command that trains, with searched values in braces: "python train.py --lr {lr}".
            {trial_dir} is a folder of the trial, {config_json} a file with its values.
        search: searched values, such as lr=log:1e-4:1e-1 layers=int:1:6 batch_size=32,64
            optimizer=sgd,adam "momentum=0.5:0.99 if optimizer=sgd".
        metric: name of the metric that is minimised or maximised; reported each time it is read,
            or once in each epoch of a command that prints its epochs.
        mode: whether the lowest or the highest value is the best.
        metrics_from: source of the metrics: stdout; a file that ends in .csv or .jsonl; or a
            folder of TensorBoard's event files, such as {trial_dir}/runs.
        pattern: a regular expression that reads printed metrics, such as
            'Average loss: (?P<val_loss>[0-9.]+)'. Default: name=value, name: value, JSON lines.
        checkpoint: path of the checkpoints that the command saves, such as {trial_dir}/*.pt.
        resume_args: additional words of the command when it resumes, such as "--resume
            {checkpoint}", or without {checkpoint} if it resumes from where it saves; with them
            trials are paused and promoted instead of stopped.
        config_file: a YAML, JSON or TOML file, whose copy with the searched values is
            {config_file} in the command.
    """
    if not metric:
        raise ValueError("--metric is missing: give the name of a metric that the command reports")
    found = Command(
        tuple(shlex.split(command)),
        metric,
        patterns=pattern,
        metrics_from=metrics_from,
        checkpoint=checkpoint,
        resume_words=tuple(shlex.split(resume_args)),
        config_file=config_file,
    )
    if options.max_concurrent != 1:
        found.check_apart()
    space = space_of(search)
    found.check_names(parameter.name for parameter in space.parameters)
    if options.storage_path.startswith(SCHEME) and found.writes_files:
        raise ValueError(
            f"--storage-path {options.storage_path}: {{trial_dir}} is a folder that all nodes "
            "share: give one, or leave {trial_dir} out of the command"
        )
    return Tuner(
        command_trainable(found),
        tune_config=TuneConfig(
            metric=metric,
            mode=mode,
            search_alg=learning.search(space, seed=options.seed, start_points=options.start_points),
            scheduler=asha.scheduler(max_epochs=options.epochs, seed=options.seed),
            reuse_actors=True,
        ),
        run_config=RunConfig(stop={"training_iteration": options.epochs}),
    )


if __name__ == "__main__":
    main(job)
