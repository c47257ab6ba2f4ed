"""The one type of array at every edge of the package: float64, of any shape."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
