"""A study whose trials wait until a test releases them, independent of any speed."""

import time

from tests.conftest import PATIENCE, journal_of

GATE = """
import time
from pathlib import Path

GATE = Path(__file__).with_name("gate-is-open")

def wait():
    while not GATE.exists():
        time.sleep(0.05)
"""

STUDY = """
from ray import tune
from search_spaces.catalogue import LEARNING_RATE
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from tune_cluster import TuneConfig, Tuner, main

class Waits(tune.Trainable):
    def step(self):
        wait()
        return {"val_loss": self.config["learning_rate"]}

class Reused(Waits):
    reuse_actors = True

    def reset_config(self, config):
        self.config = config
        return True

def job(options, *, reuse: bool = True):
    strategy = RandomSearch(Space("own", (LEARNING_RATE,)), seed=options.seed)
    return Tuner(
        Reused if reuse else Waits,
        tune_config=TuneConfig(metric="val_loss", mode="min", search_alg=strategy),
    )

main(job)
"""

TRIALS = 6


class Gated:
    """Such a study, in a process of its own, with its first trial at the gate.

    Args:
        start_job: the fixture.
        folder: the test's.
        arguments: of the job, beside those for a small study; `--no-reuse` gives each trial a
            process of its own.
        job: its script, which has `wait()`.
        options: of `start_job`.
    """

    def __init__(self, start_job, folder, *arguments, job=STUDY, **options):
        self.script = folder / "study.py"
        self.script.write_text(GATE + job)
        self.directory = folder / "results" / "study"
        small = ("--trials", str(TRIALS), "--max-epochs", "2", "--name", "study", "--no-report")
        self.process = start_job(*small, *arguments, script=self.script, **options)
        self.wait_for("started")

    def wait_for(self, kind, times=1):
        """Wait until the journal has that many events of a kind."""
        deadline = time.monotonic() + PATIENCE
        while sum(event["event"] == kind for event in self.events()) < times:
            assert self.process.poll() is None, self.process.stdout.read()
            assert time.monotonic() < deadline, f"no {kind} in the journal"
            time.sleep(0.1)

    def events(self):
        """Return what it has written until now."""
        return journal_of(self.directory) if (self.directory / "journal.jsonl").exists() else []

    def open(self):
        """Release all trials."""
        self.script.with_name("gate-is-open").touch()

    def ended(self):
        """Return its output, once it has ended with success."""
        output, _ = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, output
        return output
