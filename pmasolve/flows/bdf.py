"""Variable-step BDF of orders 1 to 4 on backward differences, whose norms are sums that several processes may share.

CVODE is made for vectors of one process (`integrator`), and takes fewer steps at strict tolerances; this is for domains in slabs.
The differences are those of Shampine, Reichelt, SIAM J. Sci. Comput. 18 (1997); linear systems are solved by preconditioned GMRES.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..machine.arrays import Array
from ..problems.outcomes import REACHED, REFUSED
from .integrator import GAVE_UP, KRYLOV, LEADING, MAX_ORDER, Counts, System

Summed = Callable[[float], float]
GMRES_SHARE = 0.02  # of the tolerance: what GMRES may leave, in the norm of the error
CONVERGED = 0.1  # of the tolerance: what Newton may leave
NEWTON_TRIES = 4  # Newton iterations before a step is given up
SHORTEST_STEP = 1e-13  # of the time: a step below which nothing can be done


class Bdf:
    """Steps a `System` with local error ‖·‖_rms ≤ ``tolerance``; dense output at any time.

    Parameters
    ----------
    system : what is integrated.
    y, t : the start.
    tolerance : of the local error, root mean square.
    summed : the sum over all processes of a number that each has found on its own part of the vectors.
    """

    def __init__(self, system: System, y: Array, tolerance: float, t: float, summed: Summed) -> None:
        self.system, self.tolerance, self.counts = system, tolerance, Counts()
        self._summed, self._size = summed, summed(float(y.size))
        self.t, self.y, self.reached, self.outcome = t, y, t, REACHED
        self.order, self._k, self._same = np.nan, 1, 0
        self._h, self._rate = 0.0, 1.0
        self._differences = [y.copy()]  # ∇ʲy of step h: 0 … k + 2

    def advance(self, until: float) -> None:
        """One internal step; if it passes ``until``, the interpolant there."""
        if self.reached < until and not self._step(until):
            return
        self.t, self.y = self.reached, self._differences[0]
        if self.reached >= until:
            self.t, self.y = until, self._interpolated((until - self.reached) / self._h)

    def norm(self, y: Array) -> float:
        """Root mean square over all processes."""
        return float(np.sqrt(self.dot(y, y) / self._size))

    def dot(self, a: Array, b: Array) -> float:
        """∑ab over all processes."""
        return self._summed(float(np.dot(a, b)))

    def _interpolated(self, theta: float) -> Array:
        """The polynomial through the last values, θ steps after the last of them."""
        y, factor = self._differences[0].copy(), 1.0
        for j in range(1, self._k + 1):
            factor *= (theta + j - 1) / j
            y += factor * self._differences[j]
        return y

    def _begin(self, until: float) -> bool:
        """The first derivative, and from it the first step: a small one of order 1."""
        y = self._differences[0]
        f = np.empty_like(y)
        if not self._derivative(y, f):
            return False
        self._h = min(until - self.reached, 0.5 * np.sqrt(self.tolerance) / max(self.norm(f), 1e-30))
        self._differences += [self._h * f, *(np.zeros_like(y) for _ in range(MAX_ORDER + 1))]
        return True

    def _step(self, until: float) -> bool:
        """One step, as short as it has to be; False, with the outcome, where none is short enough."""
        refusals = self.counts.refusals
        if self._h == 0.0 and not self._begin(until):
            self.outcome = REFUSED
            return False
        while True:
            if self._h <= SHORTEST_STEP * max(abs(self.reached), until - self.reached):
                self.outcome = REFUSED if self.counts.refusals > refusals else GAVE_UP
                return False
            found = self._corrected()
            if found is None:
                self._change(0.5)
                continue
            error = self.norm(found) / (self._k + 1) / self.tolerance
            if error <= 1.0:
                break
            self._change(max(0.2, 0.9 * error ** (-1 / (self._k + 1))))
        self._accept(found, error)
        return True

    def _corrected(self) -> Array | None:
        """y − predicted at the end of a step, by Newton's method; None where it does not converge, or a state is refused.

        How fast it converges is remembered from step to step, so that one iteration may do.
        """
        D, k, gamma = self._differences, self._k, self._h / LEADING[self._k - 1]
        predicted = sum(D[1 : k + 1], D[0])
        psi = sum(LEADING[j - 1] * D[j] for j in range(1, k + 1)) / LEADING[k - 1]
        change, f, before = np.zeros_like(predicted), np.empty_like(predicted), None
        for _ in range(NEWTON_TRIES):
            y = predicted + change
            if not self._derivative(y, f):
                return None
            step = self._solved(y, gamma * f - psi - change, gamma)
            change += step
            size = self.norm(step)
            if before is not None:
                self._rate = max(0.3 * self._rate, size / before)
                if size > 2 * before:
                    return None
            if min(self._rate, 1.0) * size < CONVERGED * self.tolerance:
                return change
            before = size
        return None

    def _derivative(self, y: Array, out: Array) -> bool:
        self.counts.derivatives += 1
        admissible = self.system.derivative(y, out)
        self.counts.refusals += not admissible
        return admissible

    def _solved(self, y: Array, r: Array, gamma: float) -> Array:
        """(1 − γ DF)⁻¹ r by GMRES, the preconditioner on the left."""
        self.counts.newton_iterations += 1
        self.system.linearise(y)
        right = self._preconditioned(r, gamma)
        size = np.sqrt(self.dot(right, right))
        enough = GMRES_SHARE * self.tolerance * np.sqrt(self._size)
        if size <= enough:
            return right
        basis, H = [right / size], np.zeros((KRYLOV + 1, KRYLOV))
        coefficients = np.zeros(0)
        for j in range(KRYLOV):
            w = np.empty_like(right)
            self.counts.jacobian_products += 1
            self.system.jacobian_times(basis[j], w)
            w = self._preconditioned(basis[j] - gamma * w, gamma)
            for i, v in enumerate(basis):
                H[i, j] = self.dot(v, w)
                w -= H[i, j] * v
            H[j + 1, j] = np.sqrt(self.dot(w, w))
            target = np.zeros(j + 2)
            target[0] = size
            coefficients = np.linalg.lstsq(H[: j + 2, : j + 1], target, rcond=None)[0]
            left = np.linalg.norm(target - H[: j + 2, : j + 1] @ coefficients)
            if left <= enough or H[j + 1, j] <= 1e-14 * size:
                break
            basis.append(w / H[j + 1, j])
        return sum(c * v for c, v in zip(coefficients, basis, strict=False))  # pyright: ignore[reportReturnType]

    def _preconditioned(self, r: Array, gamma: float) -> Array:
        out = np.empty_like(r)
        self.counts.preconditionings += 1
        self.system.precondition(r, gamma, out)
        return out

    def _accept(self, found: Array, error: float) -> None:
        """The step is taken; the next has the order and the length that promise most."""
        D, k = self._differences, self._k
        self.reached, self.order = self.reached + self._h, float(k)
        self.counts.steps += 1
        self._same += 1
        D[k + 2] = found - D[k + 1]
        D[k + 1] = found
        for j in reversed(range(k + 1)):
            D[j] = D[j] + D[j + 1]
        if self._same < k + 1:
            return
        errors = [
            self.norm(D[k]) / k / self.tolerance if k > 1 else np.inf,
            error,
            self.norm(D[k + 2]) / (k + 2) / self.tolerance if k < MAX_ORDER else np.inf,
        ]
        factors = [max(e, 1e-12) ** (-1 / (k + i)) if np.isfinite(e) else 0.0 for i, e in enumerate(errors)]
        best = int(np.argmax(factors))
        factor = min(10.0, 0.8 * factors[best])
        if factor > 1.2 or factor < 1.0 or best != 1:
            self._k += best - 1
            self._change(factor)

    def _change(self, ratio: float) -> None:
        """Differences of another step length, ``ratio`` times this one."""
        k, D = self._k, self._differences
        U = _transformation(k, ratio) @ _transformation(k, 1.0)
        D[: k + 1] = [sum(U[i, j] * D[i] for i in range(k + 1)) for j in range(k + 1)]
        self._h, self._same = self._h * ratio, 0


def _transformation(k: int, ratio: float) -> Array:
    """Products of (i − 1 − ratio·j)/i down the columns."""
    M = np.zeros((k + 1, k + 1))
    M[0] = 1.0
    i, j = np.arange(1, k + 1)[:, None], np.arange(1, k + 1)[None]
    M[1:, 1:] = (i - 1 - ratio * j) / i
    return np.cumprod(M, axis=0)
