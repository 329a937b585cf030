"""Drives a scheduler as the engine does, over learning curves that a test makes up."""

from types import SimpleNamespace

from ray.tune.schedulers import TrialScheduler

from search_spaces.trial_events import Ended, Promoted, Result, RungJudged, Suggested


class Driver:
    """Runs trials of given curves as the engine does, and keeps the journal.

    A curve has a value an epoch, None where the trial fails; one that is short ends by itself.
    """

    def __init__(self, scheduler, curves, journal=()):
        self.scheduler, self.curves = scheduler, curves
        self.journal = list(journal)
        self.at, self.running = {}, []
        for event in self.journal:
            scheduler.on_event(event, replay=True)
            self._follow(event)
        missing = scheduler.take_events()
        for event in missing:
            scheduler.on_event(event, replay=True)
            self._follow(event)
        self.journal += missing

    def _follow(self, event):
        if isinstance(event, (Suggested, Promoted)):
            self.running.append(event.trial)
            self.at.setdefault(event.trial, 0)
        elif isinstance(event, Result):
            self.at[event.trial] = event.epoch
        elif isinstance(event, Ended):
            self.running.remove(event.trial)

    def emit(self, *events):
        """Write events, and pass them on."""
        self.journal += events
        for event in events:
            self.scheduler.on_event(event, replay=False)
            self._follow(event)

    def begin(self):
        """Let the next trial run; whether there was one."""
        promoted = self.scheduler.next_promotion()
        if promoted is not None:
            self.emit(promoted)
        elif len(self.at) < len(self.curves):
            self.emit(Suggested(trial=len(self.at), config={}))
        else:
            return False
        return True

    def epoch(self, trial):
        """An epoch of a running trial."""
        epoch = self.at[trial] + 1
        value = self.curves[trial][epoch - 1]
        if value is None:
            self.emit(Ended(trial=trial, epoch=epoch, status="failed"))
        else:
            result = Result(trial=trial, epoch=epoch, metrics={"score": value})
            if epoch == len(self.curves[trial]):
                self.emit(result, Ended(trial=trial, epoch=epoch, status="finished"))
            else:
                tunes = SimpleNamespace(custom_dirname=f"{trial:04d}")
                metrics = {"epoch": epoch, "score": value}
                answer = self.scheduler.on_trial_result(None, tunes, metrics)
                self.emit(result, *self.scheduler.take_events())
                assert (answer == TrialScheduler.STOP) == (trial not in self.running)
        self.emit(*self.scheduler.take_events())

    def run(self, workers=1):
        """To the end of the study, an epoch of each after the other."""
        for _ in self.steps(workers, range(workers)):
            pass
        return self

    def steps(self, workers=1, turns=(0,)):
        """Yields after each epoch, of that running trial whose turn it is."""
        turn = 0
        while True:
            while len(self.running) < workers and self.begin():
                pass
            if not self.running:
                return
            self.epoch(self.running[turns[turn % len(turns)] % len(self.running)])
            turn += 1
            yield

    def told(self, kind):
        """The events of a kind, in their order."""
        return [event for event in self.journal if isinstance(event, kind)]

    @property
    def judged(self):
        """The rungs that were judged, each with whether it is used."""
        return [(event.rung, event.used) for event in self.told(RungJudged)]
