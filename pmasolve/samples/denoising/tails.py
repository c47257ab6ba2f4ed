"""The law of L_r(Y) at one r: s_r(u) = P(L_r(Y) > u) and E(L_r(Y) − u)₊, from draws or by quadrature on the line.

On the line log p_Y and L are analytic: panels of Gauss–Legendre nodes, a polynomial for each of p, L and Lp, exact integrals.
The places where L = u are roots of the polynomials.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.polynomial import legendre
from scipy.optimize import brentq
from scipy.stats import kstwo

from ...machine.arrays import Array
from .sources import Source

PANEL = 0.25  # longest panel, in units of the noise: features of L that carry mass are wider
PANEL_NODES = 10
BRACKET_HALVINGS = 60
BRACKET_ROUNDING = 1e-13  # of the values at the ends of a bracket


class Tail(Protocol):
    """The law of L_r(Y)."""

    @property
    def largest(self) -> float:
        """sup L, or the largest value drawn."""
        ...

    @property
    def mean(self) -> float:
        """E L."""
        ...

    def survival(self, u: float) -> float:
        """P(L > u)."""
        ...

    def excess(self, u: float) -> float:
        """E(L − u)₊ = ∫_u^∞ P(L > w) dw."""
        ...


@dataclass(frozen=True, eq=False)
class DrawnTail:
    """Values L_r(Yᵢ), each of mass 1/n, in ascending order."""

    values: Array

    @classmethod
    def of(cls, values: Array) -> DrawnTail:
        """Sort them."""
        return cls(np.sort(values))

    @cached_property
    def _above(self) -> Array:
        """Σ_{j ≥ i} values, with a 0 at the end."""
        return np.append(np.cumsum(self.values[::-1])[::-1], 0.0)

    @property
    def largest(self) -> float:
        """The largest value drawn."""
        return float(self.values[-1])

    @property
    def mean(self) -> float:
        """The mean of the values drawn."""
        return float(np.mean(self.values))

    def survival(self, u: float) -> float:
        """The part of the values above u."""
        return 1 - np.searchsorted(self.values, u, side="right") / self.values.size

    def excess(self, u: float) -> float:
        """Mean of (value − u)₊."""
        first = int(np.searchsorted(self.values, u, side="right"))
        return float(self._above[first] - u * (self.values.size - first)) / self.values.size

    def standard_error(self, u: float) -> float:
        """Of ``excess``, as for independent draws; stratified ones err less."""
        return float(np.std(np.maximum(self.values - u, 0.0), ddof=1)) / np.sqrt(self.values.size)

    def half_width(self, confidence: float) -> float:
        """ε with sup_u |drawn − true survival| ≤ ε at this confidence (Dvoretzky–Kiefer–Wolfowitz, exact for independent draws)."""
        return float(kstwo.isf(1 - confidence, self.values.size))

    def excess_between(self, u: float, ceiling: float, confidence: float) -> tuple[float, float]:
        """∫_u^ceiling of the survival's band: an interval for ``excess`` at this confidence, if L ≤ ceiling."""
        eps, inner = self.half_width(confidence), np.append(self.values[self.values > u], ceiling)
        edges = np.append(u, inner)
        heights = 1 - np.searchsorted(self.values, edges[:-1], side="right") / self.values.size
        lengths = np.maximum(np.diff(edges), 0.0)
        seen = slice(None, -1)  # beyond the last value the lower band is 0
        low = float(np.sum(lengths[seen] * np.maximum(heights[seen] - eps, 0.0)))
        inside = float(np.sum(lengths[seen] * np.minimum(heights[seen] + eps, 1.0)))
        return low, inside + lengths[-1] * min(heights[-1] + eps, 1.0)


