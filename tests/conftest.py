"""Fixtures: strict floating point everywhere, and the standard problems; few threads where tests run side by side."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec

# Beside other workers (pytest -n) BLAS threads only fight for the cores.  Our own loops keep two, so that their sharing out of
# blocks is tested.  The libraries read these when they are first imported, which the next lines do.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("NUMBA_NUM_THREADS", "2")
    for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(_variable, "1")

import numpy as np
import pytest
from cases import t1, t2

from pmasolve import Problem

# Tests of a peer exist where it is installed, and are not counted elsewhere.
PEERS = {"test_peer_ott.py": ("jax", "ott"), "test_peer_geomloss.py": ("torch", "geomloss")}
collect_ignore = [name for name, packages in PEERS.items() if not all(map(find_spec, packages))]


LONG = {"test_validation.py", "test_site.py"}  # begun first, so that no worker is left alone with them at the end


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long tests, then all others in their order."""
    items.sort(key=lambda item: item.path.name not in LONG)


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
