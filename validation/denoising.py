"""Claim: the numbers of the denoising paper, with its formulas as corrected."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pmasolve import denoising as dn

from .claims import AtMost, Check, Claim, Level
from .evidence import Rows, against
from .mixtures import Mixture

CLAIM = Claim(
    name="denoising",
    title="Denoising by transport: the table of Fig. 1, and two formulas",
    statement="Y = rX + Z, L_r(y) = Var(rX | Y = y) = 1 + (log p_Y)″(y), s(u) = P(L_r(Y) > u), h(u) = E(L_r(Y) − "
    "(1−u))₊;  X = ±1: L_r(y) = r² sech²(ry);  "
    "p_Y = ∑pᵢN(mᵢ, vᵢ²), tᵢ = (y−mᵢ)/vᵢ: L = 1 + [∑pᵢvᵢ⁻³(tᵢ²−1)φ(tᵢ)]/[∑pᵢvᵢ⁻¹φ(tᵢ)] − "
    "([∑pᵢvᵢ⁻²tᵢφ(tᵢ)]/[∑pᵢvᵢ⁻¹φ(tᵢ)])²;  "
    "E L_r(Y) = 1 − Fisher information of Y;  D² log p_t(x) = −s²(1 − Var(rX₀ | X_t = x)), s² = 1/(1−e^{−2t}), r = se^{−t}",
    source="Liang, Dharmakeerthi, Koriyama, arXiv 2411.01629: Fig. 1 (its 0.71 is 1/√2), (4.2) with s² for the "
    "printed 1/s², (5.3) with vᵢ⁻¹ in the "
    "denominators for the printed vᵢ",
    expected="the printed digits; derivatives of the densities themselves",
    tolerance="equal after rounding to two decimals; formulas within 1e-6",
    problem="r = 1/√2, 1.5 and 3; a mixture of three normals; differences of order 4",
    mutations="r = 0.71 as printed; vᵢ in the denominators of (5.3) as printed; −1/s² in (4.2) as printed",
)
PRINTED = {  # r: s(1), s(.5), h(0), h(.5)
    2**-0.5: (0.0, 0.0, 0.0, 0.0),
    1.5: (0.18, 0.27, 0.13, 0.24),
    3.0: (0.01, 0.01, 0.02, 0.03),
}
DIGITS, FORMULA = {"difference": AtMost(1e-9)}, {"difference": AtMost(1e-6)}


THREE = Mixture(
    (0.2, 0.5, 0.3), (-1.0, 0.3, 2.0), (0.6, 1.1, 0.8)
)  # of Y at r = 1: X has the variances v² − 1, where ≥ 0
WIDE = Mixture((0.2, 0.5, 0.3), (-1.0, 0.3, 2.0), (1.2, 1.1, 1.4))


def study(level: Level) -> Iterator[Check]:
    """Table and formulas, then what is printed wrongly."""
    yield Check("Fig. 1", table({r: r for r in PRINTED}), DIGITS)
    yield Check("(5.3)", mixture(), FORMULA)
    yield Check("mean of L", means(), FORMULA)
    yield Check("(4.2)", heat(2), FORMULA)
    yield Check("Fig. 1", table({2**-0.5: 0.71}), DIGITS, "r = 0.71 as printed")
    yield Check("(5.3)", mixture(power=1), FORMULA, "vᵢ in the denominators, as printed")
    yield Check("(4.2)", heat(-2), FORMULA, "−1/s² as printed")


def table(used: dict[float, float]) -> Rows:
    """s and h for the two-point mass, rounded like the figure's."""
    rows = {}
    for r, value in used.items():
        found = dn.complexity(dn.two_points(), snr=[value])
        numbers = (*found.survival([1.0, 0.5])[0], *found.integrated_tail([0.0, 0.5])[0])
        for name, ours, printed in zip(("s(1)", "s(½)", "h(0)", "h(½)"), numbers, PRINTED[r], strict=True):
            rows[f"{name}, r = {r:.3g}"] = (round(float(ours), 2), printed)
    return against(rows, source="arXiv 2411.01629, Fig. 1, to two decimals", printed=True)


def second_difference(f, y: float, h: float = 2e-3) -> float:
    """f″ to order 4."""
    return float((-f(y - 2 * h) + 16 * f(y - h) - 30 * f(y) + 16 * f(y + h) - f(y + 2 * h)) / (12 * h * h))


def mixture(power: int = -1) -> Rows:
    """(5.3) against 1 + (log p)″, and the package's L for the mixture of which Y is the noisy version against (5.3)."""
    law = dn.Mixture(WIDE.p, WIDE.m, np.array(WIDE.v) ** 2 - 1)
    rows = {}
    for y in (-1.5, 0.0, 1.0, 2.5):
        curved = 1 + second_difference(lambda z: np.log(THREE.density(z)), y)
        rows[f"L({y:g})"] = (float(THREE.loss(y, power=power)), curved)
        rows[f"L({y:g}), package"] = (float(law.curvature(1.0, [y])[0]), float(WIDE.loss(y, power=power)))
    return against(rows, source="1 + (log p)″ by differences; (5.3)")


def means() -> Rows:
    """E L = 1 − Fisher information, for the two-point mass and the mixture."""
    rows = {}
    for name, law in (("±1", dn.two_points()), ("mixture", dn.Mixture(WIDE.p, WIDE.m, np.array(WIDE.v) ** 2 - 1))):
        for r in PRINTED:
            y = np.linspace(*law.span(r), 20_001)
            here = law.posterior(r, y[:, None])
            fisher = np.sum((here.mean[:, 0] - y) ** 2 * np.exp(here.log_density)) * (y[1] - y[0])
            rows[f"{name}, r = {r:.3g}"] = (float(dn.complexity(law, snr=[r]).mean[0]), float(1 - fisher))
    return against(rows, source="1 − Fisher information of Y")


def heat(power: int) -> Rows:
    """(4.2) for the two-point mass under the Ornstein–Uhlenbeck flow at t = 0.4, L and log p_t by the package."""
    chain, t = dn.Diffusion(dn.two_points()), 0.4
    s, r = float(chain.scale(t)), float(chain.snr(t))
    rows = {}
    for x in (0.0, 0.4, 1.1):
        exact = second_difference(lambda z: float(chain.log_density(t, [z])[0]), x)
        L = float(chain.source.curvature(r, [s * x])[0])
        rows[f"x = {x:g}"] = (-(s**power) * (1 - L), exact)
        if power == 2:
            rows[f"x = {x:g}, package"] = (float(chain.largest_second_derivative(t, [x])[0]), exact)
    return against(rows, source="(log p_t)″ by differences")
