"""Blocks of an array shared among threads, by a pool that sleeps when it has nothing to do.

Compiled loops and planned transforms release the interpreter lock, so plain threads serve; parallel regions that spin at barriers
(OpenMP, parfors) cost milliseconds each as soon as another process takes a core.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from functools import cache, lru_cache, partial
from itertools import pairwise
from operator import methodcaller
from typing import Any, TypeVar

import numpy as np
from numba import get_num_threads

from .arrays import Array
from .progress import tell_share

Result = TypeVar("Result")

SHARES = 8  # pieces of work for each thread: they cost unequal times
FEW_OPERATIONS = 300_000  # operations that take less time than starting threads
PROMPT = 500_000_000  # operations after which an interruption should be heard: half a second
FEW_POINTS = 1 << 17  # points below which handing blocks to threads costs more than it saves
CACHED = 1 << 15  # points of which two arrays fit into a core's own cache


def blocks(n: int, points: int, share: int = FEW_POINTS, small: int = FEW_POINTS) -> tuple[slice, ...]:
    """Slices of range(n) for an array with so many points: one if it is small, else two for each thread or more, of ``share``."""
    return _even(n, 1 if points < small else max(2 * get_num_threads(), points // share))


class _Within(threading.local):
    """Whether this thread is at work for `each`."""

    each = False


_at_work = _Within()


@lru_cache(256)
def _even(n: int, parts: int) -> tuple[slice, ...]:
    return tuple(slice(int(a), int(b)) for a, b in pairwise(np.linspace(0, n, min(n, parts) + 1).astype(int)))


def _silent(share: float) -> None:
    """Tell nobody."""


def each(
    work: Callable[..., Result], first: Sequence, *more: Sequence, told: Callable[[float], None] = _silent
) -> list[Result]:
    """[work(a₀, b₀, …), work(a₁, b₁, …), …] on all threads, the caller's among them: small work is done before others wake.

    The caller's thread hears of interruptions between two pieces of work, and tells ``told`` what share of them is done.  An
    exception comes back once the work that has begun is done; no more is begun.  Inside such work, one after the other.
    """
    if len(first) == 1:
        return [work(first[0], *[only for (only,) in more])]
    rows = list(zip(first, *more, strict=True))
    # waiting for the pool from within could be waiting for ever
    others = 0 if _at_work.each else min(get_num_threads(), len(rows)) - 1
    results: list[Any] = [None] * len(rows)
    todo = deque(enumerate(rows))

    def share(told: Callable[[float], None] = _silent) -> None:
        """Take work as long as there is any."""
        before, _at_work.each = _at_work.each, True
        try:
            for i, row in _taken(todo):
                results[i] = work(*row)
                told(1 - (len(todo) + 1) / (len(rows) + 1))
        except BaseException:
            todo.clear()
            raise
        finally:
            _at_work.each = before

    helpers = [_pool(get_num_threads() - 1, os.getpid()).submit(share) for _ in range(others)]
    try:
        share(told)
    finally:
        begun = [helper for helper in helpers if not helper.cancel()]
        wait(begun)
    for helper in begun:
        helper.result()
    told(1.0)
    return results


def in_blocks(work: Callable[[slice], Result], n: int, points: int) -> list[Result]:
    """[work(block), …] for the `blocks` of range(n), of an array with so many points, on all threads."""
    return each(work, blocks(n, points))


def over(
    kernel: Callable[..., Result], n: int, *arrays: Array, share: int = FEW_POINTS, small: int = FEW_POINTS
) -> list[Result]:
    """[kernel(*arrays, begin, end), …] for the `blocks` of arrays of n points, on all threads."""
    parts = blocks(n, n, share, small)
    if len(parts) == 1:
        return [kernel(*arrays, 0, n)]
    return each(lambda b: kernel(*arrays, b.start, b.stop), parts)


def sharing(parts: Sequence) -> Callable[[Callable[[Any], Any]], Any]:
    """What calls work on every part: for plans that know their blocks.  With one part it is a plain call, without a detour here."""
    return methodcaller("__call__", parts[0]) if len(parts) == 1 else partial(each, first=parts)


def _taken(todo: deque[Result]) -> Iterator[Result]:
    """What is left, one by one; other threads may take from it too."""
    with suppress(IndexError):
        while True:
            yield todo.popleft()


def spread(work: Callable[[int, int], int], count: int, cost: int) -> int:
    """Sum of ``work(begin, end)`` over shares of range(count), each of about ``cost`` operations, on threads where that pays.

    A keyboard interruption is heard between shares; how many are done is told to whoever shows progress.
    """
    threads, total = get_num_threads(), count * cost
    pieces = 1 if total < FEW_OPERATIONS else max(SHARES * threads if threads > 1 else 1, total // PROMPT)
    ends = np.linspace(0, count, 1 + min(count, int(pieces))).astype(int)
    if len(ends) == 2:
        return work(0, count)
    return sum(each(work, ends[:-1], ends[1:], told=tell_share))


@cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """One pool for each process: threads do not survive a fork."""
    return ThreadPoolExecutor(threads, thread_name_prefix="pmasolve")
