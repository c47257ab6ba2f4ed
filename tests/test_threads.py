"""Work shared among threads: all of it is done, errors come back, and work inside work does not wait for itself."""

from __future__ import annotations

import threading

import numba
import numpy as np
import pytest

from pmasolve.threads import SMALL, blocks, each


@pytest.fixture(autouse=True)
def _two_threads():
    before = numba.get_num_threads()
    numba.set_num_threads(min(2, numba.config.NUMBA_NUM_THREADS))
    yield
    numba.set_num_threads(before)


def test_blocks_cover_the_range() -> None:
    for n, points in ((10, 10), (10**6, 10**6), (3, 10**7)):
        parts = blocks(n, points)
        assert np.array_equal(np.concatenate([np.arange(n)[part] for part in parts]), np.arange(n))
    assert len(blocks(1000, SMALL - 1)) == 1


def test_work_within_work_is_done() -> None:
    out = np.zeros((8, 8))

    def inner(row: int) -> None:
        each(lambda k: out[row].__setitem__(k, out[row, k] + 1), list(range(8)))

    runner = threading.Thread(target=each, args=(inner, list(range(8))), daemon=True)
    runner.start()
    runner.join(20)
    assert not runner.is_alive()
    assert np.array_equal(out, np.ones((8, 8)))


def test_errors_come_back() -> None:
    with pytest.raises(ZeroDivisionError):
        each(lambda k: 1 // k, [0, 1])
