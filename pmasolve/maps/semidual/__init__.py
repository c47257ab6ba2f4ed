"""Transport on grids between rough, high-contrast and vanishing densities, by the semi-dual.

Come here to ask what is proved where Newton's method cannot go.
"""

from .cascade import SemiDual as SemiDual
from .cascade import semidual as semidual
from .interval import SemiDualResult as SemiDualResult
