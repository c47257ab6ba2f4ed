"""Grids in slabs over the ranks of MPI (extra ``mpi``).  Come here for problems that are too large for one machine.

    torus = pmasolve.distributed.slabs(pmasolve.Torus((1024,) * 3))

and the same `Problem`, `transport`, `Sinkhorn` and `MongeAmpere`, in a script run by ``mpirun -n P python script.py``; arrays of
values are those of a rank's own planes.  On one process ``slabs`` gives the grid back.
"""

from .densities import planes_of as planes_of  # this, and the next two, register what slabs do in their own way
from .domains import slabs as slabs
from .spectral import trigonometric as trigonometric
from .transforms import SlabTransform as SlabTransform
