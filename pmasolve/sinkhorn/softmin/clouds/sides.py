"""One side of a cloud kernel: its points sorted so that runs of them are compact, with the boxes around the runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....machine.arrays import Array
from .blocks import BLOCK, TILE, Blocks

Order = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Side:
    """One set of nodes: as given, and sorted into blocks (as sources) and tiles (as targets)."""

    points: Array
    order: Order
    blocks: Blocks
    tiles: Blocks

    @property
    def size(self) -> int:
        """Number of points."""
        return self.order.size

    def groups(self, size: int) -> Blocks:
        """Boxes around runs of ``size`` points in the order of this side."""
        return bound(self.blocks.points, size)


def sort(points: Array) -> Side:
    """Order the points (n, dim) so that every run of TILE·2^k of them is compact: a k-d tree, left complete."""
    order = np.arange(len(points))
    ranges = [(0, len(points))]
    while ranges:
        low, high = ranges.pop()
        leaves = -(-(high - low) // TILE)
        if leaves < 2:
            continue
        middle = low + TILE * 2 ** ((leaves - 1).bit_length() - 1)
        part = points[order[low:high]]
        axis = np.argmax(np.ptp(part, axis=0))
        order[low:high] = order[low:high][np.argpartition(part[:, axis], middle - low)]
        ranges += [(low, middle), (middle, high)]
    sorted_points = np.ascontiguousarray(points[order].T)
    return Side(points, order, bound(sorted_points, BLOCK), bound(sorted_points, TILE))


def bound(points: Array, size: int) -> Blocks:
    """Bounding boxes and radii of consecutive runs of ``size`` points (dim, n)."""
    starts = np.arange(0, points.shape[1], size)
    low, high = np.minimum.reduceat(points, starts, axis=1), np.maximum.reduceat(points, starts, axis=1)
    centres = (low + high) / 2
    distances = np.sqrt(np.sum((points - np.repeat(centres, size, axis=1)[:, : points.shape[1]]) ** 2, axis=0))
    half = (high - low) / 2
    return Blocks(points, centres.T.copy(), half.T.copy(), np.maximum.reduceat(distances, starts))
