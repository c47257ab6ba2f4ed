"""Hilbert's curve through the nodes of a grid (J. Skilling, AIP Conf. Proc. 707 (2004) 381)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...machine.arrays import Integers
from ...machine.exponentials import jit


def curve(shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Flat indices of the nodes along the curve through the enclosing cube of 2^bits nodes a side.

    Where the grid fills a good part of that, by doubling: each octant holds the curve of half the side, turned or mirrored.
    """
    bits, size = max((max(shape) - 1).bit_length(), 1), int(np.prod(shape))
    if 1 << (bits * len(shape)) > 4 * size:
        return _sorted(shape, bits)
    first, second = (
        np.array(np.unravel_index(_sorted(cube, b), cube), np.int32)
        for b, cube in ((1, (2,) * len(shape)), (2, (4,) * len(shape)))
    )
    nodes = first
    for bit in range(1, bits):
        nodes = np.concatenate(
            [_placed(nodes, first, octant, 1 << bit) for octant in np.split(second, first.shape[1], 1)], axis=1
        )
    inside = nodes < np.reshape(shape, (-1, 1))
    return np.ravel_multi_index(tuple(nodes if inside.all() else nodes[:, inside.all(axis=0)]), shape)


def _placed(nodes: Integers, first: Integers, octant: Integers, side: int) -> Integers:
    """The curve (dim, side^dim) where and as it goes through one octant, by its nodes there of 4^dim and ``first`` of 2^dim."""
    out = np.empty_like(nodes)
    for row, path in zip(out, octant, strict=True):
        same = first == path % 2
        source = int(np.argmax(same.all(axis=1) | ~same.any(axis=1)))
        np.subtract(side - 1, nodes[source], out=row) if not same[source, 0] else np.copyto(row, nodes[source])
        row += side * (path[0] // 2)
    return out


def _sorted(shape: tuple[int, ...], bits: int) -> NDArray[np.intp]:
    """`curve` from how far along it each node comes."""
    along = np.empty(int(np.prod(shape)), np.int64)
    _along(np.array(shape), bits, np.empty(len(shape), np.int64), along)
    return np.argsort(along, kind="stable")


@jit
def _along(shape, bits, X, along):
    """How far along the curve each node of the grid comes; ``X`` is room for its indices."""
    dim = shape.size
    for node in range(along.size):
        rest = node
        for axis in range(dim - 1, -1, -1):
            X[axis] = rest % shape[axis]
            rest //= shape[axis]
        for bit in range(bits - 1, 0, -1):
            low = (1 << bit) - 1
            for axis in range(dim):  # without branches, which nobody could foresee
                inverted = low & -((X[axis] >> bit) & 1)
                swap = (X[0] ^ X[axis]) & low & ~inverted
                X[0] ^= swap | inverted
                X[axis] ^= swap
        for axis in range(1, dim):
            X[axis] ^= X[axis - 1]
        t = 0
        for bit in range(bits - 1, 0, -1):
            t ^= ((1 << bit) - 1) & -((X[dim - 1] >> bit) & 1)
        distance = 0
        for bit in range(bits - 1, -1, -1):
            for axis in range(dim):
                distance = (distance << 1) | (((X[axis] ^ t) >> bit) & 1)
        along[node] = distance