@dataclass(frozen=True, eq=False)
class LineTail:
    """Piecewise polynomials on the line.

    Attributes
    ----------
    edges : (m + 1,) of the panels.
    value : (PANEL_NODES, m) Legendre coefficients of L.
    mass, weighted : (PANEL_NODES + 1, m) those of ∫p and ∫Lp from the left edge of the panel.
    """

    edges: Array
    value: Array
    mass: Array
    weighted: Array
    nodes: Array
    at_nodes: Array

    @classmethod
    def of(cls, source: Source, r: float) -> LineTail:
        """L and p of a source on the line at one r."""
        low, high = source.span(r)
        edges = np.linspace(low, high, int(np.ceil((high - low) / PANEL)) + 1)
        x, _ = legendre.leggauss(PANEL_NODES)
        half = 0.5 * np.diff(edges)
        y = (edges[:-1] + half + half * x[:, None]).ravel(order="F")
        law = source.posterior(r, y[:, None])
        p, values = (part.reshape(PANEL_NODES, -1, order="F") for part in (np.exp(law.log_density), law.trace))
        fit = np.linalg.inv(legendre.legvander(x, PANEL_NODES - 1))
        integrals = [legendre.legint(fit @ f, lbnd=-1, axis=0) * half for f in (p, values * p)]
        return cls(edges, fit @ values, *integrals, y, values.ravel(order="F"))

    @cached_property
    def _totals(self) -> tuple[Array, Array]:
        """∫p and ∫Lp up to every edge."""
        return tuple(np.append(0.0, np.cumsum(part.sum(axis=0))) for part in (self.mass, self.weighted))

    @cached_property
    def largest(self) -> float:
        """sup L where p is not negligible, refined in the panels about its largest value at a node."""
        panel = int(np.argmax(self.at_nodes)) // PANEL_NODES
        x = np.linspace(-1, 1, 2001)
        best = 0.0
        for k in range(max(panel - 1, 0), min(panel + 2, self.value.shape[1])):
            f = self.value[:, k]
            peak = x[int(np.argmax(legendre.legval(x, f)))]
            slopes = legendre.legder(f)
            near = np.clip([peak - 1e-3, peak + 1e-3], -1, 1)
            if legendre.legval(near[0], slopes) > 0 > legendre.legval(near[1], slopes):
                peak = _root(lambda z, s=slopes: -legendre.legval(z, s), near[:1], near[1:])[0]
            best = max(best, float(legendre.legval(peak, f)))
        return best

    @property
    def mean(self) -> float:
        """E L."""
        return float(self._totals[1][-1])

    def cdf(self, y: Array) -> Array:
        """P(Y ≤ y), of the shape of y (one axis)."""
        panel, _ = self._place(y)
        return self._totals[0][panel] + self._at(y, self.mass)

    def survival(self, u: float) -> float:
        """P(L > u)."""
        return float(np.clip(np.sum(self._parts(u)[0]), 0.0, 1.0))

    def excess(self, u: float) -> float:
        """E(L − u)₊."""
        mass, weighted = self._parts(u)
        return max(0.0, float(np.sum(weighted - u * mass)))

    def _parts(self, u: float) -> tuple[Array, Array]:
        """∫p and ∫Lp over the intervals where L > u."""
        above = self.at_nodes > u
        (turn,) = np.nonzero(above[1:] != above[:-1])
        cuts = self._crossings(u, turn)
        ends = np.concatenate([[self.edges[0]] * bool(above[0]), cuts, [self.edges[-1]] * bool(above[-1])])
        mass, weighted = self._up_to(ends)
        return mass[1::2] - mass[::2], weighted[1::2] - weighted[::2]

    def _crossings(self, u: float, turn: Array) -> Array:
        """Where L = u between nodes ``turn`` and ``turn + 1``, one of which is above u."""
        low, high = self.nodes[turn], self.nodes[turn + 1]
        falls = np.where(self.at_nodes[turn] > u, -1.0, 1.0)
        return _root(lambda y: falls * (self._at(y, self.value) - u), low, high)

    def _at(self, y: Array, coefficients: Array) -> Array:
        panel, x = self._place(y)
        return legendre.legval(x, coefficients[:, panel], tensor=False)

    def _place(self, y: Array) -> tuple[Array, Array]:
        """Panels of y, and the places in them, in [−1, 1]."""
        panel = np.clip(np.searchsorted(self.edges, y, side="right") - 1, 0, self.edges.size - 2)
        left, right = self.edges[panel], self.edges[panel + 1]
        return panel, (2 * y - left - right) / (right - left)

    def _up_to(self, y: Array) -> tuple[Array, Array]:
        """∫p and ∫Lp up to y."""
        panel, _ = self._place(y)
        pairs = zip(self._totals, (self.mass, self.weighted), strict=True)
        mass, weighted = (total[panel] + self._at(y, part) for total, part in pairs)
        return mass, weighted


def _root(f: Callable[[Array], Array], low: Array, high: Array) -> Array:
    """Roots of f, negative at ``low`` and positive at ``high``, by the secant in a bracket (Illinois' rule)."""
    below, above = f(low), f(high)
    small = BRACKET_ROUNDING * (above - below)
    middle = 0.5 * (low + high)
    for _ in range(BRACKET_HALVINGS):
        step = np.where(above > below, above - below, 1.0)
        middle = np.where(above > below, high - above * (high - low) / step, 0.5 * (low + high))
        value = f(middle)
        if np.all(np.abs(value) <= small):
            break
        up = value > 0
        low, high = np.where(up, low, middle), np.where(up, middle, high)
        below, above = np.where(up, 0.5 * below, value), np.where(up, value, 0.5 * above)
    return middle


def turning_point(f: Callable[[float], float], low: float, high: float) -> float:
    """Where a growing function passes 0, by a jump perhaps; the end next to it if it does not."""
    if f(low) >= 0:
        return low
    return float(brentq(f, low, high, xtol=1e-13, rtol=1e-13)) if f(high) > 0 else high
