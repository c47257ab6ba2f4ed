"""Which engine serves which nodes, in one place."""

from __future__ import annotations

from functools import singledispatch

from ...problems.grids import Grid
from .blockwise import Blockwise
from .protocol import GridOrCloud, Softmin
from .separable import Separable


@singledispatch
def default_engine(source: GridOrCloud, target: GridOrCloud) -> Softmin:
    """`Separable` between a grid and itself, `Blockwise` between all other nodes.

    On clouds `Blockwise` needs no compiler and is faster on a CPU than KeOps, which is there for GPUs, for high dimension and as an
    independent check: pass ``softmin=KeOps()``.

    Examples
    --------
    >>> from pmasolve import Cloud, Torus
    >>> default_engine(Torus((8,)), Torus((8,))), default_engine(Cloud([[0.0]]), Cloud([[1.0]]))
    (Separable(force=None), Blockwise())
    """
    return Separable() if isinstance(source, Grid) and source == target else Blockwise()
