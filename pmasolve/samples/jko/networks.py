"""Blocks that are networks, evaluated without torch: residual blocks x + f(x), and one step of an ODE by Runge and Kutta.

`samples.neural` trains them.  Here they are maps like all others: with the exact Jacobian of what is computed, an inverse of what
is computed, not of the flow that it approximates, and their numbers in NumPy arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from ...machine.arrays import Array
from .blocks import BLOCK_INVERSE_TOL, newton_inverse

FIXED_POINTS = 30
COMPLEX_STEP = 1e-30


@dataclass(frozen=True, eq=False)
class Perceptron:
    """W_L tanh(… tanh(W_1 x + b_1) …) + b_L.

    Parameters
    ----------
    weights, biases : (out, in) and (out,) of each layer.
    """

    weights: tuple[Array, ...] = field(repr=False)
    biases: tuple[Array, ...] = field(repr=False)

    @classmethod
    def of_row(cls, row: Array, widths: tuple[int, ...]) -> Perceptron:
        """From numbers one after the other, W_1, b_1, W_2, …; widths of the input, the hidden layers and the output."""
        weights, biases, at = [], [], 0
        for into, out in pairwise(widths):
            weights.append(row[at : at + into * out].reshape(out, into))
            biases.append(row[at + into * out : at + (into + 1) * out])
            at += (into + 1) * out
        return cls(tuple(weights), tuple(biases))

    @property
    def row(self) -> Array:
        """All numbers, W_1, b_1, W_2, …"""
        return np.concatenate([part.ravel() for pair in zip(self.weights, self.biases, strict=True) for part in pair])

    @property
    def arrays(self) -> dict[str, Array]:
        """By name, for files."""
        pairs = zip(self.weights, self.biases, strict=True)
        return {f"{name}{i}": a for i, pair in enumerate(pairs) for name, a in zip("Wb", pair, strict=True)}

    @classmethod
    def of(cls, arrays: Mapping[str, Array]) -> Perceptron:
        """Of a file."""
        count = sum(name.startswith("W") for name in arrays)
        return cls(tuple(arrays[f"W{i}"] for i in range(count)), tuple(arrays[f"b{i}"] for i in range(count)))

    @property
    def lipschitz(self) -> float:
        """The product of the layers' norms, a bound on the Lipschitz constant."""
        return float(np.prod([np.linalg.norm(W, 2) for W in self.weights]))

    def at(self, x: Array, tangents: Array | None = None) -> tuple[Array, Array]:
        """Values (n, out), and images (n, m, out) of tangents (n, m, in); of none unless given."""
        J = np.empty((len(x), 0, x.shape[1])) if tangents is None else tangents
        last = len(self.weights) - 1
        for k, (W, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            x, J = x @ W.T + b, J @ W.T
            if k < last:
                x = np.tanh(x)
                J = J * (1 - x**2)[:, None, :]
        return x, J


def width_of(dim: int, width: int, depth: int, *, timed: bool) -> tuple[int, ...]:
    """Widths of input, hidden layers and output; a timed network takes t after x.

    Examples
    --------
    >>> width_of(2, 64, 2, timed=True)
    (3, 64, 64, 2)
    """
    return (dim + timed, *(width,) * depth, dim)


def numbers_in(widths: tuple[int, ...]) -> int:
    """How many numbers a network has."""
    return sum((into + 1) * out for into, out in pairwise(widths))


@dataclass(frozen=True, eq=False)
class ResidualBlock:
    """x ↦ x + f(x), invertible where the Lipschitz constant of f is below 1.

    Parameters
    ----------
    network : f.
    """

    network: Perceptron

    @property
    def dim(self) -> int:
        """The dimension d."""
        return len(self.network.biases[-1])

    @property
    def row(self) -> Array:
        """Numbers of f."""
        return self.network.row

    @property
    def arrays(self) -> Mapping[str, Array]:
        """Of f."""
        return self.network.arrays

    @classmethod
    def of(cls, arrays: Mapping[str, Array]) -> ResidualBlock:
        """The block of a file."""
        return cls(Perceptron.of(arrays))

    @property
    def stretch(self) -> float:
        """1 − the bound on the Lipschitz constant, if positive."""
        return max(0.0, 1 - self.network.lipschitz)

    def image(self, x: Array) -> Array:
        """x + f(x)."""
        return x + self.network.at(x)[0]

    def jacobian(self, x: Array) -> Array:
        """I + Df."""
        unit = np.broadcast_to(np.eye(self.dim), (len(x), self.dim, self.dim))
        return unit + np.swapaxes(self.network.at(x, unit)[1], 1, 2)

    def log_det_slope(self, x: Array) -> Array:
        """By complex steps."""
        return log_det_slope(self, x)

    def preimage(self, y: Array) -> Array:
        """Fixed points x ← y − f(x), then Newton's method."""
        x = y.copy()
        for _ in range(FIXED_POINTS):
            x = y - self.network.at(x)[0]
        return newton_inverse(self, y, x, BLOCK_INVERSE_TOL * (1 + np.abs(y).max(initial=0.0)))


@dataclass(frozen=True, eq=False)
class ODEBlock:
    """x ↦ x(1) of ẋ = v(x, t), x(0) = x, by the classical method of Runge and Kutta of order 4: the map that is computed, exactly.

    Parameters
    ----------
    network : v, of x and t.
    steps : of the method.
    """

    network: Perceptron
    steps: int = 4

    @property
    def dim(self) -> int:
        """The dimension d."""
        return len(self.network.biases[-1])

    @property
    def row(self) -> Array:
        """Numbers of v."""
        return self.network.row

    @property
    def arrays(self) -> Mapping[str, Array]:
        """Of v, and the steps."""
        return {**self.network.arrays, "steps": np.array(float(self.steps))}

    @classmethod
    def of(cls, arrays: Mapping[str, Array]) -> ODEBlock:
        """The block of a file."""
        return cls(Perceptron.of(arrays), int(arrays["steps"]))

    @property
    def stretch(self) -> float:
        """No bound is known."""
        return 0.0

    def image(self, x: Array) -> Array:
        """x(1)."""
        return self._followed(x, np.empty((len(x), 0, self.dim)), 1.0)[0]

    def jacobian(self, x: Array) -> Array:
        """The exact derivative of the steps."""
        unit = np.broadcast_to(np.eye(self.dim), (len(x), self.dim, self.dim))
        return np.swapaxes(self._followed(x, unit, 1.0)[1], 1, 2)

    def log_det_slope(self, x: Array) -> Array:
        """By complex steps."""
        return log_det_slope(self, x)

    def preimage(self, y: Array) -> Array:
        """The steps backwards as a first guess, then Newton's method on the steps forwards."""
        guess = self._followed(y, np.empty((len(y), 0, self.dim)), -1.0)[0]
        return newton_inverse(self, y, guess, BLOCK_INVERSE_TOL * (1 + np.abs(y).max(initial=0.0)))

    def _followed(self, x: Array, J: Array, sign: float) -> tuple[Array, Array]:
        """x and tangents J (n, m, d) over the unit interval, forwards or backwards."""
        h = sign / self.steps

        def v(x: Array, J: Array, t: float) -> tuple[Array, Array]:
            """Velocity and its derivative along J."""
            timed = np.concatenate([x, np.full((len(x), 1), t)], axis=1)
            return self.network.at(timed, np.concatenate([J, np.zeros((*J.shape[:2], 1))], axis=2))

        for k in range(self.steps):
            t = k * h if sign > 0 else 1.0 + k * h
            a, A = v(x, J, t)
            b, B = v(x + h / 2 * a, J + h / 2 * A, t + h / 2)
            c, C = v(x + h / 2 * b, J + h / 2 * B, t + h / 2)
            e, E = v(x + h * c, J + h * C, t + h)
            x, J = x + h / 6 * (a + 2 * b + 2 * c + e), J + h / 6 * (A + 2 * B + 2 * C + E)
        return x, J


def log_det_slope(block: ResidualBlock | ODEBlock, x: Array) -> Array:
    """∂_j log det DT = tr(DT⁻¹ ∂_jDT), the derivative of DT by a complex step: exact to rounding, (n, d)."""
    G = np.linalg.inv(block.jacobian(x))
    columns = []
    for unit in np.eye(block.dim):
        moved = block.jacobian(x + 1j * COMPLEX_STEP * unit).imag / COMPLEX_STEP
        columns.append(np.einsum("nij,nji->n", G, moved))
    return np.stack(columns, axis=1)
