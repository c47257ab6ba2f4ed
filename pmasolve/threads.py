"""Blocks of work on a pool of threads.

Numba's own parallel loops and FFTW's own threads spin at barriers: as soon as somebody else takes a core they become many
times slower than one thread.  Kernels that release the lock, handed out in blocks, lose nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import numpy as np
from numba import get_num_threads
from numpy.typing import NDArray

SMALL = 1 << 15  # points below which handing blocks to threads costs more than it saves


@cache
def pool(threads: int) -> ThreadPoolExecutor:
    """The pool with this many threads."""
    return ThreadPoolExecutor(threads)


def blocks(n: int, parts: int) -> list[slice]:
    """0 … n−1 in at most ``parts`` nearly equal slices."""
    edges = np.linspace(0, n, min(n, parts) + 1).astype(int)
    return [slice(a, b) for a, b in pairwise(edges)]


def sweep(kernel: Callable[..., None], n: int, points: int, *arrays: NDArray) -> None:
    """``kernel(start, stop, *arrays)`` over 0 … n−1, in blocks if there are many ``points``."""
    threads = get_num_threads()
    if points < SMALL or threads == 1:
        kernel(0, n, *arrays)
    else:
        list(pool(threads).map(lambda part: kernel(part.start, part.stop, *arrays), blocks(n, 4 * threads)))
