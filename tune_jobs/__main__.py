"""`python -m tune_jobs train PRESET`: what needs no script of one's own."""

import sys
from pathlib import Path

from tune_jobs import train_preset

COMMANDS = {"train": train_preset.main}


def main() -> None:
    """Runs the command that comes first; 2 where it is none."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in COMMANDS:
        print(
            f"error: python -m tune_jobs has the commands {', '.join(COMMANDS)}; got {name!r}",
            file=sys.stderr,
        )
        sys.exit(2)
    # As if its script had been called: what a study says to type is to work.
    sys.argv = [str(Path(__file__).with_name("train_preset.py")), *sys.argv[2:]]
    COMMANDS[name]()


if __name__ == "__main__":
    main()
