"""MATLAB's .mat files: of level 5 by SciPy, of version 7.3, which are HDF5, by h5py."""

from __future__ import annotations

from importlib import import_module
from inspect import signature
from pathlib import Path

import numpy as np
from scipy.io import loadmat, whosmat
from scipy.sparse import issparse

from ...machine.archives import BadFile
from .samples import Choice, Samples, named, paged, refuse_colours

AS_ARRAYS = {"spmatrix": False} if "spmatrix" in signature(loadmat).parameters else {}  # SciPy 1.14 has no such choice
NUMERIC_CLASSES = {"double", "single", "logical", "sparse", *(f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64))}


def read(file: Path, choice: Choice) -> Samples:
    """One variable, rows along the first axis; vectors have one axis."""
    with file.open("rb") as stream:
        head = stream.read(128)
    if head.startswith(b"MATLAB 7.3"):
        return import_module(".hdf5", __package__).read(file, choice, transposed=True).squeezed()
    if not head.startswith(b"MATLAB 5.0"):
        raise BadFile(f"{file} is no MATLAB file of level 5: save it with -v7")
    name = named(file, [name for name, _, kind in whosmat(file) if kind in NUMERIC_CLASSES], choice)
    values = loadmat(file, variable_names=[name], **AS_ARRAYS)[name]
    values = values.toarray() if issparse(values) else np.asarray(values)
    return Samples(paged(file, refuse_colours(file, values), choice)).squeezed()
