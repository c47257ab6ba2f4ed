"""The critical and the hardest signal-to-noise ratio of a law on the line, by quadrature: exact, not drawn."""

from __future__ import annotations

from numpy.typing import ArrayLike
from scipy.optimize import brentq, minimize_scalar

from ...problems.clouds import Cloud
from .complexity import as_source
from .sources import Source, signal_to_noise
from .tails import LineTail


def critical_snr(source: Source | Cloud | ArrayLike, low: float, high: float) -> float:
    """r* in [low, high], on the line: where sup_y L_r(y) passes 1, so that Y is not log-concave any more.

    Parameters
    ----------
    source : samples (n,), a mixture or another law on the line.
    low, high : r > 0 with sup L < 1 at the one and > 1 at the other.

    Returns
    -------
    r*, to about 1e-10.

    Raises
    ------
    ValueError : another dimension than 1; sup L − 1 without a change of sign.

    Examples
    --------
    >>> round(critical_snr([-2.0, 2.0], 0.1, 2.0), 9)  # 1/µ
    0.5
    """
    law = _on_the_line(source)
    low, high = signal_to_noise(low), signal_to_noise(high)
    excess = [LineTail.of(law, r).largest - 1 for r in (low, high)]
    if not excess[0] < 0 < excess[1]:
        raise ValueError(
            f"sup L − 1 is {excess[0]:.3g} at r={low} and {excess[1]:.3g} at r={high}: bracket a change of sign"
        )
    return float(brentq(lambda r: LineTail.of(law, r).largest - 1, low, high, xtol=1e-10))


def hardest_snr(source: Source | Cloud | ArrayLike, low: float, high: float) -> float:
    """The r in [low, high] with the largest h(0, r) = E(L_r − 1)₊, on the line.

    Parameters
    ----------
    source : samples (n,), a mixture or another law on the line.
    low, high : r > 0 between which h(0, r) has one maximum.

    Returns
    -------
    The r, to about 1e-5.

    Raises
    ------
    ValueError : another dimension than 1.

    Examples
    --------
    >>> 1 < hardest_snr([-1.0, 1.0], 1.0, 3.0) < 2  # the paper's claim for example 4
    True
    """
    law = _on_the_line(source)
    bounds = (signal_to_noise(low), signal_to_noise(high))
    found = minimize_scalar(lambda r: -LineTail.of(law, r).excess(1.0), bounds=bounds, method="bounded")
    return float(found.x)


def _on_the_line(source: Source | Cloud | ArrayLike) -> Source:
    law = as_source(source)
    if law.dim != 1:
        raise ValueError(f"a source in {law.dim} dimensions: this is exact, on the line; see `complexity` for the rest")
    return law
