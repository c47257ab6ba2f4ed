"""Fixtures: strict floating point everywhere, and the standard problems."""

from __future__ import annotations

from collections.abc import Iterator

import numba
import numpy as np
import pytest
from cases import t1, t2

from pmasolve import Problem


@pytest.fixture(autouse=True)
def _strict_floating_point() -> Iterator[None]:
    """Overflow, division by zero and invalid operations are errors in every test."""
    with np.errstate(all="raise", under="ignore"):
        yield


@pytest.fixture(autouse=True)
def _one_thread(request: pytest.FixtureRequest) -> Iterator[None]:
    """Small grids: on a loaded machine waiting for a second thread costs ten times the work; mark ``threads`` to have all."""
    before = numba.get_num_threads()
    numba.set_num_threads(before if request.node.get_closest_marker("threads") else 1)
    yield
    numba.set_num_threads(before)


@pytest.fixture
def line() -> Problem:
    """T1, one dimension, 64 points."""
    return t1()


@pytest.fixture
def plane() -> Problem:
    """T2, two dimensions, 48² points."""
    return t2(48)
