"""The back-and-forth method of Jacobs and Léger (arXiv 1905.12154) on the unit torus, compact and compiled: a peer of `transport`.

Gradient ascent on the dual, alternately on its two forms J(φ) = ∫φ dμ + ∫φ^c dν and I(ψ) = ∫ψ^c dμ + ∫ψ dν, in the Ḣ¹ metric:

    φ ← φ + σ(−Δ)⁻¹(μ − S_φ#ν),   ψ = φ^c;        ψ ← ψ + σ(−Δ)⁻¹(ν − S_ψ#μ),   φ = ψ^c,

S_φ(y) = y − ∇φ^c(y).  c-transforms are exact, by lower envelopes along each axis; the push-forward samples every cell as finely
as it is stretched and shares the mass bilinearly; σ adapts by the paper's Armijo–Goldstein rule.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import scipy.fft
from numba import njit

from pmasolve.machine.arrays import Array


@njit(cache=True, nogil=True)
def envelope_lines(values, out):
    """out[j, r] = minₖ ½((j − k)/n)² + values[r, k], periodic: the lower envelope of 2n parabolas on each line, transposed."""
    rows, n = values.shape
    vertex, start, half = np.empty(2 * n, np.int64), np.empty(2 * n + 1), 0.5 / n**2
    for r in range(rows):
        top = -1
        for q in range(-(n // 2), n + n // 2):
            height = values[r, q % n] / half
            cut = -np.inf
            while top >= 0:
                p = vertex[top]
                cut = ((height + q * q) - (values[r, p % n] / half + p * p)) / (2.0 * (q - p))
                if cut > start[top]:
                    break
                top -= 1
                cut = -np.inf
            top += 1
            vertex[top], start[top] = q, cut
        start[top + 1], k = np.inf, 0
        for j in range(n):
            while start[k + 1] < j:
                k += 1
            out[j, r] = half * (j - vertex[k]) ** 2 + values[r, vertex[k] % n]


def c_transform(phi: Array) -> Array:
    """φ^c(y) = minₓ ½dist(x, y)² − φ(x) on the unit torus, 2D."""
    first = np.empty(phi.shape[::-1])
    envelope_lines(-phi, first)
    out = np.empty(phi.shape)
    envelope_lines(first, out)
    return out


@njit(cache=True, nogil=True)
def push(psi, mass, out):
    """Push cells' masses by y − ∇ψ(y), from the map at the cells' corners: as many samples of a cell as it is stretched by."""
    n, m = psi.shape
    out[:] = 0.0
    for i in range(n):
        for j in range(m):
            if mass[i, j] == 0.0:
                continue
            X, Y = np.empty((2, 2)), np.empty((2, 2))
            for a in range(2):
                for b in range(2):  # corner (i + a − ½, j + b − ½): mean differences of the four nodes around it
                    i0, i1, j0, j1 = (i + a - 1) % n, (i + a) % n, (j + b - 1) % m, (j + b) % m
                    X[a, b] = i + a - 0.5 - 0.5 * n * n * (psi[i1, j0] - psi[i0, j0] + psi[i1, j1] - psi[i0, j1])
                    Y[a, b] = j + b - 0.5 - 0.5 * m * m * (psi[i0, j1] - psi[i0, j0] + psi[i1, j1] - psi[i1, j0])
            wide = max(abs(X[1, 0] - X[0, 0]), abs(Y[1, 0] - Y[0, 0]), abs(X[1, 1] - X[0, 1]), abs(Y[1, 1] - Y[0, 1]))
            high = max(abs(X[0, 1] - X[0, 0]), abs(Y[0, 1] - Y[0, 0]), abs(X[1, 1] - X[1, 0]), abs(Y[1, 1] - Y[1, 0]))
            s, t = min(24, max(1, int(np.ceil(wide)))), min(24, max(1, int(np.ceil(high))))
            share = mass[i, j] / (s * t)
            for k in range(s):
                for m_ in range(t):
                    a, b = (k + 0.5) / s, (m_ + 0.5) / t
                    x = (1 - a) * ((1 - b) * X[0, 0] + b * X[0, 1]) + a * ((1 - b) * X[1, 0] + b * X[1, 1])
                    y = (1 - a) * ((1 - b) * Y[0, 0] + b * Y[0, 1]) + a * ((1 - b) * Y[1, 0] + b * Y[1, 1])
                    i0, j0 = int(np.floor(x)), int(np.floor(y))
                    u, v = x - i0, y - j0
                    out[i0 % n, j0 % m] += share * (1 - u) * (1 - v)
                    out[(i0 + 1) % n, j0 % m] += share * u * (1 - v)
                    out[i0 % n, (j0 + 1) % m] += share * (1 - u) * v
                    out[(i0 + 1) % n, (j0 + 1) % m] += share * u * v


def inverse_laplacian(r: Array) -> Array:
    """(−Δ)⁻¹ of the mean-free part, by the symbol of second differences, on the unit square grid."""
    n, m = r.shape
    series = scipy.fft.rfft2(r)
    symbol = n**2 * (2 - 2 * np.cos(2 * np.pi * np.fft.fftfreq(n)))[:, None]
    symbol = symbol + m**2 * (2 - 2 * np.cos(2 * np.pi * np.fft.rfftfreq(m)))
    symbol[0, 0] = np.inf
    return scipy.fft.irfft2(series / symbol, s=r.shape)


@dataclass
class BackAndForth:
    """The method's state: densities of mean 1 on the unit torus, the two potentials, the step σ."""

    mu: Array
    nu: Array
    phi: Array = field(init=False)
    psi: Array = field(init=False)
    sigma: float = field(init=False)

    def __post_init__(self) -> None:
        self.phi, self.psi = np.zeros_like(self.mu), np.zeros_like(self.mu)
        self.sigma = 4.0 / max(self.mu.max(), self.nu.max())
        self._pushed = np.empty_like(self.mu)

    @property
    def cost(self) -> float:
        """W₂², twice the dual value."""
        return 2.0 * float(np.mean(self.phi * self.mu) + np.mean(self.psi * self.nu))

    @property
    def map(self) -> Array:
        """x − ∇φ by central differences, (2, *shape)."""
        n, m = self.phi.shape
        x = np.stack(np.meshgrid(np.arange(n) / n, np.arange(m) / m, indexing="ij"))
        d = [0.5 * s * (np.roll(self.phi, -1, a) - np.roll(self.phi, 1, a)) for a, s in enumerate(self.phi.shape)]
        return x - np.stack(d)

    def step(self) -> None:
        """Forth and back."""
        self.phi, self.psi = self._half(self.phi, self.psi, self.mu, self.nu)
        self.psi, self.phi = self._half(self.psi, self.phi, self.nu, self.mu)

    def _half(self, phi: Array, psi: Array, mu: Array, nu: Array) -> tuple[Array, Array]:
        """Ascent in φ, whose c-transform ψ pushes ν; returns a conjugate pair."""
        push(psi, nu, self._pushed)
        w = mu - self._pushed
        direction = inverse_laplacian(w)
        slope = float(np.mean(w * direction))
        before = float(np.mean(phi * mu) + np.mean(psi * nu))
        raised = phi + self.sigma * direction
        new_psi = c_transform(raised)
        gain = float(np.mean(raised * mu) + np.mean(new_psi * nu)) - before
        if gain > 0.75 * self.sigma * slope:
            self.sigma /= 0.9
        elif gain < 0.25 * self.sigma * slope:
            self.sigma *= 0.9
        return c_transform(new_psi), new_psi
