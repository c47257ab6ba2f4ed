"""The claims of the theory, each with the check that it can fail:  python -m validation, pmasolve validate."""

import os
import sys

# The grids are small.  There a second thread costs more than it saves, up to ten times where the cores are shared.  The
# libraries read these when they are first imported, hence here, and not at all where they are already in use.
if "numpy" not in sys.modules:
    for _variable in ("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(_variable, "1")
