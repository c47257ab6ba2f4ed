"""Times that schemes with steps of their own can visit."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def admit_multiples(times: ArrayLike, step: float, name: str = "step") -> None:
    """Refuse times that are not multiples k·step: rounding k would cost a whole order.

    Examples
    --------
    >>> admit_multiples([0.1, 0.3], 0.1)
    >>> admit_multiples(0.25, 0.1, "eps")
    Traceback (most recent call last):
    ValueError: t=0.25 is not a multiple of eps=0.1; what divides it is t/k, the nearest 0.125 (k=2) and 0.083333333333333329 (k=3)
    """
    times = np.atleast_1d(np.asarray(times, dtype=np.float64))
    k = np.rint(times / step)
    bad = np.abs(times / step - k) > 1e-9 * np.maximum(k, 1)
    if bad.any():
        t = float(times[bad][0])
        near = max(1, round(t / step))
        raise ValueError(
            f"t={t:g} is not a multiple of {name}={step:g}; what divides it is t/k, "
            f"the nearest {t / near:.17g} (k={near}) and {t / (near + 1):.17g} (k={near + 1})"
        )
