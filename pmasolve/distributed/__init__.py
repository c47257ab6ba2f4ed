"""Grids in slabs over the ranks of MPI (extra ``mpi``).  Come here for problems that are too large for one machine.

    torus = pmasolve.distributed.slabs(pmasolve.Torus((1024,) * 3))

and the same `Problem`, `transport`, `Sinkhorn` and `MongeAmpere`, in a script run by ``mpirun -n P python script.py``; arrays of
values are those of a rank's own planes.  On one process ``slabs`` gives the grid back.
"""

from .clouds import shared as shared
from .densities import planes_of as planes_of  # this and others register what slabs do in their own way
from .domains import slabs as slabs
from .files import load as load
from .files import read_array as read_array
from .files import save as save
from .files import write_array as write_array
from .integrators import integrator_on_slabs as integrator_on_slabs
from .log_sums import SlabSeparable as SlabSeparable
from .spectral import trigonometric as trigonometric
from .transforms import SlabTransform as SlabTransform
