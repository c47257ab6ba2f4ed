"""Optimal transport on grids between rough, high-contrast and vanishing densities, with a certified interval."""

from .cascade import SemiDual as SemiDual
from .cascade import SemiDualResult as SemiDualResult
from .cascade import semidual as semidual
