"""HDF5 data sets; the only importer of h5py (extra ``hdf5``)."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from ...machine.archives import BadFile
from .samples import Choice, Samples, named, paged, refuse_colours

PACKED = ("scale_factor", "add_offset")  # netCDF: what is stored is not the number


def read(file: Path, choice: Choice, *, transposed: bool = False) -> Samples:
    """One data set, found in any group; ``transposed`` for MATLAB's, whose axes HDF5 lists backwards."""
    with h5py.File(file, "r") as data:
        found: list[str] = []
        data.visititems(lambda key, item: found.append(key) if isinstance(item, h5py.Dataset) else None)
        item = data[named(file, [key for key in found if not key.startswith("#")], choice)]
        if packed := [key for key in PACKED if key in item.attrs]:
            raise BadFile(
                f"{file}: {item.name} is packed ({', '.join(packed)}): unpack it first, for example with xarray"
            )
        values = np.asarray(item)
    return Samples(paged(file, refuse_colours(file, values.T if transposed else values), choice))
