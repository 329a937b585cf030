"""The scheduler that stops nobody."""

from __future__ import annotations

from ray.tune.schedulers import FIFOScheduler


class InOrder(FIFOScheduler):
    """Lets every trial run to its end, in the order of their suggestion."""

    def describe(self) -> dict[str, object]:
        """Nothing: it is what a study has that names no scheduler."""
        return {}

    def choose_trial_to_run(self, controller: object) -> None:
        """None: Tune starts pending trials in their order without being told.

        Told the oldest one, as its own schedulers do, it would hand a process that has just come
        free to a trial whose own process is still starting, and end that start: short trials would
        run one at a time, whatever the cluster has.
        """
