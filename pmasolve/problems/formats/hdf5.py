"""HDF5 data sets; the only importer of h5py (extra ``hdf5``)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from ...machine.archives import BadFile
from ...machine.arrays import Array
from .samples import Choice, Samples, named, paged, refuse_colours

PACKED = ("scale_factor", "add_offset")  # netCDF: what is stored is not the number


def read(file: Path, choice: Choice, *, transposed: bool = False) -> Samples:
    """One data set, found in any group; ``transposed`` for MATLAB's, whose axes HDF5 lists backwards."""
    with h5py.File(file, "r") as data:
        values = np.asarray(_dataset(data, file, choice))
    return Samples(paged(file, refuse_colours(file, values.T if transposed else values), choice))


def read_part(file: Path, choice: Choice, where: Callable[[tuple[int, ...], np.dtype], tuple]) -> Array:
    """What ``where`` chooses of one data set by its shape and kind of numbers; nothing else of it is read."""
    with h5py.File(file, "r") as data:
        item = _dataset(data, file, choice)
        return np.asarray(item[where(item.shape, item.dtype)])


def _dataset(data: h5py.File, file: Path, choice: Choice) -> h5py.Dataset:
    found: list[str] = []
    data.visititems(lambda key, item: found.append(key) if isinstance(item, h5py.Dataset) else None)
    item = data[named(file, [key for key in found if not key.startswith("#")], choice)]
    if packed := [key for key in PACKED if key in item.attrs]:
        raise BadFile(f"{file}: {item.name} is packed ({', '.join(packed)}): unpack it first, for example with xarray")
    return item
