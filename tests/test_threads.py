"""Work shared among threads: all of it is done, errors come back, and work inside work does not wait for itself."""

from __future__ import annotations

import threading

import numba
import numpy as np
import pytest

from pmasolve.machine import threads
from pmasolve.machine.threads import FEW_POINTS, blocks, each, over, sharing


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
    assert len(blocks(1000, FEW_POINTS - 1)) == 1


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


def test_the_caller_takes_part_and_results_keep_their_order() -> None:
    met = threading.Barrier(min(2, numba.get_num_threads()))  # two threads have begun before the work goes on

    def work(k: int) -> tuple[int, str]:
        if k < met.parties:
            met.wait()
        return k, threading.current_thread().name

    names = each(work, list(range(1000)))
    assert [k for k, _ in names] == list(range(1000))
    assert threading.current_thread().name in {name for _, name in names}


def test_nothing_is_begun_after_an_error_and_the_pool_lives_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the caller alone: how far another thread had come would be chance."""
    done = []

    def work(k: int) -> None:
        if k == 3:
            raise IndexError(k)
        done.append(k)

    with monkeypatch.context() as alone:
        alone.setattr(threads, "get_num_threads", lambda: 1)
        with pytest.raises(IndexError, match="3"):
            each(work, list(range(100)))
    assert done == [0, 1, 2]
    assert each(abs, [-1, -2, -3]) == [1, 2, 3]


@pytest.mark.parametrize("n", [1, 1000, FEW_POINTS - 1, FEW_POINTS, 3 * FEW_POINTS + 1])
def test_kernels_go_over_all_of_an_array_once(n: int) -> None:
    seen = np.zeros(n)

    def kernel(array: np.ndarray, begin: int, end: int) -> int:
        array[begin:end] += 1.0
        return end - begin

    counts = over(kernel, n, seen)
    assert (sum(counts), len(counts)) == (n, len(blocks(n, n)))
    assert np.all(seen == 1.0)
    assert (len(counts) == 1) == (n < FEW_POINTS)
    assert len(over(kernel, n, seen, share=100, small=200)) == len(blocks(n, n, 100, 200))


@pytest.mark.parametrize("parts", [["a"], ["a", "b", "c"]])
def test_work_is_shared_part_by_part(parts: list[str]) -> None:
    done: list[str] = []
    sharing(parts)(done.append)
    assert sorted(done) == parts
