"""FITS images; the only importer of astropy (extra ``fits``).

Rows are in the order of the file, the first one at the bottom of a sky chart; BZERO and BSCALE are applied, BLANK is NaN.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from ...machine.archives import BadFile
from .samples import Choice, Samples, paged


def read(file: Path, choice: Choice) -> Samples:
    """The image of the file, or the one whose EXTNAME, or number from 0, is the choice's name; axes as astropy has them."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", AstropyUserWarning)  # "may have been truncated"
        warnings.simplefilter("ignore", fits.verify.VerifyWarning)  # spelling of cards
        with fits.open(file, memmap=False) as units:
            images = [i for i, unit in enumerate(units) if unit.is_image and unit.header.get("NAXIS", 0) > 0]
            values = np.asarray(units[_wanted(file, units, images, choice)].data)
    return Samples(paged(file, values, choice))


def _wanted(file: Path, units: fits.HDUList, images: list[int], choice: Choice) -> int:
    names = [units[i].name or str(i) for i in images]
    if choice.name is None and len(images) == 1:
        return images[0]
    for i, name in zip(images, names, strict=True):
        if choice.name in (name, str(i)):
            return i
    asked = "several images and no name" if choice.name is None else f"no image {choice.name!r}"
    raise BadFile(f"{file}: {asked}; it holds {', '.join(names) or 'none'}")
