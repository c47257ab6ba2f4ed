"""Numbers from files, as densities: one door for all formats; a format's library is loaded when a file needs it."""

from __future__ import annotations

import gzip
import os
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np

from ..machine.archives import BadFile, unreadable_refused
from ..machine.arrays import Array
from ..machine.extras import installing
from .formats.samples import Choice, Samples

# reader: suffixes, how files begin, and the library of an extra
SUFFIXES = {
    "arrays": (".npy", ".npz"),
    "hdf5": (".h5", ".hdf5", ".he5"),
    "matlab": (".mat",),
    "tables": (".csv", ".tsv", ".txt", ".dat"),
    "fits": (".fits", ".fit", ".fts", ".fits.gz"),
    "nifti": (".nii", ".nii.gz", ".hdr", ".img"),
    "nrrd": (".nrrd", ".nhdr"),
    "tiff": (".tif", ".tiff"),
    "pictures": (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".webp"),
}
BEGINNINGS = {
    "arrays": (b"\x93NUMPY", b"PK\x03\x04"),
    "hdf5": (b"\x89HDF\r\n",),
    "matlab": (b"MATLAB 5.0", b"MATLAB 7.3"),
    "fits": (b"SIMPLE  =",),
    "nrrd": (b"NRRD000",),
    "tiff": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "pictures": (b"\x89PNG", b"\xff\xd8\xff", b"GIF8"),
}
LIBRARIES = {  # with their extras
    "fits": ("astropy", "fits"),
    "nifti": ("nibabel", "nifti"),
    "nrrd": ("pynrrd", "nrrd"),
    "tiff": ("tifffile", "tiff"),
    "hdf5": ("h5py", "hdf5"),
    "pictures": ("Pillow", "images"),
}
READABLE = "NumPy, HDF5, MATLAB, text, FITS, NIfTI, NRRD, TIFF or PNG, JPEG, BMP, GIF, PPM, WebP"


def read_array(path: str | os.PathLike[str], name: str | None = None, *, frame: int | None = None) -> Array:
    """The numbers in a file, as the readers of its own community give them.

    Parameters
    ----------
    path : the file.  Its first bytes say what it is, then its suffix:
        .npy, .npz; HDF5 (extra ``hdf5``); .mat (of version 7.3: extra ``hdf5``); text, one row a line; FITS (extra ``fits``, rows
        and axes as in astropy); NIfTI (``nifti``) and NRRD (``nrrd``), axes as in nibabel and pynrrd; TIFF (``tiff``), pages of
        equal size as layers along the first axis; PNG, JPEG, BMP, GIF, PPM, WebP, rows along the first axis.
        Colours become their luminance (299 R + 587 G + 114 B)/1000.
    name : which array of a file that holds several.
    frame : which page, from 0, of a file that holds several; of an array which index along its first axis, of NIfTI and NRRD along
        the last.

    Returns
    -------
    The numbers, float64.

    Raises
    ------
    FileNotFoundError, PermissionError : as for any file.
    ValueError : a file that is damaged or of no known kind, or whose library is not installed; several arrays and no ``name``,
        several frames and no ``frame``; numbers that are not real; and what could be read in two ways: transparency, colours of
        16 bits that would be cut to 8, arrays (n, m, 3) of bytes.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/mu.npy", np.eye(4))
    ...     read_array(f"{folder}/mu.npy").shape
    (4, 4)
    """
    return read_samples(path, name, frame=frame).values


def read_samples(path: str | os.PathLike[str], name: str | None = None, *, frame: int | None = None) -> Samples:
    """The numbers in a file, with the spacing of the nodes and the direction of the axes where the file knows them.

    Parameters and errors are those of `read_array`.

    Returns
    -------
    ``values`` (float64), ``spacing`` (one length for each axis, or None) and ``orientation`` (words, or None).
    """
    with unreadable_refused(path, f"of a kind that is read here ({READABLE})"):
        file = Path(path)
        samples = _reader(file).read(file, Choice(name, frame))
        values = np.asarray(samples.values)
        if values.dtype.kind not in "biuf":
            raise BadFile(f"{path} holds {values.dtype} values: real numbers are needed")
        return Samples(np.array(values, dtype=np.float64, order="C"), samples.spacing, samples.orientation)


def _reader(file: Path) -> ModuleType:
    """The module that reads the file."""
    kind = _kind(file)
    try:
        return import_module(f".formats.{kind}", __package__)
    except ImportError:
        if kind not in LIBRARIES:
            raise
        library, extra = LIBRARIES[kind]
        raise BadFile(f"{file}: files of this kind need {library}: {installing(extra)}") from None


def _kind(file: Path) -> str:
    """By content, then by name."""
    with file.open("rb") as stream:
        head = stream.read(348)
    if head.startswith(b"\x1f\x8b"):
        _check_packed(file)
    for kind, beginnings in BEGINNINGS.items():
        if head.startswith(beginnings):
            return kind
    if head[344:348] in (b"n+1\0", b"ni1\0"):
        return "nifti"
    for kind, suffixes in SUFFIXES.items():
        if file.name.lower().endswith(suffixes):
            return kind
    raise BadFile(f"{file} cannot be read: it is truncated, or not of a kind that is read here ({READABLE})")


def _check_packed(file: Path) -> None:
    """Unpack to the end, where the sum over the content stands: readers stop before."""
    with gzip.open(file) as stream:
        while stream.read(1 << 20):
            pass
