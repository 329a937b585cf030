"""Our searchers, driven without Tune: each trial is reported as soon as it is suggested."""

from typing import Any

from search_spaces.objective import Objective, StudySpec
from search_spaces.schedulers.base import StudyScheduler
from search_spaces.searchers.base import StudySearcher
from search_spaces.trial_events import Ended, Result, Suggested


class Driven:
    """A study whose metric is `loss`, smaller is better; the scheduler is not used."""

    def __init__(self, searcher: StudySearcher, scheduler: StudyScheduler | None = None) -> None:
        self.searcher = searcher
        StudySpec(
            objective=Objective("loss", "min"),
            trials=1,
            searcher=searcher,
            scheduler=scheduler or StudyScheduler(),
            continues=True,
        ).check()

    def suggest(self, index: int) -> dict[str, Any]:
        """Return the configuration of the next trial."""
        config = self.searcher.point(index)
        assert config is not None
        self.tell_suggested(index, config)
        return config

    def tell_suggested(self, index: int, config: dict[str, Any]) -> None:
        """Report that a trial has this configuration."""
        self.searcher.on_event(Suggested(trial=index, config=config), replay=False)

    def report(self, index: int, epoch: int, loss: float) -> None:
        """Report the loss of a trial."""
        result = Result(trial=index, epoch=epoch, metrics={"loss": loss})
        self.searcher.on_event(result, replay=False)

    def end(self, index: int, epoch: int, loss: float | None) -> None:
        """Report that a trial has ended with that loss, or diverged."""
        if loss is None:
            ended = Ended(trial=index, epoch=epoch, status="diverged")
        else:
            self.report(index, epoch, loss)
            ended = Ended(trial=index, epoch=epoch, status="finished")
        self.searcher.on_event(ended, replay=False)
