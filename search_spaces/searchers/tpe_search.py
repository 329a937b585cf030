"""TPE by HyperOpt (Bergstra et al. 2011, *Algorithms for Hyper-Parameter Optimization*, section 4).

Tune's own `HyperOptSearch` learns nothing from a failed trial, mixes values of different epochs,
and allows no two branches with hyperparameters of the same name. Here HyperOpt sees the unit cube:
a range or an ordered list as a uniform number, a list without order as categories. Each
hyperparameter is a label of its own, fitted to the trials that have it, as TPE treats a tree of
conditions (section 4.2).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from search_spaces import needs_extra
from search_spaces.searchers.learning import LearningSearch
from search_spaces.space import Space

STARTUP = 20
"""Trials before the first proposal, HyperOpt's default."""

CANDIDATES = 8
"""Number of draws from the density of good trials, of which the best is used (n_EI_candidates).
HyperOpt's default of 24 leaves too little to chance: on `benchmarks/tabular.py` 8 have half of the
regret."""

GAMMA = 0.25
"""Parameter of the split: the ⌈γ √n⌉ best of n trials are the good ones."""

PRIOR_WEIGHT = 1.0
"""Weight of the prior, in trials."""

FAILED_TIMES = 3
"""Number of times that a failed trial counts in the density of bad trials. With 1 the model, which
treats each hyperparameter separately, proposes a diverging configuration nearly as often as random
search does (`benchmarks/divergence.py`)."""

Numbers: TypeAlias = NDArray[Any]


class TPESearch(LearningSearch):
    """HyperOpt's tree of Parzen estimators over trials that are compared at one rung.

    Args:
        space: space to search.
        seed: seed of all points.
        startup: number of trials before the first proposal of the model.
        start_points: configurations to try first, complete or partial; missing values are the
            defaults.
        reason: reason for the choice of this searcher; empty if the user has named it.

    Raises:
        ValueError: HyperOpt is not installed, or a start point is not in the space.
    """

    ranks_alone = True

    def __init__(
        self,
        space: Space,
        *,
        seed: int,
        startup: int = STARTUP,
        start_points: Sequence[Mapping[str, object]] = (),
        reason: str = "",
    ) -> None:
        with needs_extra("tpe"):
            import hyperopt
            from hyperopt import hp, pyll, tpe
        super().__init__(
            space, seed=seed, startup=startup, start_points=start_points, reason=reason
        )
        self._evaluate = pyll.rec_eval
        self._cube = {
            label: hp.randint(label, len(parameter.values))
            if parameter.categorical
            else hp.uniform(label, 0, 1)
            for label, parameter in zip(space.labels, space.parameters, strict=True)
        }
        self._domain = hyperopt.Domain(lambda point: point, self._cube)
        # Build the model's graph once; HyperOpt's `tpe.suggest` would build it for every proposal.
        self._observed, self._losses, self._posterior = tpe.build_posterior_wrapper(
            self._domain, PRIOR_WEIGHT, GAMMA
        )

    def proposal(self, rng: np.random.Generator) -> Sequence[float]:
        """Return the best of `CANDIDATES` draws for each hyperparameter, by l(x) / g(x)."""
        _, ranks = self.standing()
        # HyperOpt uses the order of losses alone; running trials are infinitely bad in it too.
        known = sorted({rank for rank in ranks.values() if rank is not None})
        loss_of = {rank: float(at) for at, rank in enumerate(known)}
        found = list(ranks.values())
        bad = np.array([s is not None and s.below == math.inf for s in found])
        # Bad trials come last, since HyperOpt gives older trials less weight.
        order = [*np.flatnonzero(~bad), *np.tile(np.flatnonzero(bad), FAILED_TIMES)]
        losses = np.array([np.inf if s is None else loss_of[s] for s in found])[order]
        indices, values = self._observations(order)
        candidates = list(range(len(losses), len(losses) + CANDIDATES))
        memo = {
            self._domain.s_new_ids: candidates,
            self._domain.s_rng: rng,
            self._losses["idxs"]: np.arange(len(losses)),
            self._losses["vals"]: losses,
            self._observed["idxs"]: indices,
            self._observed["vals"]: values,
        }
        _, proposed = self._evaluate(self._posterior, memo=memo, print_node_on_error=False)
        return [
            (proposed[label][0] + 0.5) / len(parameter.values)
            if parameter.categorical
            else float(proposed[label][0])
            for label, parameter in zip(self._cube, self.space.parameters, strict=True)
        ]

    def _observations(self, order: list[int]) -> tuple[dict[str, Numbers], dict[str, Numbers]]:
        """Return the numbers of the trials that have each hyperparameter, and their positions in
        `order`, by label."""
        units = np.array([record.unit for record in self.trials.values()], dtype=float)[order]
        indices, values = {}, {}
        for label, parameter, column in zip(
            self._cube, self.space.parameters, units.T, strict=True
        ):
            indices[label] = np.flatnonzero(~np.isnan(column))
            values[label] = column[indices[label]]
            if parameter.categorical:
                values[label] = (values[label] * len(parameter.values)).astype(int)
        return indices, values
