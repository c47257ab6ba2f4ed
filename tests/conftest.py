"""Fixtures: strict floating point everywhere, and the standard problems."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from cases import t1, t2

from pmasolve import Problem


@pytest.fixture(autouse=True)
def _strict_floating_point() -> Iterator[None]:
    """Overflow, division by zero and invalid operations are errors in every test."""
    with np.errstate(all="raise", under="ignore"):
        yield


@pytest.fixture
def line() -> Problem:
    """T1, one dimension, 64 points."""
    return t1()


@pytest.fixture
def plane() -> Problem:
    """T2, two dimensions, 48² points."""
    return t2(48)
