"""Images and arrays from files, as densities: the only importer of Pillow (extra ``images``) and of h5py (extra ``hdf5``)."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np

from ..machine.arrays import Array

try:
    from PIL import Image
except ImportError:  # optional, extra "images"
    Image = None

try:
    import h5py
except ImportError:  # optional, extra "hdf5"
    h5py = None

HDF5 = (".h5", ".hdf5", ".he5")


def read_array(path: str | os.PathLike[str], name: str | None = None) -> Array:
    """The numbers in a file: .npy, .npz, HDF5 as they are; any image that Pillow reads as its luminance, rows along the first axis.

    Parameters
    ----------
    path : the file.
    name : which array of an .npz or HDF5 file; not needed where there is only one.

    Raises
    ------
    FileNotFoundError, PermissionError : as for any file.
    ValueError : a file that is truncated or of no known kind, several arrays and no ``name``, no array of that name,
        numbers that are not real; images without Pillow (extra ``images``), HDF5 without h5py (extra ``hdf5``).

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/mu.npy", np.eye(4))
    ...     read_array(f"{folder}/mu.npy").shape
    (4, 4)
    """
    file = Path(path)
    _check_readers(file.suffix.lower())
    try:
        match file.suffix.lower():
            case ".npy":
                values = np.load(file, allow_pickle=False)
            case ".npz":
                with np.load(file, allow_pickle=False) as data:
                    values = data[_chosen(file, list(data.files), name)]
            case suffix if suffix in HDF5:
                values = _hdf5(file, name)
            case _:
                values = _image(file)
        values = np.asarray(values)
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except (OSError, EOFError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} cannot be read ({error}): it is truncated, or none of .npy, .npz, HDF5 or an image"
        ) from None
    if values.dtype.kind not in "biuf":
        raise ValueError(f"{path} holds {values.dtype} values: real numbers are needed")
    return values.astype(np.float64)


def _check_readers(suffix: str) -> None:
    """Refuse a kind of file whose library is not installed."""
    if suffix in HDF5 and h5py is None:
        raise ValueError("HDF5 files need h5py: pip install 'pmasolve[hdf5]'")
    if suffix not in (".npy", ".npz", *HDF5) and Image is None:
        raise ValueError("images need Pillow: pip install 'pmasolve[images]'; .npy and .npz need nothing")


def _image(file: Path) -> Array:
    with Image.open(file) as image:
        return np.asarray(image if image.mode[0] in "IF" else image.convert("L"))


def _hdf5(file: Path, name: str | None) -> Array:
    with h5py.File(file, "r") as data:
        found: list[str] = []
        data.visititems(lambda key, item: found.append(key) if isinstance(item, h5py.Dataset) else None)
        return np.asarray(data[_chosen(file, found, name)])


def _chosen(file: Path, names: list[str], name: str | None) -> str:
    """The array asked for, or the only one."""
    if name is None and len(names) == 1:
        return names[0]
    if name in names:
        return name
    asked = "several arrays and no name" if name is None else f"no array {name!r}"
    raise ValueError(f"{asked}; {file.name} holds {', '.join(names) or 'none'}")
