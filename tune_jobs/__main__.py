"""`python -m tune_jobs train PRESET` or `preflight`: what needs no script of one's own."""

import importlib.util
import runpy
import sys
from pathlib import Path

COMMANDS = {
    "train": (
        "tune_jobs.train_preset",
        "a preset, which earlier studies have found, under several seeds",
    ),
    "preflight": (
        "tune_cluster.execution.preflight",
        "could a study run here? asks all nodes of a cluster",
    ),
}
"""The module of each, and what it does."""


def main() -> None:
    """Runs the command that comes first; 2 where it is none."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in ("-h", "--help"):
        for command, (_, does) in COMMANDS.items():
            print(f"python -m tune_jobs {command}    {does}; --help has its flags")
        print("python tune_jobs/JOB.py    a study, whose price is told before its first trial")
        return
    if name not in COMMANDS:
        which = f"{name} is no command:" if name else "which command?"
        told = f"{which} python -m tune_jobs {{{','.join(COMMANDS)}}}, or --help"
        print(f"error: {told}", file=sys.stderr)
        sys.exit(2)
    # As if its script had been called: what a study says to type is to work.
    found = importlib.util.find_spec(COMMANDS[name][0])
    assert found is not None
    script = Path(str(found.origin))
    here = script.is_relative_to(Path.cwd())
    sys.argv = [str(script.relative_to(Path.cwd()) if here else script), *sys.argv[2:]]
    runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    main()
