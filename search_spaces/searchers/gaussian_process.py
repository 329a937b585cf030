"""Gaussian process: exact regression with hyperparameters at their posterior mode.

After Rasmussen and Williams 2006, *Gaussian Processes for Machine Learning*, chapters 2 and 5:
a Matérn 5/2 kernel with one length scale for each column, a signal and a noise variance. The prior
of a length scale grows with the root of the number of columns (Hvarfner, Hellsten and Nardi 2024,
*Vanilla Bayesian Optimization Performs Great in High Dimensions*); without it, a process with many
columns treats every point as far from all others.

It needs NumPy and SciPy alone: importing a library on torch takes longer than a study of a hundred
suggestions here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize
from scipy.special import erfcx, log_ndtr

from search_spaces.searchers.encoding import Floats

JITTER = 1e-8
"""Term on the diagonal, so that a point may occur twice."""

LENGTH_SPREAD = math.sqrt(3)
"""Prior standard deviation of the logarithm of a length scale, as in Hvarfner et al."""

NOISE_SHAPE, NOISE_RATE = 1.1, 30.0
"""Gamma prior of the noise variance, as in Optuna's GPSampler: little noise, or none."""

BOUNDS = ((math.log(0.01), math.log(1e4)), (math.log(0.02), math.log(50)), (math.log(1e-7), 0.0))
"""Bounds of the logarithms of a length scale, of the signal variance and of the noise variance."""

ITERATIONS = 50
"""Largest number of iterations of L-BFGS-B."""


@dataclass(frozen=True)
class Kernel:
    """Matérn 5/2 kernel with noise, for values with variance 1."""

    lengths: Floats
    """Length scale of each column, [d]."""
    signal: float = 1.0
    """Signal variance."""
    noise: float = 1e-3
    """Noise variance."""

    def between(self, a: Floats, b: Floats) -> Floats:
        """Return the covariances without noise of [n, d] and [m, d]: [n, m]."""
        covariance: Floats = self.signal * matern(distances(a / self.lengths, b / self.lengths))
        return covariance


def distances(a: Floats, b: Floats) -> Floats:
    """Return the Euclidean distances between [n, d] and [m, d], times √5: [n, m]."""
    squares = -2 * (a @ b.T)
    squares += (a * a).sum(axis=1)[:, None]
    squares += (b * b).sum(axis=1)
    np.maximum(squares, 0, out=squares)
    squares *= 5
    return np.sqrt(squares, out=squares)


def matern(distance: Floats) -> Floats:
    """Return the Matérn 5/2 covariance for a distance times √5."""
    found: Floats = distance / 3
    found += 1
    found *= distance
    found += 1
    found *= np.exp(-distance)
    return found


class Posterior:
    """A Gaussian process conditioned on values.

    Args:
        kernel: kernel of the process, which has mean 0.
        x: points, [n, d].
        y: their values, [n], or those of several processes with the same kernel, [n, k].
    """

    def __init__(self, kernel: Kernel, x: Floats, y: Floats) -> None:
        self.kernel, self.x = kernel, x
        covariance = kernel.between(x, x)
        covariance[np.diag_indices_from(covariance)] += kernel.noise + JITTER
        self._factor = cholesky(covariance, lower=True, overwrite_a=True, check_finite=False)
        self._weights = cho_solve((self._factor, True), y, check_finite=False)

    def mean(self, x: Floats) -> Floats:
        """Return the expected values at [m, d]: [m], or [m, k]."""
        expected: Floats = self.kernel.between(x, self.x) @ self._weights
        return expected

    def at(self, x: Floats) -> tuple[Floats, Floats]:
        """Return the mean at [m, d], and the standard deviation without noise, [m]."""
        across = self.kernel.between(self.x, x)
        expected: Floats = across.T @ self._weights
        solved = solve_triangular(
            self._factor, across, lower=True, overwrite_b=True, check_finite=False
        )
        variance = self.kernel.signal - np.einsum("nm,nm->m", solved, solved)
        return expected, np.sqrt(np.maximum(variance, 1e-12))

    def believing(self, x: Floats) -> Posterior:
        """Return the process conditioned on its own expectation at [m, d], as a kriging believer
        (Ginsbourger, Le Riche and Carraro 2010): with equal means and a smaller deviation there."""
        none = np.zeros((len(x), *self._weights.shape[1:]))
        weights = np.concatenate([self._weights, none])
        believing = Posterior(self.kernel, np.vstack([self.x, x]), weights)
        believing._weights = weights
        return believing


