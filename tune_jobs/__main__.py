"""`python -m tune_jobs train PRESET`: what needs no script of one's own."""

import sys
from pathlib import Path

from tune_jobs import train_preset

COMMANDS = {"train": train_preset}


def main() -> None:
    """Runs the command that comes first; 2 where it is none."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        for command, module in COMMANDS.items():
            first = (module.__doc__ or "").splitlines()[0]
            print(f"python -m tune_jobs {command}    {first}")
        return
    if name not in COMMANDS:
        print(f"error: {name}: the commands are {', '.join(COMMANDS)}", file=sys.stderr)
        sys.exit(2)
    # As if its script had been called: what a study says to type is to work.
    script = Path(str(COMMANDS[name].__file__))
    here = script.is_relative_to(Path.cwd())
    sys.argv = [str(script.relative_to(Path.cwd()) if here else script), *sys.argv[2:]]
    COMMANDS[name].main()


if __name__ == "__main__":
    main()