@dataclass(frozen=True)
class Evidence:
    """Posterior density of a kernel's parameters, given values.

    Args:
        x: points, [n, d].
        y: their values, [n].
    """

    x: Floats
    y: Floats

    @cached_property
    def usual_length(self) -> float:
        """Prior mean of the logarithm of a length scale."""
        return math.sqrt(2) + math.log(self.x.shape[1]) / 2

    @property
    def start(self) -> Floats:
        """Return the logarithms of the parameters at the mode of the prior."""
        lengths = np.full(self.x.shape[1], self.usual_length - LENGTH_SPREAD**2)
        return np.array([*lengths, 0.0, math.log(1e-2)])

    def loss(self, logs: Floats) -> tuple[float, Floats]:
        """Return the negative log density, up to a constant, and its gradient.

        Args:
            logs: logarithms of length scales, signal and noise variance, [d + 2].
        """
        *lengths, signal, noise = np.exp(logs)
        scaled = self.x / np.array(lengths)
        distance = distances(scaled, scaled)
        shape = matern(distance)
        covariance = signal * shape
        covariance[np.diag_indices_from(covariance)] += noise + JITTER
        factor = cholesky(covariance, lower=True, overwrite_a=True, check_finite=False)
        weights = cho_solve((factor, True), self.y, check_finite=False)
        inverse: Any = dpotri(factor, lower=1)[0]
        loss = 0.5 * float(self.y @ weights) + float(np.log(factor.diagonal()).sum())
        # Half the derivative of the loss by each covariance, times minus two.
        outer = np.outer(weights, weights) - inverse - np.tril(inverse, -1).T
        by_square = outer * (signal * (5 / 3) * (1 + distance) * np.exp(-distance))
        row_sums = by_square.sum(axis=1)
        inner = np.einsum("nd,nd->d", scaled, by_square @ scaled)
        by_length = -((scaled * scaled).T @ row_sums - inner)
        by_signal = -0.5 * signal * float(np.einsum("nm,nm->", outer, shape))
        by_noise = -0.5 * noise * float(np.trace(outer))
        prior, by_prior = self._prior(logs)
        return loss + prior, np.array([*by_length, by_signal, by_noise]) + by_prior

    def _prior(self, logs: Floats) -> tuple[float, Floats]:
        lengths, signal, noise = logs[:-2], logs[-2], logs[-1]
        off = (lengths - self.usual_length) / LENGTH_SPREAD
        loss = float((off**2 / 2 + lengths).sum()) + signal**2 / 2
        loss += NOISE_RATE * math.exp(noise) - (NOISE_SHAPE - 1) * noise
        by_noise = NOISE_RATE * math.exp(noise) - (NOISE_SHAPE - 1)
        return loss, np.array([*(off / LENGTH_SPREAD + 1), signal, by_noise])


def fitted(x: Floats, y: Floats) -> Kernel:
    """Return the kernel at the posterior mode, given values [n] of variance 1 at [n, d]."""
    evidence = Evidence(x, y)
    length, signal, noise = BOUNDS
    found = minimize(
        evidence.loss,
        evidence.start,
        jac=True,
        method="L-BFGS-B",
        bounds=[length] * x.shape[1] + [signal, noise],
        options={"maxiter": ITERATIONS},
    )
    *lengths, signal_variance, noise_variance = np.exp(found.x)
    return Kernel(np.array(lengths), float(signal_variance), float(noise_variance))


def log_expected_improvement(mean: Floats, deviation: Floats, best: float) -> Floats:
    """Return the logarithm of the expected improvement of a value below `best`, [n].

    The logarithm is computed without the improvement itself, which underflows to 0 where the
    process expects none (Ament et al. 2023, *Unexpected Improvements to Expected Improvement for
    Bayesian Optimization*).
    """
    z = (best - mean) / deviation
    near = np.maximum(z, -1.0)
    density = np.exp(-0.5 * near**2) / math.sqrt(2 * math.pi)
    found = np.log(density + near * np.exp(log_ndtr(near)))
    far = z < -1
    w = -z[far]
    # φ(z) (1 - w Φ(z)/φ(z)), where Φ(z)/φ(z) = √(π/2) erfcx(w/√2); far out it is φ(z) / w².
    ratio = w * math.sqrt(math.pi / 2) * erfcx(w / math.sqrt(2))
    rest = np.where(w < 1e5, np.log1p(-np.minimum(ratio, 1 - 1e-12)), -2 * np.log(w))
    found[far] = -0.5 * w**2 - 0.5 * math.log(2 * math.pi) + rest
    logarithm: Floats = found + np.log(deviation)
    return logarithm
